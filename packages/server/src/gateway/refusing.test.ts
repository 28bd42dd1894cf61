// What is refused: requests that two servers could read differently, too much, too often, by nobody we know.

import { RipstopError } from '@ripstop/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createTestRoute,
  createTestUpstreamConfig,
  openRaw,
  sendRaw,
  startTestGateway,
  startTestUpstream,
  type TestGateway,
} from '../testing/gateway.ts'
import { until } from '../testing/processes.ts'
import type { GatewayPrincipal } from './guard.ts'

let gateway: TestGateway
let asked = 0
let principal: GatewayPrincipal | RipstopError = { tenantId: 't', keyId: 'k', scopes: [] }
const open = new AsyncDisposableStack()

beforeAll(async () => {
  const upstream = open.use(
    await startTestUpstream((request, response) => {
      asked++
      request.resume()
      request.on('end', () => response.end('END'))
    }),
  )
  const limited = (perMinute: number, by: 'ip' | 'key' | 'both') => ({ rateLimit: { perMinute, by } })
  gateway = open.use(
    await startTestGateway({
      upstreams: [createTestUpstreamConfig('up', upstream.port)],
      routes: [
        createTestRoute('/a', 'up', { bodyBytesMax: 100_000 }),
        createTestRoute('/get', 'up', { methods: ['GET', 'PUT'] }),
        createTestRoute('/key', 'up', { access: 'key', scopes: ['orders:read'] }),
        createTestRoute('/three', 'up', limited(3, 'ip')),
        createTestRoute('/each', 'up', { access: 'key', ...limited(3, 'both') }),
        createTestRoute('/keyed', 'up', { access: 'key', ...limited(3, 'key') }),
      ],
      trustProxy: ['127.0.0.0/8'],
      authenticate: async () => {
        if (principal instanceof RipstopError) throw principal
        return principal
      },
    }),
  )
})
afterAll(() => open.disposeAsync())

const isWhole = (answer: string): boolean => /\r\n\r\n[\s\S]*(\}\}|END)$/.test(answer)
const post = (headers: string, body = ''): string => `POST /a HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`

interface Refused {
  readonly status: number
  readonly head: string
  readonly error: { code: string; message: string; details: Record<string, unknown>; retry_after_ms?: number }
}

async function refusalOf(bytes: string): Promise<Refused> {
  const answer = await sendRaw(gateway.port, bytes, isWhole)
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return { status: Number(head.slice(9, 12)), head, error: JSON.parse(body).error }
}

