import { RipstopError } from '@ripstop/kernel'
import { serverMessageSchema } from '@ripstop/protocol'
import { apply, type SessionState } from '@ripstop/protocol/sessions'
import { describe, expect, test } from 'vitest'
import {
  connectVersioned,
  createBench,
  createLimits,
  createToken,
  delegate,
  startTestSockets,
  subscribe,
  until,
  type VersionedClient,
  versionsOf,
} from './sockets.fixture.ts'

const as = (role: 'owner' | 'participant' | 'spectator', place: number, sessionId: string) => ({
  protocols: ['ripstop.v1', `ripstop.token.${createToken(role, place, sessionId)}`],
})
const SWITCH = { kind: 'switch' } as const

/** What a client makes of what it heard. */
function stateOf(client: VersionedClient): SessionState | undefined {
  let state: SessionState | undefined
  for (const message of client.heard) {
    if (message.t === 'snap') state = message.st
    if (message.t === 'ev' && state !== undefined) state = apply(state, message.d)
  }
  return state
}

describe('ripstop.v1', () => {
  test('FO4, FO5, RV2: a snapshot, then every event; what clients make of them is the state', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const { sessionId } = ref
    await using at = await startTestSockets(bench)
    using white = await subscribe(at.url, sessionId, as('participant', 0, sessionId))
    using black = await subscribe(at.url, sessionId, as('participant', 1, sessionId))
    await bench.command(ref, { kind: 'start' })
    white.say({ t: 'cmd', op: '01A', c: SWITCH })
    await black.hears({ t: 'ev', o: '01A' })
    black.say({ t: 'cmd', op: '01B', c: SWITCH, e: 1, v: 3 })
    expect(await black.hears({ t: 'ack', op: '01B' })).toMatchObject({ e: 1, v: 4, lvl: 'accepted' })
    await white.hears({ t: 'ev', pv: 3 })
    await black.hears({ t: 'ev', pv: 3 })
    const { state } = await bench.service.read(bench.root, ref)
    for (const client of [white, black]) {
      expect(versionsOf(client)).toEqual([2, 3, 4])
      expect(stateOf(client)).toEqual(JSON.parse(JSON.stringify(state)))
      for (const message of client.heard) expect(serverMessageSchema.safeParse(message).error).toBeUndefined()
    }
    expect(white.heard[0]).toMatchObject({ t: 'hi', r: 'participant', p: 0, e: 1, v: 1 })
    expect(await black.hears({ t: 'snap' })).toMatchObject({ md: { table: 'é7' } })
    expect(at.log).toEqual([])
  })

  test('RV3: an operation is done once, also on another connection; that of another participant is another', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const { sessionId } = ref
    await using at = await startTestSockets(bench)
    await bench.command(ref, { kind: 'start' })
    using white = await subscribe(at.url, sessionId, as('participant', 0, sessionId))
    using again = await subscribe(at.url, sessionId, as('participant', 0, sessionId))
    using black = await subscribe(at.url, sessionId, as('participant', 1, sessionId))
    white.say({ t: 'cmd', op: '1', c: SWITCH })
    expect(await white.hears({ t: 'ack' })).toMatchObject({ op: '1', v: 3 })
    again.say({ t: 'cmd', op: '1', c: SWITCH })
    expect(await again.hears({ t: 'ack' })).toMatchObject({ op: '1', v: 3, rep: true })
    black.say({ t: 'cmd', op: '1', c: SWITCH })
    expect(await black.hears({ t: 'ack' })).toMatchObject({ op: '1', v: 4 })
    await until('all is told', () => versionsOf(again).at(-1) === 4)
    expect(versionsOf(again)).toEqual([3, 4])
  })

  test('RV3: what was decided on another version, or breaks a rule, is refused by name', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await using at = await startTestSockets(bench)
    using owner = await subscribe(at.url, ref.sessionId)
    owner.say({ t: 'cmd', op: 'a', c: { kind: 'pause' } })
    expect(await owner.hears({ t: 'nack', op: 'a' })).toMatchObject({ code: 'INVALID_STATE_TRANSITION' })
    owner.say({ t: 'cmd', op: 'b', c: { kind: 'start' }, v: 7 })
    expect(await owner.hears({ t: 'nack', op: 'b' })).toMatchObject({ code: 'CONFLICT' })
    owner.say({ t: 'cmd', op: 'c', c: { kind: 'start' }, e: 2, v: 1 })
    expect(await owner.hears({ t: 'nack', op: 'c' })).toMatchObject({ code: 'CONFLICT' })
    owner.say({ t: 'cmd', op: 'd', c: { kind: 'start' }, e: 1, v: 1 })
    expect(await owner.hears({ t: 'ack', op: 'd' })).toMatchObject({ v: 2 })
  })

  test('RV3: what may have been done, or can be tried again, says when; what broke is told to the log alone', async () => {
    const bench = createBench()
    const ref = await bench.create()
    let error: unknown
    const service = { ...delegate(bench.service), command: () => Promise.reject(error) }
    await using at = await startTestSockets({ service })
    using owner = await subscribe(at.url, ref.sessionId)
    error = new RipstopError('LINK_DOWN', 'redis is away', { retryAfterMs: 12.5 })
    owner.say({ t: 'cmd', op: 'a', c: { kind: 'start' } })
    expect(await owner.hears({ t: 'nack', op: 'a' })).toMatchObject({ code: 'LINK_DOWN', retryMs: 13 })
    error = new Error('secret')
    owner.say({ t: 'cmd', op: 'b', c: { kind: 'start' } })
    const told = await owner.hears({ t: 'nack', op: 'b' })
    expect(told).toMatchObject({ code: 'INTERNAL', retryMs: 1_000 })
    expect(JSON.stringify(told)).not.toContain('secret')
    expect(at.log).toMatchObject([{ event: 'session-sockets.defect' }])
  })

  test('RV5: a spectator only watches, a participant only ends his own turn, an owner may all', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const { sessionId } = ref
    await using at = await startTestSockets(bench)
    using spectator = await subscribe(at.url, sessionId, as('spectator', 0, sessionId))
    using black = await subscribe(at.url, sessionId, as('participant', 1, sessionId))
    using owner = await subscribe(at.url, sessionId, as('owner', 0, sessionId))
    owner.say({ t: 'cmd', op: 'a', c: { kind: 'start' } })
    await owner.hears({ t: 'ack', op: 'a' })
    spectator.say({ t: 'cmd', op: 'a', c: SWITCH })
    expect(await spectator.hears({ t: 'nack' })).toMatchObject({ code: 'FORBIDDEN' })
    black.say({ t: 'cmd', op: 'a', c: { kind: 'pause' } })
    expect(await black.hears({ t: 'nack', op: 'a' })).toMatchObject({ code: 'FORBIDDEN' })
    // As if it were white, and from far away.
    black.say({ t: 'cmd', op: 'b', c: { kind: 'switch', by: 0, lagMs: 5_000 } })
    expect(await black.hears({ t: 'nack', op: 'b' })).toMatchObject({ code: 'NOT_YOUR_TURN' })
    owner.say({ t: 'cmd', op: 'b', c: { kind: 'adjust', place: 1, byMs: 1_000, reason: 'arbiter' } })
    await owner.hears({ t: 'ack', op: 'b' })
    const log = await bench.service.log(bench.root, ref, { afterVersion: 0, limit: 10 })
    const actors = log.map(({ text }) => JSON.parse(text).actor as string)
    expect(actors.slice(1)).toEqual([`participant:undefined`, `participant:undefined`])
  })

  test('RV5: a key that may only read is a spectator', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const principal = { tenantId: ref.tenantId, actor: 'key:1', keyId: '1', scopes: ['sessions:read'] }
    await using at = await startTestSockets(bench, { authenticate: () => principal })
    using reader = await subscribe(at.url, ref.sessionId)
    expect(await reader.hears({ t: 'hi' })).toMatchObject({ r: 'spectator' })
    reader.say({ t: 'cmd', op: 'a', c: { kind: 'start' } })
    expect(await reader.hears({ t: 'nack' })).toMatchObject({ code: 'FORBIDDEN' })
  })

  test('RV4, WX3: probes are answered with server times, when messages are exhausted too; commands are then refused', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await using at = await startTestSockets(bench, { limits: createLimits(3) })
    using client = connectVersioned(at.url, ref.sessionId)
    await client.opened()
    client.say({ t: 'sub' })
    for (const op of ['a', 'b', 'c', 'd']) client.say({ t: 'cmd', op, c: { kind: 'start' }, v: 9 })
    expect(await client.hears({ t: 'nack', op: 'c' })).toMatchObject({ code: 'RATE_LIMIT_EXCEEDED', retryMs: 1_000 })
    const before = bench.service.exactMs()
    for (let i = 0; i < 100; i++) client.say({ t: 'p', i, c0: i / 8, u: 4 })
    const answer = await client.hears({ t: 'p', i: 99 })
    if (answer.t !== 'p') throw new Error('no probe')
    expect(answer.c0).toBe(99 / 8)
    expect(answer.s1).toBeGreaterThanOrEqual(before - 1)
    expect(answer.s2).toBeGreaterThanOrEqual(answer.s1)
    expect(at.metrics.text()).toContain('session_client_uncertainty_seconds_count 100')
    client.say({ t: 'sub' })
    expect(await client.ended()).toEqual({ code: 1008, reason: 'too many messages' })
    expect(await client.hears({ t: 'bye' })).toEqual({ t: 'bye', code: 'RATE_LIMIT_EXCEEDED' })
  })

  test('WX3: commands under way are bounded, what makes no sense is named, each counts', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const { promise, resolve } = Promise.withResolvers<void>()
    const service = delegate(bench.service)
    const slow = {
      ...service,
      command: async (...args: Parameters<typeof service.command>) => {
        await promise
        return service.command(...args)
      },
    }
    await using at = await startTestSockets({ service: slow }, { settings: { commandsMax: 2 } })
    using owner = await subscribe(at.url, ref.sessionId)
    for (const op of ['a', 'b', 'c']) owner.say({ t: 'cmd', op, c: { kind: 'start' } })
    expect(await owner.hears({ t: 'nack' })).toMatchObject({ op: 'c', code: 'SESSION_BUSY', retryMs: 1_000 })
    resolve()
    await owner.hears({ t: 'ack', op: 'a' })
    expect(await owner.hears({ t: 'nack', op: 'b' })).toMatchObject({ code: 'INVALID_STATE_TRANSITION' })
    owner.say('what?')
    expect(await owner.hears({ t: 'err' })).toMatchObject({ code: 'BAD_REQUEST' })
    owner.say({ t: 'cmd', op: 'd', c: { kind: 'pause' } })
    await owner.hears({ t: 'ack', op: 'd' })
  })

  test('who is there is told to all, gathered', async () => {
    const bench = createBench()
    const { sessionId } = await bench.create()
    await using at = await startTestSockets(bench, { settings: { presenceMs: 20 } })
    using watcher = await subscribe(at.url, sessionId, as('spectator', 0, sessionId))
    await watcher.hears({ t: 'pres', n: 1 })
    {
      using _black = await subscribe(at.url, sessionId, as('participant', 1, sessionId))
      using _twice = await subscribe(at.url, sessionId, as('participant', 1, sessionId))
      await until('black is there', () => watcher.heard.some((message) => message.t === 'pres' && message.p[0] === 1))
    }
    await until('black is gone', () => {
      const last = watcher.heard.findLast((message) => message.t === 'pres')
      return last?.t === 'pres' && last.p.length === 0 && last.n === 1
    })
  })

  test('a defect ends the socket that met it, and is told to the log alone', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const service = delegate(bench.service)
    let isBroken = false
    const exactMs = () => {
      if (isBroken) throw new Error('secret')
      return service.exactMs()
    }
    await using at = await startTestSockets({ service: { ...service, exactMs } })
    using met = await subscribe(at.url, ref.sessionId)
    using other = await subscribe(at.url, ref.sessionId)
    isBroken = true
    met.say({ t: 'p', i: 1, c0: 1 })
    expect(await met.ended()).toEqual({ code: 1011, reason: 'INTERNAL' })
    expect(at.log).toMatchObject([{ event: 'session-sockets.defect' }])
    isBroken = false
    other.say({ t: 'p', i: 1, c0: 1 })
    await other.hears({ t: 'p' })
  })

  test('RV5, WX5: the lag that is credited is what the server measured', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const { sessionId } = ref
    const asked: unknown[] = []
    const service = delegate(bench.service)
    const spied = {
      ...service,
      command: (...args: Parameters<typeof service.command>) => {
        asked.push(args[2])
        return service.command(...args)
      },
    }
    await using at = await startTestSockets({ service: spied })
    await bench.command(ref, { kind: 'start' })
    using white = await subscribe(at.url, sessionId, { ...as('participant', 0, sessionId), autoPong: false })
    const [ping] = await until('it is pinged', () => white.pings.length > 0 && white.pings)
    // One that it was not sent, at once; then that of the ping that it was, held back.
    const forged = Buffer.alloc(8)
    forged.writeDoubleBE((ping as Buffer).readDoubleBE(0) - 60_000)
    white.ws.pong(forged)
    const sinceMs = performance.now()
    await until('it is late', () => performance.now() - sinceMs > 60)
    white.ws.pong(ping)
    white.ws.pong(ping)
    white.say({ t: 'cmd', op: 'a', c: SWITCH })
    await white.hears({ t: 'ack' })
    const [{ lagMs, ...rest }] = asked as [{ lagMs: number }]
    expect(rest).toEqual({ kind: 'switch', by: 0 })
    expect(lagMs).toBeGreaterThanOrEqual(59)
    expect(lagMs).toBeLessThan(5_000)
  })
})
