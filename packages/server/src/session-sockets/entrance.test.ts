import type { IncomingHttpHeaders } from 'node:http'
import { RipstopError } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import type { Caller } from '../sessions/limits.ts'
import { post, sendRaw, startTestServer } from '../testing/http.ts'
import {
  connectVersioned,
  createBench,
  createLimits,
  createToken,
  delegate,
  startTestSockets,
  subscribe,
  TestClient,
  until,
} from './sockets.fixture.ts'

const UNKNOWN = '99999999-9999-4999-8999-999999999999'

describe('the entrance', () => {
  test.each([
    ['no session', '', 'Missing sessionId parameter'],
    ['an empty session', '?sessionId=', 'Missing sessionId parameter'],
    ['a bad session id', '?sessionId=42', 'Invalid sessionId format'],
    ['an unknown session', `?sessionId=${UNKNOWN}`, 'SESSION_NOT_FOUND'],
    ['a token that is none', `?sessionId=${UNKNOWN}&token=admin`, 'UNAUTHENTICATED'],
    ['an empty token', `?sessionId=${UNKNOWN}&token=`, 'UNAUTHENTICATED'],
    ['a token that nobody knows', `?sessionId=${UNKNOWN}&token=rst_x`, 'UNAUTHENTICATED'],
  ])('WX6: %s is closed with 1008, on either protocol', async (_, query, reason) => {
    const bench = createBench()
    // As in open mode: whoever shows no key is let in.
    const authenticate = ({ authorization = '' }: IncomingHttpHeaders) => {
      if (authorization.startsWith('Bearer rst_')) throw new RipstopError('UNAUTHENTICATED', 'it was not made here')
      return { tenantId: 'tenant-1', actor: 'open', keyId: undefined, scopes: ['admin'] }
    }
    await using at = await startTestSockets(bench, { authenticate })
    for (const protocols of [[], ['ripstop.v1']]) {
      using client = new TestClient<{ t?: string; type?: string }>(`${at.url}${query}`, { protocols })
      expect(await client.ended()).toEqual({ code: 1008, reason })
      expect(client.heard.map(({ t, type }) => t ?? type)).toEqual([protocols.length === 0 ? 'ERROR' : 'bye'])
    }
    expect(at.metrics.text()).toContain('session_sockets_closed_total{code="1008"} 2')
    expect(at.metrics.text()).toContain('session_sockets_open 0')
  })

  test('WX7: a token is good for its session only, however it is sent; an id in capitals is the same', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    const other = await bench.create()
    await using at = await startTestSockets(bench)
    const token = createToken('participant', 1, sessionId)
    const ways = [
      connectVersioned(at.url, sessionId, { protocols: ['ripstop.v1', `ripstop.token.${token}`] }),
      connectVersioned(at.url, `${sessionId.toUpperCase()}&token=${token}`),
      connectVersioned(at.url, sessionId, { headers: { authorization: `Bearer ${token}` } }),
    ]
    for (const client of ways) {
      using _ = client
      await client.opened()
      expect(client.ws.protocol).toBe('ripstop.v1')
      client.say({ t: 'sub' })
      expect(await client.hears({ t: 'hi' })).toMatchObject({ r: 'participant', p: 1 })
    }
    using stranger = connectVersioned(at.url, `${other.sessionId}&token=${token}`)
    expect(await stranger.ended()).toEqual({ code: 1008, reason: 'SESSION_NOT_FOUND' })
  })

  test('HG1, HG2: a page of another origin comes in with a token where there are keys, and not at all in open mode', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    const headers = { origin: 'https://chess.example' }
    await using open = await startTestSockets(bench)
    using refused = connectVersioned(open.url, sessionId, { headers })
    await until('it is refused', () => refused.failure)
    expect(refused.failure).toContain('403')
    const authenticate = ({ authorization }: IncomingHttpHeaders) => {
      if (authorization === 'Bearer rs_key')
        return { tenantId: 'tenant-1', actor: 'key:1', keyId: '1', scopes: ['admin'] }
      throw new RipstopError('UNAUTHENTICATED', 'this needs a key')
    }
    await using keys = await startTestSockets(bench, { authenticate, server: { mode: 'keys' } })
    using anonymous = connectVersioned(keys.url, sessionId, { headers })
    expect(await anonymous.ended()).toEqual({ code: 1008, reason: 'UNAUTHENTICATED' })
    using _known = await subscribe(keys.url, sessionId, { headers: { ...headers, authorization: 'Bearer rs_key' } })
    using logged = connectVersioned(keys.url, `${sessionId}&token=rs_key`, { headers })
    expect(await logged.ended()).toEqual({ code: 1008, reason: 'UNAUTHENTICATED' })
  })

  test('WX8: one socket too many is refused by HTTP, one too many of a session by 1013; both say when to come back', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { socketsMax: 2, socketsPerSessionMax: 1 } })
    using _first = await subscribe(at.url, sessionId)
    using second = connectVersioned(at.url, sessionId)
    expect(await second.ended()).toEqual({ code: 1013, reason: 'OVERLOADED' })
    expect(await second.hears({ t: 'bye' })).toMatchObject({ retryMs: expect.any(Number) })
    using _other = await subscribe(at.url, (await bench.create()).sessionId)
    const head = `GET /ws?sessionId=${sessionId} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
    const answer = await sendRaw(at.port, head + key)
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toContain('Retry-After: 1')
    expect(answer).toContain('"OVERLOADED"')
  })

  test('WX7: who connects too often is told when to come back, and is in no channel; a defect is told to the log alone', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    let refusal: Error = new RipstopError('RATE_LIMIT_EXCEEDED', 'too many connections', { retryAfterMs: 9_500 })
    const asked: unknown[] = []
    const connect = async ({ principal, address }: Caller) => {
      asked.push([principal.actor, address])
      await new Promise((resolve) => setImmediate(resolve))
      throw refusal
    }
    await using at = await startTestSockets(bench, { limits: { ...createLimits(9), connect } })
    using often = connectVersioned(at.url, sessionId)
    expect(await often.ended()).toEqual({ code: 1013, reason: 'RATE_LIMIT_EXCEEDED' })
    const bye = await often.hears({ t: 'bye' })
    expect(bye.t === 'bye' && bye.retryMs).toBeGreaterThanOrEqual(9_500)
    refusal = new Error('secret')
    using broken = connectVersioned(at.url, sessionId)
    expect(await broken.ended()).toEqual({ code: 1011, reason: 'INTERNAL' })
    expect(asked[0]).toEqual(['open', '127.0.0.1'])
    expect(at.log).toMatchObject([{ event: 'session-sockets.defect' }])
    expect(bench.data.watchers.size).toBe(0)
  })

  test('WX7: a key that may not read sessions is refused', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    const principal = { tenantId: 'tenant-1', actor: 'key:1', keyId: '1', scopes: ['events:read'] }
    await using at = await startTestSockets(bench, { authenticate: () => principal })
    using client = connectVersioned(at.url, sessionId)
    expect(await client.ended()).toEqual({ code: 1008, reason: 'FORBIDDEN' })
  })

  test('where nobody can tell who it is, or how the session stands, it is to come back', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    let failure: Error = new RipstopError('LINK_DOWN', 'postgres is away')
    const service = { ...delegate(bench.service), read: () => Promise.reject(failure) }
    await using at = await startTestSockets({ service })
    using away = connectVersioned(at.url, sessionId)
    expect(await away.ended()).toEqual({ code: 1013, reason: 'LINK_DOWN' })
    expect(await away.hears({ t: 'bye' })).toMatchObject({ code: 'LINK_DOWN', retryMs: expect.any(Number) })
    failure = new Error('secret')
    using broken = connectVersioned(at.url, sessionId)
    expect(await broken.ended()).toEqual({ code: 1011, reason: 'INTERNAL' })
    expect(bench.data.watchers.size).toBe(0)
  })

  test('/ws without a WebSocket, a bad handshake and other paths are what they are without sockets', async () => {
    const bench = createBench()
    await using at = await startTestSockets(bench)
    const http = `http://127.0.0.1:${at.port}`
    expect((await fetch(`${http}/ws`)).status).toBe(404)
    expect((await fetch(`${http}/ws`, post({}))).status).toBe(404)
    const head = 'HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n'
    expect(await sendRaw(at.port, `GET /ws?sessionId=${UNKNOWN} ${head}`)).toMatch(/^HTTP\/1\.1 400 /)
    expect(await sendRaw(at.port, `GET /wsx?sessionId=${UNKNOWN} ${head}`)).toMatch(/^HTTP\/1\.1 404 /)
    await using without = await startTestServer({ routes: [] })
    expect(await sendRaw(without.server.port, `GET /ws ${head}`)).toMatch(/^HTTP\/1\.1 404 /)
  })
})