describe('RH1: smuggling', () => {
  const cases: Readonly<Record<string, string>> = {
    'a length and chunks': post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    'two lengths': post('Content-Length: 5\r\nContent-Length: 6', 'hello'),
    'the same length twice': post('Content-Length: 5\r\nContent-Length: 5', 'hello'),
    'a list of lengths': post('Content-Length: 5, 5', 'hello'),
    'a signed length': post('Content-Length: +5', 'hello'),
    'a negative length': post('Content-Length: -5', 'hello'),
    'an empty length': post('Content-Length:', 'hello'),
    'a hexadecimal length': post('Content-Length: 0x5', 'hello'),
    'an encoding before chunked': post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'),
    'an encoding after chunked': post('Transfer-Encoding: chunked, identity', '0\r\n\r\n'),
    'an unknown encoding': post('Transfer-Encoding: xchunked', '0\r\n\r\n'),
    'chunked twice': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    'a vertical tab before chunked': post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n'),
    'a space before the colon': post('Transfer-Encoding : chunked', '0\r\n\r\n'),
    'a folded line': post('X: a\r\n b'),
    'a folded encoding': post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n'),
    'a bare line feed': 'GET /a HTTP/1.1\r\nHost: x\nX: y\r\n\r\n',
    'a bare carriage return': 'GET /a HTTP/1.1\r\nHost: x\rX: y\r\n\r\n',
    'a NUL': post('X: a\0b'),
    'a name that is none': post(': x'),
    'a line without a colon': post('foo'),
    'a line that begins with a space': 'GET /a HTTP/1.1\r\n Host: x\r\n\r\n',
    'two hosts': post('Host: y'),
    'no host': 'GET /a HTTP/1.1\r\n\r\n',
    'a list of hosts': 'GET /a HTTP/1.1\r\nHost: x, y\r\n\r\n',
    'another host in the target': 'GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n',
    'a fragment': 'GET /a/b#c HTTP/1.1\r\nHost: x\r\n\r\n',
    'dot segments': 'GET /a/../admin HTTP/1.1\r\nHost: x\r\n\r\n',
    'encoded dot segments': 'GET /a/%2e%2E%2fadmin HTTP/1.1\r\nHost: x\r\n\r\n',
    'a backslash': 'GET /a/..\\admin HTTP/1.1\r\nHost: x\r\n\r\n',
    'path parameters': 'GET /a/..;/admin HTTP/1.1\r\nHost: x\r\n\r\n',
    'chunks in HTTP/1.0': 'POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/2.0 in plain text': 'GET /a HTTP/2.0\r\nHost: x\r\n\r\n',
    'bytes beyond ASCII in the target': 'GET /a\xe9 HTTP/1.1\r\nHost: x\r\n\r\n',
  }
  for (const [what, bytes] of Object.entries(cases)) {
    test(`${what}: refused with 400, and the upstream hears nothing`, async () => {
      const before = asked
      const answer = await sendRaw(gateway.port, bytes, isWhole)
      expect(answer).toMatch(/^HTTP\/1.1 400 /)
      if (what !== 'no host') expect(answer).toContain('"code":"BAD_REQUEST"') // node itself answers that one
      expect(asked).toBe(before)
    })
  }

  const chunks: Readonly<Record<string, string>> = {
    'a size that is none': 'zz\r\nhello\r\n0\r\n\r\n',
    'a size with 0x': '0x5\r\nhello\r\n0\r\n\r\n',
    'a negative size': '-5\r\nhello\r\n0\r\n\r\n',
    'a size that overflows': '10000000000000005\r\nhello\r\n0\r\n\r\n',
    'a bare line feed after a size': '5\nhello\r\n0\r\n\r\n',
    'a line feed in an extension': '5;a\nb\r\nhello\r\n0\r\n\r\n',
    'data longer than its size': '5\r\nhelloXX0\r\n\r\n',
    'a length among the trailers': '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n',
  }
  for (const [what, body] of Object.entries(chunks)) {
    test(`${what}: what follows is never taken for a request`, async () => {
      const smuggled = 'GET /a/smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
      const answer = await sendRaw(gateway.port, post('Transfer-Encoding: chunked', body + smuggled))
      expect(answer.match(/HTTP\/1.1 /g)?.length ?? 0).toBeLessThanOrEqual(1)
      expect(answer).not.toMatch(/HTTP\/1.1 200/)
    })
  }
})

