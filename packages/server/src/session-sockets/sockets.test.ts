import { connect } from 'node:net'
import { background, createEnv, RipstopError } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import {
  connectVersioned,
  createBench,
  createLimits,
  createRules,
  startTestSockets,
  subscribe,
  TENANT,
  TestClient,
  until,
  versionsOf,
} from './sockets.fixture.ts'

/** A handshake, then bytes as they are. */
async function sendFrames(port: number, sessionId: string, frames: readonly Buffer[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (data) => {
    answer += data.toString('latin1')
  })
  socket.on('error', () => {}) // close follows
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.write(
    `GET /ws?sessionId=${sessionId} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  )
  await until('it is connected', () => answer.includes('CONNECTED'))
  for (const frame of frames) socket.write(frame)
  await closed
  return answer
}

/** Masked with zeros. */
function frame(first: number, payload: Buffer, length = payload.length): Buffer {
  const head = length < 126 ? Buffer.of(first, 0x80 | length) : Buffer.of(first, 0x80 | 126, length >> 8, length & 0xff)
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

const crowd = Array.from({ length: 1_000 }, (_, index) => ({
  participantId: `${String(index).padStart(8, '0')}-1111-4111-8111-111111111111`,
  groupId: undefined,
  control: createRules().participants[0]?.control as never,
}))

describe('a socket', () => {
  test.each([
    ['a request', [Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')], [1002]],
    ['a binary message', [frame(0x82, Buffer.from('{}'))], [1003]],
    ['text that is no UTF-8', [frame(0x81, Buffer.of(0xff, 0xfe))], [1007]],
    ['a message that is too large', [frame(0x81, Buffer.alloc(17_000, 0x20))], [1009]],
    ['fragments that are too large together', Array.from({ length: 20 }, (_, at) => frame(at === 0 ? 0x01 : 0x00, Buffer.alloc(1_000, 0x20))), [1009]], // biome-ignore format: a table
    ['endless fragments', Array.from({ length: 80 }, (_, at) => frame(at === 0 ? 0x01 : 0x00, Buffer.from(' '))), [1008, 1009]], // biome-ignore format: a table
    ['a frame without a mask', [Buffer.from('\x81\x02{}', 'latin1')], [1002]],
    ['a compressed frame', [frame(0xc1, Buffer.from('{}'))], [1002]],
  ])('WX3: %s ends it, and nothing else', async (_, frames, codes) => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { closeMs: 50 } })
    using neighbour = await subscribe(at.url, sessionId)
    const answer = await sendFrames(at.port, sessionId, frames)
    await until('it is counted', () => codes.some((code) => at.metrics.text().includes(`{code="${code}"} 1`)))
    // The closing frame is the last one.
    const closing = answer.slice(answer.lastIndexOf('\x88'))
    expect(codes).toContain(closing.charCodeAt(2) * 256 + closing.charCodeAt(3))
    expect(closing.length).toBe(2 + closing.charCodeAt(1))
    await bench.command({ tenantId: TENANT, sessionId }, { kind: 'start' })
    await neighbour.hears({ t: 'ev' })
    expect(at.log).toEqual([])
  })

  test('a message in fragments is a message', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench)
    const [one, two] = ['{"type":', '"PING"}'].map((text) => Buffer.from(text)) as [Buffer, Buffer]
    const answer = await sendFrames(at.port, sessionId, [
      frame(0x01, one),
      frame(0x80, two),
      frame(0x88, Buffer.alloc(0)),
    ])
    expect(answer).toContain('"PONG"')
  })

  test('WX3: more frames than a client has any use for end it, pings and probes included', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { framesPerSecond: 5 } })
    using prober = await subscribe(at.url, sessionId)
    for (let i = 0; i < 100; i++) prober.say({ t: 'p', i, c0: 0 })
    expect(await prober.ended()).toEqual({ code: 1008, reason: 'too many messages' })
    using pinger = await subscribe(at.url, sessionId)
    for (let i = 0; i < 100; i++) pinger.ws.ping()
    expect(await pinger.ended()).toEqual({ code: 1008, reason: 'too many messages' })
  })

  test('WX2: who is silent is cut off, who answers pings is not', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { pingMs: 60 } })
    using silent = await subscribe(at.url, sessionId, { autoPong: false })
    using alive = await subscribe(at.url, sessionId)
    expect(await silent.ended()).toEqual({ code: 1006, reason: '' })
    await until('it was pinged often', () => alive.pings.length > 5)
    expect(alive.closed).toBeUndefined()
  })

  test('WX4: who asks for nothing is sent away', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { subscribeMs: 30 } })
    using mute = connectVersioned(at.url, sessionId)
    expect(await mute.ended()).toEqual({ code: 1008, reason: 'nothing was asked for' })
    using plain = new TestClient<{ type: string }>(`${at.url}?sessionId=${sessionId}`)
    await plain.hears({ type: 'CONNECTED' })
    await until('all timers have passed', () => plain.pings.length > 0)
    expect(plain.closed).toBeUndefined()
  })

  test('WX4: a token that ends ends its socket, a key that is revoked too; one that nobody can check stays', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    const grant = { sessionId, role: 'spectator', participantId: undefined, place: undefined } as const
    let failure: Error | undefined = new RipstopError('LINK_DOWN', 'nobody can tell')
    let isAsked = false
    await using at = await startTestSockets(bench, {
      settings: { pingMs: 60 },
      authenticate: async ({ authorization }) => {
        const principal = { tenantId: TENANT, actor: 'a', scopes: ['sessions:read'] }
        if (authorization === 'Bearer rst_a') {
          return { ...principal, keyId: undefined, session: { ...grant, expiresMs: bench.service.nowMs() + 150 } }
        }
        if (isAsked && failure !== undefined) throw failure
        isAsked = true
        return { ...principal, keyId: '1' }
      },
    })
    using token = await subscribe(at.url, `${sessionId}&token=rst_a`)
    using key = await subscribe(at.url, sessionId, { headers: { authorization: 'Bearer rs_b' } })
    expect(await token.ended()).toEqual({ code: 1008, reason: 'the token has expired' })
    expect(await token.hears({ t: 'bye' })).toEqual({ t: 'bye', code: 'UNAUTHENTICATED' })
    await until('it was asked again', () => key.pings.length > 3)
    expect(key.closed).toBeUndefined()
    failure = new RipstopError('UNAUTHENTICATED', 'it was revoked')
    expect(await key.ended()).toEqual({ code: 1008, reason: 'UNAUTHENTICATED' })
  })

  test('WX1, FO5: who reads slowly is left out, then told how things stand, and goes on from there', {
    timeout: 20_000,
  }, async () => {
    const bench = createBench()
    const ref = await bench.create({ ...createRules(), participants: crowd })
    await using at = await startTestSockets(bench, { limits: createLimits(1_000), settings: { unsentBytesMax: 1e9 } })
    using quick = await subscribe(at.url, ref.sessionId)
    using slow = await subscribe(at.url, ref.sessionId)
    slow.ws.pause()
    const before = slow.heard.length
    // What the kernel's own buffers hold comes before our bound: a few MB on loopback.
    for (let i = 0; i < 60; i++) slow.say({ t: 'sub' })
    await bench.command(ref, { kind: 'start' })
    await quick.hears({ t: 'ev' })
    await until('it is behind', async () => {
      await bench.command(ref, { kind: 'switch' })
      return at.metrics.text().includes('session_sockets_coalesced_total 1')
    })
    for (let i = 0; i < 50; i++) await bench.command(ref, { kind: 'switch' })
    const { state } = await bench.service.read(bench.root, ref)
    await until('the quick one has all', () => versionsOf(quick).at(-1) === state.version)
    slow.ws.resume()
    await slow.hears({ t: 'resync', why: 'behind' })
    await bench.command(ref, { kind: 'pause' })
    const last = await slow.hears({ t: 'ev', pv: state.version })
    const resync = slow.heard.findIndex(({ t }) => t === 'resync')
    expect(slow.heard[resync + 1]).toMatchObject({ t: 'snap', v: state.version })
    expect(slow.heard.slice(resync + 2).filter(({ t }) => t === 'ev')).toEqual([last])
    expect(slow.heard.length - before).toBeLessThan(60 * 2 + 60)
  })

  test('WX1: who reads nothing is closed with 1013, whether it asks or only listens', { timeout: 20_000 }, async () => {
    const bench = createBench()
    const ref = await bench.create({ ...createRules(), participants: crowd })
    await using at = await startTestSockets(bench, {
      limits: createLimits(1_000),
      settings: { behindMs: 60_000, closeMs: 50 },
    })
    using asking = await subscribe(at.url, ref.sessionId)
    asking.ws.pause()
    for (let i = 0; i < 100; i++) asking.say({ t: 'sub' })
    await until('it is closed', () => at.metrics.text().includes('{code="1013"} 1'))
    await using plainly = await startTestSockets(bench, { settings: { behindMs: 100, closeMs: 50 } })
    using listening = new TestClient(`${plainly.url}?sessionId=${ref.sessionId}`)
    await listening.hears({ type: 'CONNECTED' })
    listening.ws.pause()
    await bench.command(ref, { kind: 'start' })
    await until('it is closed', async () => {
      await bench.command(ref, { kind: 'switch' })
      return plainly.metrics.text().includes('{code="1013"} 1')
    })
  })

  test('WX9: a drain sends all away, each with its own moment to come back, and cuts off who does not go', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { closeMs: 60_000 } })
    const clients = await Promise.all(Array.from({ length: 20 }, () => subscribe(at.url, sessionId)))
    using plain = new TestClient<{ type: string }>(`${at.url}?sessionId=${sessionId}`)
    await plain.hears({ type: 'CONNECTED' })
    const [deaf] = clients as [(typeof clients)[0]]
    deaf.ws.pause()
    using ctx = background(createEnv()).within(300)
    const closing = at.server.close(ctx)
    using late = connectVersioned(at.url, sessionId)
    await closing
    expect(await plain.ended()).toEqual({ code: 1001, reason: 'Server shutting down' })
    const moments = new Set<unknown>()
    for (const client of clients.slice(1)) {
      expect(await client.ended()).toEqual({ code: 1001, reason: 'Server shutting down' })
      const bye = await client.hears({ t: 'bye', code: 'DRAINING' })
      moments.add('retryMs' in bye ? bye.retryMs : undefined)
    }
    expect(moments.size).toBeGreaterThan(10)
    await until('it was refused', () => late.failure)
    await until('the deaf one is cut off', () => at.metrics.text().includes('session_sockets_open 0'))
    expect(bench.data.watchers.size).toBe(0)
    deaf.ws.resume()
    await deaf.ended()
  })

  test('WX9: what drains takes no more, and is done when its time is over, whoever stays', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { closeMs: 60_000 } })
    using deaf = await subscribe(at.url, sessionId)
    deaf.ws.pause()
    using ctx = background(createEnv()).within(100)
    const drained = at.sockets.drain(ctx)
    using late = connectVersioned(at.url, sessionId)
    await until('it was refused', () => late.failure?.includes('503'))
    await drained
    await until('it is cut off', () => at.metrics.text().includes('session_sockets_open 0'))
  })
})
