// What the gateway does with `Prefer: respond-async`, with whoever stores it told what to say.

import { once } from 'node:events'
import { RipstopError } from '@ripstop/kernel'
import { afterEach, describe, expect, test } from 'vitest'
import { openRaw, sendRaw, startTestBed, type TestBed } from '../testing/gateway.ts'
import { until } from '../testing/processes.ts'
import { asksAsync, type Defer, type DeferrableRequest } from './deferring.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

const ID = '019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'

interface Bed {
  readonly url: string
  readonly port: number
  readonly stored: DeferrableRequest[]
  readonly sent: string[]
}

async function start(
  bed: TestBed = {},
  answer: () => ReturnType<Defer> = async () => ({ requestId: ID, isReplayed: false }),
): Promise<Bed> {
  const stored: DeferrableRequest[] = []
  const sent: string[] = []
  const defer: Defer = async (_ctx, request) => {
    stored.push(request)
    return answer()
  }
  const gateway = await startTestBed(
    open,
    (request, response) => {
      sent.push(`${request.method} ${request.url} ${request.headers.prefer ?? ''}`.trim())
      request.resume()
      response.end('now')
    },
    { ...bed, gateway: { defer, ...bed.gateway } },
  )
  return { url: gateway.url, port: gateway.port, stored, sent }
}

const ASYNC = { prefer: 'respond-async' }
const codeOf = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code

test('DF1: a request is stored, whole, and answered with where its answer will be', async () => {
  const { url, stored, sent } = await start()
  const headers = { ...ASYNC, 'idempotency-key': 'k1', authorization: 'Basic abc', 'x-api-key': 'rs_dev_secret' }
  const response = await fetch(`${url}/a/b?c=d`, { method: 'POST', headers, body: 'hello' })
  expect(response.status).toBe(202)
  expect(await response.json()).toEqual({ data: { id: ID, status_url: `/v1/deferred/${ID}` } })
  expect(response.headers.get('location')).toBe(`/v1/deferred/${ID}`)
  expect(response.headers.get('preference-applied')).toBe('respond-async')
  expect(response.headers.get('idempotency-replayed')).toBeNull()
  expect(response.headers.get('ratelimit-policy')).not.toBeNull()
  expect(sent).toEqual([])
  const [request] = stored
  expect(request).toMatchObject({
    tenantId: 'default',
    upstream: 'up',
    method: 'POST',
    path: '/a/b?c=d',
    repeatable: 'no',
    deadlineMs: 2_000,
    idempotencyKey: 'k1',
  })
  expect(String(request?.body)).toBe('hello')
  expect(request?.headers).toContain('Basic abc')
  expect(request?.headers).not.toContain('rs_dev_secret')
})

test('DF1: what is repeatable is what the gateway itself would repeat; a repetition says so', async () => {
  const { url, stored } = await start({}, async () => ({ requestId: ID, isReplayed: true }))
  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'POST']) {
    const response = await fetch(`${url}/a`, { method, headers: ASYNC })
    expect([response.status, response.headers.get('idempotency-replayed')]).toEqual([202, 'true'])
  }
  expect(stored.map(({ repeatable, body }) => [repeatable, body])).toEqual([
    ['by method', undefined],
    ['by method', undefined],
    ['by method', undefined],
    ['no', undefined],
    ['no', undefined],
  ])
  const keyed = await start({ route: { upstreamIdempotent: true } })
  await fetch(`${keyed.url}/a`, { method: 'POST', headers: ASYNC })
  expect(keyed.stored[0]).toMatchObject({ repeatable: 'by key', idempotencyKey: undefined })
})

test('DF1: what can not be stored is refused with 503, and the upstream never hears of it', async () => {
  const failure = new RipstopError('NOT_READY', 'the request could not be stored', { sent: 'no', retryAfterMs: 1_500 })
  const { url, sent } = await start({}, () => Promise.reject(failure))
  const response = await fetch(`${url}/a`, { method: 'POST', headers: ASYNC, body: 'x' })
  expect([response.status, response.headers.get('retry-after'), await codeOf(response)]).toEqual([
    503,
    '2',
    'NOT_READY',
  ])
  expect(sent).toEqual([])
})

test('DF1: without anybody to store it, or from a stranger on an open route, the preference goes to the upstream', async () => {
  const { url, sent } = await start({ gateway: { defer: undefined } })
  expect(await (await fetch(`${url}/a`, { headers: ASYNC })).text()).toBe('now')
  expect(sent).toEqual(['GET /a respond-async'])
  const strangers = await start({
    gateway: {
      authenticate: () => {
        throw new RipstopError('UNAUTHENTICATED', 'this needs an API key')
      },
    },
  })
  expect((await fetch(`${strangers.url}/a`, { headers: ASYNC })).status).toBe(200)
  expect(strangers.stored).toEqual([])
  const closed = await start({ route: { access: 'key' } })
  expect((await fetch(`${closed.url}/a`, { headers: ASYNC })).status).toBe(202)
})