describe('limits', () => {
  test('a body that announces too much is refused before it is sent', async () => {
    const { status, error } = await refusalOf(post('Content-Length: 100001'))
    expect([status, error.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  test('RB2: chunks that become too much are cut off, with a refusal that can be read', async () => {
    const { socket, answer } = await openRaw(gateway.port)
    socket.write(post('Transfer-Encoding: chunked'))
    const piece = `${(50_000).toString(16)}\r\n${'x'.repeat(50_000)}\r\n`
    socket.write(piece.repeat(3))
    await until('the refusal is here', () => isWhole(answer()))
    expect(answer()).toMatch(/^HTTP\/1.1 413[\s\S]*PAYLOAD_TOO_LARGE/)
    socket.write('0\r\n\r\n')
    await until('the connection is closed', () => socket.closed)
    expect(gateway.link('up').breaker).toBe('closed')
  })

  test('a refused client that goes on sending is read for a while and then cut off', async () => {
    const { socket, answer } = await openRaw(gateway.port)
    socket.write(post('Content-Length: 90000000'))
    await until('the refusal is here', () => isWhole(answer()))
    const piece = Buffer.alloc(100_000)
    await until('it is cut off', () => {
      if (!socket.closed) socket.write(piece)
      return socket.closed
    })
    expect(socket.bytesWritten).toBeLessThan(90_000_000)
  })

  test('a head that is too large is 431', async () => {
    const { status, error } = await refusalOf(`GET /a HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`)
    expect([status, error.code]).toEqual([431, 'HEADERS_TOO_LARGE'])
  })

  test('a method that the route does not have is 405, with those that it has', async () => {
    const { status, error, head } = await refusalOf('DELETE /get HTTP/1.1\r\nHost: x\r\n\r\n')
    expect([status, error.code]).toEqual([405, 'METHOD_NOT_ALLOWED'])
    expect(head).toContain('\r\nAllow: GET, PUT\r\n')
    expect((await refusalOf('TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(405)
  })
})

describe('access', () => {
  const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`

  test('no key, a wrong key, and a key without the scope are told apart', async () => {
    principal = new RipstopError('UNAUTHENTICATED', 'there is no such key')
    const unknown = await refusalOf(get('/key'))
    expect([unknown.status, unknown.error.code]).toEqual([401, 'UNAUTHENTICATED'])
    expect(unknown.head).toContain('WWW-Authenticate: Bearer')
    principal = { tenantId: 't', keyId: undefined, scopes: [] }
    expect((await refusalOf(get('/key'))).status).toBe(401)
    principal = { tenantId: 't', keyId: 'k', scopes: ['orders:write'] }
    const lacking = await refusalOf(get('/key'))
    expect([lacking.status, lacking.error.code]).toEqual([403, 'FORBIDDEN'])
    expect(lacking.error.details).toMatchObject({ missing_scopes: ['orders:read'] })
    for (const scopes of [['orders:read'], ['admin']]) {
      principal = { tenantId: 't', keyId: 'k', scopes }
      expect(await sendRaw(gateway.port, get('/key'), isWhole)).toMatch(/^HTTP\/1.1 200/)
    }
  })

  test('a failure of the check itself is ours: 500 without a word of what it was', async () => {
    principal = {
      tenantId: 't',
      keyId: 'k',
      get scopes(): string[] {
        throw new Error('secret inside')
      },
    }
    const { status, error } = await refusalOf(get('/key'))
    expect([status, error.code]).toEqual([500, 'INTERNAL'])
    expect(JSON.stringify(error)).not.toContain('secret inside')
    expect(gateway.log.lines.at(-1)).toMatchObject({ event: 'gateway.failed' })
    principal = { tenantId: 't', keyId: 'k', scopes: [] }
  })

  test('a rate by address: every answer says what is left, the one too many when to come back', async () => {
    const from = (address: string) => get('/three', `X-Forwarded-For: ${address}\r\n`)
    for (const left of [2, 1, 0]) {
      const answer = await sendRaw(gateway.port, from('203.0.113.1'), isWhole)
      expect(answer).toMatch(new RegExp(`RateLimit-Policy: "ip";q=3;w=60\r\nRateLimit: "ip";r=${left};t=\\d+\r\n`))
    }
    const { status, error, head } = await refusalOf(from('203.0.113.1'))
    expect([status, error.code]).toEqual([429, 'RATE_LIMITED'])
    expect(error.retry_after_ms).toBeGreaterThan(15_000)
    expect(head).toMatch(/\r\nRetry-After: (19|20)\r\n/)
    expect(head).toContain('RateLimit: "ip";r=0;t=60')
    expect(await sendRaw(gateway.port, from('203.0.113.2'), isWhole)).toMatch(/^HTTP\/1.1 200/)
    expect(gateway.mesh.metrics.text()).toContain('rate_limited_total{route="/three",by="ip"} 1')
  })

  test('a rate by key follows the key over addresses; by both, the stricter counts', async () => {
    principal = { tenantId: 't', keyId: 'k7', scopes: [] }
    for (let index = 0; index < 3; index++) {
      const answer = await sendRaw(gateway.port, get('/keyed', `X-Forwarded-For: 203.0.113.${10 + index}\r\n`), isWhole)
      expect(answer).toMatch(/^HTTP\/1.1 200[\s\S]*RateLimit: "key";r=/)
      expect(answer).not.toContain('"ip"')
    }
    expect((await refusalOf(get('/keyed', 'X-Forwarded-For: 203.0.113.99\r\n'))).status).toBe(429)
    principal = { tenantId: 't', keyId: 'k8', scopes: [] }
    expect(await sendRaw(gateway.port, get('/keyed'), isWhole)).toMatch(/^HTTP\/1.1 200/)
    for (let index = 0; index < 3; index++) {
      principal = { tenantId: 't', keyId: `each-${index}`, scopes: [] }
      await sendRaw(gateway.port, get('/each', 'X-Forwarded-For: 203.0.113.50\r\n'), isWhole)
    }
    const { error } = await refusalOf(get('/each', 'X-Forwarded-For: 203.0.113.50\r\n'))
    expect(error.message).toContain('address')
  })
})

test('no refusal says where the upstream is', async () => {
  await using gone = await startTestGateway({
    upstreams: [createTestUpstreamConfig('gone', 1)],
    routes: [createTestRoute('/a', 'gone')],
    awaitUp: false,
  })
  const answer = await sendRaw(gone.port, 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n', isWhole)
  expect(answer).toMatch(/^HTTP\/1.1 503[\s\S]*LINK_DOWN/)
  expect(answer).not.toMatch(/127\.0\.0\.1|ECONN/)
  expect(answer).toMatch(/"trace_id":"[0-9a-f]{32}"/)
})