test('DF1: where nobody can tell who asks, nothing is stored and nothing sent', async () => {
  const { url, sent, stored } = await start({
    gateway: { authenticate: () => Promise.reject(new RipstopError('LINK_DOWN', 'no database', { sent: 'no' })) },
  })
  expect((await fetch(`${url}/a`, { headers: ASYNC })).status).toBe(503)
  expect([sent, stored]).toEqual([[], []])
})

test('a preference is read as RFC 7240 writes it', () => {
  for (const yes of [
    'respond-async',
    'Respond-Async',
    'wait=10, respond-async',
    'respond-async; x=y,z',
    ' respond-async ',
    'a="b,c", respond-async',
    'respond-async=""',
  ])
    expect(asksAsync(yes), yes).toBe(true)
  for (const no of [
    '',
    'wait=10',
    'respond-asynchronously',
    'x-respond-async',
    'a="respond-async"',
    'a="b, respond-async, c"',
    'a=respond-async',
    String.raw`a="\", respond-async"`,
  ])
    expect(asksAsync(no), no).toBe(false)
})

describe('bodies', () => {
  test('DF2: one that is too long is refused, whether its length was said or not', async () => {
    const { url, port, stored, sent } = await start({ gateway: { limits: { deferBytes: 100_000 } } })
    const fits = await fetch(`${url}/a`, { method: 'POST', headers: ASYNC, body: 'x'.repeat(100_000) })
    expect([fits.status, stored[0]?.body?.length]).toEqual([202, 100_000])
    const known = await fetch(`${url}/a`, { method: 'POST', headers: ASYNC, body: 'x'.repeat(100_001) })
    expect([known.status, await codeOf(known)]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    const chunk = `186a0\r\n${'x'.repeat(100_000)}\r\n`
    const head = 'POST /a HTTP/1.1\r\nHost: x\r\nPrefer: respond-async\r\nTransfer-Encoding: chunked\r\n\r\n'
    const unknown = await sendRaw(port, `${head}${chunk}1\r\nx\r\n0\r\n\r\n`, (answer) => answer.includes('}}'))
    expect(unknown).toMatch(/^HTTP\/1.1 413/)
    const chunked = await sendRaw(port, `${head}${chunk}0\r\n\r\n`, (answer) => answer.includes('}}'))
    expect(chunked).toMatch(/^HTTP\/1.1 202/)
    expect([stored.length, stored[1]?.body?.length, sent]).toEqual([2, 100_000, []])
  })

  test('DF2: all of them together are bounded, and what was held is given back', async () => {
    const limits = { deferBytes: 10_000, replayBytesAll: 15_000 }
    let answerNow: (() => void) | undefined
    const { url, stored } = await start(
      { gateway: { limits } },
      () =>
        new Promise((resolve) => {
          answerNow = () => resolve({ requestId: ID, isReplayed: false })
        }),
    )
    const send = () => fetch(`${url}/a`, { method: 'POST', headers: ASYNC, body: 'x'.repeat(10_000) })
    const first = send()
    await until('it is being stored', () => stored.length === 1)
    const second = await send()
    expect([second.status, await codeOf(second)]).toEqual([503, 'OVERLOADED'])
    answerNow?.()
    expect((await first).status).toBe(202)
    const third = send()
    await until('it is being stored', () => stored.length === 2)
    answerNow?.()
    expect((await third).status).toBe(202)
  })

  test('DF1: a client that waits for leave gets it; one that leaves has stored nothing', async () => {
    const { port, stored, sent } = await start()
    const head = 'POST /a HTTP/1.1\r\nHost: x\r\nPrefer: respond-async\r\nContent-Length: 5\r\n'
    const { socket, answer } = await openRaw(port)
    socket.write(`${head}Expect: 100-continue\r\n\r\n`)
    await until('it may go on', () => answer().includes('100 Continue'))
    socket.write('hello')
    await until('it is stored', () => answer().includes('202 Accepted'))
    socket.destroy()
    const leaver = await openRaw(port)
    leaver.socket.write(`${head}\r\nhe`)
    leaver.socket.end()
    await once(leaver.socket, 'close')
    expect([stored.length, sent]).toEqual([1, []])
  })
})

test('an Idempotency-Key that is none, or two of them, is refused before anything is stored', async () => {
  const { port, stored } = await start()
  const head = 'POST /a HTTP/1.1\r\nHost: x\r\nPrefer: respond-async\r\nContent-Length: 0\r\n'
  for (const keys of [
    'Idempotency-Key: a\r\nIdempotency-Key: b\r\n',
    'Idempotency-Key: a b\r\n',
    `Idempotency-Key: ${'x'.repeat(256)}\r\n`,
  ])
    expect(await sendRaw(port, `${head}${keys}\r\n`, (answer) => answer.includes('}}'))).toMatch(/^HTTP\/1.1 400/)
  expect(stored).toEqual([])
})
