import { systemClock } from '@ripstop/kernel'
import { settle } from '@ripstop/kernel/testing'
import type { ServerMessage } from '@ripstop/protocol/sessions'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket as WsSocket } from 'ws'
import {
  createFalseEnvironment,
  createStillEnvironment,
  type FalseEnvironment,
  ScriptedSocket,
} from './environment.fixture.ts'
import { connectSession } from './index.ts'
import { createStage, isLive, live, until, versionOf } from './live-session.fixture.ts'
import { ALICE, BOB, SESSION_ID } from './session-server.fixture.ts'

const { startServer, connect, clean } = createStage()
afterEach(clean)

describe('following', () => {
  test('SC7: with the global WebSocket and with that of ws: live, and the same object until something changes', async () => {
    const server = await startServer()
    for (const options of [{}, { WebSocket: WsSocket }]) {
      const session = connect(server, options)
      expect(session.getSnapshot()).toMatchObject({ status: 'connecting', session: undefined })
      let changes = 0
      const { subscribe } = session // as a UI library would use it
      const stop = subscribe(() => changes++)
      await live(session)
      const before = session.getSnapshot()
      expect(session.getSnapshot()).toBe(before)
      expect(before).toMatchObject({ role: 'owner', metadata: { title: 'final' }, createdMs: 1, pending: [] })
      const text = JSON.stringify(before)
      const seen = changes
      server.command({ kind: server.state.status === 'pending' ? 'start' : 'switch' })
      await until('it is told', () => session.getSnapshot().session?.version === server.state.version)
      expect([changes > seen, session.getSnapshot() === before, JSON.stringify(before) === text]).toEqual([
        true,
        false,
        true,
      ])
      stop()
      session.close()
    }
  })

  test('SC9: clocks are shown by the server’s time, though the local ones are a day off', async () => {
    const server = await startServer()
    const session = connect(server)
    expect(session.uncertaintyMs()).toBe(Number.POSITIVE_INFINITY)
    await live(session)
    server.command({ kind: 'start' })
    server.aheadMs += 0
    await until('probes were answered', () => session.uncertaintyMs() < 50 && versionOf(session) === 2)
    await until('time passes', () => (session.remaining(ALICE) ?? 60_000) < 59_950)
    const [nowMs, uncertaintyMs, serverMs] = [session.now(), session.uncertaintyMs(), server.nowMs()]
    expect(Math.abs(nowMs - serverMs)).toBeLessThanOrEqual(uncertaintyMs + 2)
    const shownMs = session.remaining(ALICE) as number
    expect(Math.abs(shownMs - (60_000 - (server.nowMs() - (server.state.turnSinceMs as number))))).toBeLessThan(60)
    expect([session.remaining(BOB), session.remaining('nobody')]).toEqual([60_000, undefined])
    server.command({ kind: 'pause' })
    await until('it is paused', () => versionOf(session) === 3)
    const restingMs = session.remaining(ALICE)
    await until('time passes', () => session.now() > nowMs + 100)
    expect(session.remaining(ALICE)).toBe(restingMs)
  })

  test('SC5: after a gap the rest is asked for, from the place where it stands', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    server.command({ kind: 'start' })
    await until('it is told', () => versionOf(session) === 2)
    server.loseEvents(2)
    server.command({ kind: 'switch' })
    server.command({ kind: 'switch' })
    server.command({ kind: 'switch' })
    await until('it caught up', () => versionOf(session) === 5)
    expect(session.getSnapshot().confirmed).toEqual(server.state)
    expect(server.subscriptions).toEqual([{ t: 'sub' }, { t: 'sub', since: { e: 1, v: 2 } }])
  })

  test('SC5: a new epoch goes on, or, where it branched off before, begins anew', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    server.command({ kind: 'start' })
    server.beginEpoch()
    await until('the epoch is followed', () => session.getSnapshot().place?.epoch === 2)
    expect(session.getSnapshot().confirmed).toEqual(server.state)

    server.command({ kind: 'switch' })
    server.command({ kind: 'switch' })
    await until('it is told', () => versionOf(session) === 5)
    server.terminateAll()
    server.beginEpoch(2)
    await until('it is elsewhere', () => session.getSnapshot().place?.epoch === 3 && isLive(session)())
    expect(session.getSnapshot().confirmed).toEqual(server.state)
    expect(server.subscriptions.at(-1)).toEqual({ t: 'sub', since: { e: 2, v: 5 } })
  })

  test('SC5, SC6: events told twice, garbage and what a later version may say change nothing', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    server.command({ kind: 'start' })
    await until('it is told', () => versionOf(session) === 2)
    const { confirmed } = session.getSnapshot()
    const event = { t: 'ev', e: 1, pe: 1, pv: 1, d: { kind: 'started', version: 2, atMs: 5, active: 0 } } as const
    for (const text of ['', 'null', '{', '[1]', '{"t":"tomorrow"}', '{"t":"p","i":9999,"s1":1,"s2":2}'])
      server.tellAll(text)
    server.tellAll(event)
    server.tellAll({ t: 'ack', op: 'of-nobody', e: 9, v: 9, lvl: 'durable' })
    server.tellAll({ t: 'pres', p: [1], n: 3 })
    await until('presence is known', () => session.getSnapshot().present.others === 3)
    expect(session.getSnapshot().present.participantIds).toEqual([BOB])
    expect([session.getSnapshot().confirmed, isLive(session)()]).toEqual([confirmed, true])

    // An event that this version doesn't know: the snapshot after it is asked for.
    const unknown = { ...event, pv: 2, d: { kind: 'juggled', version: 3, atMs: 6 } } as unknown as ServerMessage
    server.tellAll(unknown)
    await until('it asked', () => server.subscriptions.length === 2 && session.getSnapshot().confirmed !== undefined)
    expect(server.subscriptions[1]).toEqual({ t: 'sub' })
  })

  test('a listener that throws breaks neither the session nor other listeners', async () => {
    const server = await startServer()
    const env = createFalseEnvironment()
    const thrown: unknown[] = []
    const schedule: typeof env.clock.schedule = (delayMs, fire) =>
      env.clock.schedule(delayMs, () => {
        try {
          fire()
        } catch (error) {
          thrown.push(error)
        }
      })
    const session = connect(server, { env: { ...env, clock: { ...env.clock, schedule } } })
    session.subscribe(() => {
      throw new Error('a defect of the program')
    })
    let changes = 0
    session.subscribe(() => changes++)
    await live(session)
    await until('it came out', () => thrown.length > 0 && changes > 0)
  })
})

describe('coming back', () => {
  test('SC1: after a thousand disconnects it is live, and no event is missing', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    server.command({ kind: 'start' })
    for (let round = 0; round < 1_000; round++) {
      const { length } = server.subscriptions
      server.terminateAll()
      if (round % 10 === 0) server.command({ kind: 'switch' })
      await until('it is back', () => server.subscriptions.length > length)
    }
    await until('it caught up', () => isLive(session)() && versionOf(session) === server.state.version)
    expect(session.getSnapshot().confirmed).toEqual(server.state)
    // Replay, never everything again.
    expect(server.subscriptions.filter(({ since }) => since === undefined)).toHaveLength(1)
  }, 60_000)

  test('the server says when: it is not there before, and comes back by itself', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    const saidMs = systemClock.monoMs()
    server.tellAll({ t: 'bye', code: 'DRAINING', retryMs: 300 })
    await until('it is away', () => session.getSnapshot().status === 'reconnecting')
    await live(session)
    expect(systemClock.monoMs() - saidMs).toBeGreaterThanOrEqual(299)
  })

  test('the server says that it is no use: closed, with the reason, for the queue as well', async () => {
    const server = await startServer()
    server.hook = ({ t }) => t === 'cmd'
    const session = connect(server)
    await live(session)
    const asked = session.command({ kind: 'start' })
    await until('it was sent', () => server.commands.length === 1)
    server.tellAll({ t: 'bye', code: 'SESSION_NOT_FOUND' })
    await expect(asked).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND', sent: 'maybe' })
    expect(session.getSnapshot()).toMatchObject({ status: 'closed', error: { code: 'SESSION_NOT_FOUND' } })
    await expect(session.command({ kind: 'start' })).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' })
  })

  test('a token is asked for at each connection, and its end is no end where there are others', async () => {
    const server = await startServer()
    let count = 0
    const session = connect(server, { token: async () => `rst_${++count}` })
    await live(session)
    server.tellAll({ t: 'bye', code: 'UNAUTHENTICATED' })
    await until('it is back', () => server.tokens.length === 2 && isLive(session)())
    expect(server.tokens).toEqual(['rst_1', 'rst_2'])
    const other = connect(server, { token: 'rst_fixed' })
    await live(other)
    server.tellAll({ t: 'bye', code: 'UNAUTHENTICATED' })
    await until('it is over', () => other.getSnapshot().status === 'closed')
  })

  test('SC3, SC4: it sleeps for an hour on a connection that died: a burst of probes, then another connection', async () => {
    const server = await startServer()
    const env = createFalseEnvironment()
    const session = connect(server, { env })
    await live(session)
    await until('the time is known', () => session.uncertaintyMs() < 50)
    // The clock of the browser stood still, that of the server did not.
    server.aheadMs += 3_600_000
    env.jump({ wallMs: 3_600_000 })
    env.wake()
    await until('the time is right again', () => Math.abs(session.now() - server.nowMs()) < 20)
    server.hook = ({ t }) => t === 'p' // it answers no probe any more
    await until('probes are under way', () => server.probes > 0)
    const probes = server.probes
    await until('one more', () => server.probes > probes)
    env.jump({ monoMs: 1_900, wallMs: 1_900 })
    const [before] = server.sockets
    // Nearly two seconds at a time: each is less than a gap, so it counts as silence.
    for (let step = 0; step < 8; step++) {
      const seen = server.probes
      await until('it probed again', () => server.probes > seen || !server.sockets.has(before as never))
      env.jump({ monoMs: 1_900, wallMs: 1_900 })
    }
    server.hook = () => false
    await until('it is live on another', () => isLive(session)() && !server.sockets.has(before as never))
  })

  test('SC3: the local clock jumps: the time that is shown follows the server’s, and never goes back', async () => {
    const server = await startServer()
    const env: FalseEnvironment = createFalseEnvironment()
    const session = connect(server, { env })
    await live(session)
    await until('the time is known', () => session.uncertaintyMs() < 50)
    let beforeMs = session.now()
    for (const monoMs of [3_600_000, -7_200_000, 40]) {
      env.jump({ monoMs })
      env.wake()
      await until('it is right again, or waited for', () => {
        const nowMs = session.now()
        expect(nowMs).toBeGreaterThanOrEqual(beforeMs)
        beforeMs = nowMs
        return Math.abs(nowMs - server.nowMs()) < 60 || session.uncertaintyMs() >= 3_000_000
      })
    }
  })

  test('a forged time of the server is bounded by what it says of itself', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    await until('the time is known', () => session.uncertaintyMs() < 50)
    server.hook = (message, socket) => {
      if (message.t !== 'p') return false
      const forgedMs = server.nowMs() * (message.i % 2 === 0 ? 2 : -3)
      socket.send(
        JSON.stringify({ t: 'p', i: message.i, c0: 0, s1: forgedMs, s2: message.i % 3 === 0 ? null : forgedMs }),
      )
      return true
    }
    const { probes } = server
    await until('probes were forged', () => server.probes > probes + 6)
    expect(Math.abs(session.now() - server.nowMs())).toBeLessThan(60)
  })
})

test('what can’t be connected to is said at once', () => {
  expect(() => connectSession({ url: 'nowhere', sessionId: SESSION_ID })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID' }),
  )
})

describe('on a connection that is scripted', () => {
  async function connectScripted() {
    ScriptedSocket.opened = []
    const env = createStillEnvironment()
    const session = connectSession({ url: 'http://nowhere', sessionId: SESSION_ID, env, WebSocket: ScriptedSocket })
    await settle()
    const [socket] = ScriptedSocket.opened as [ScriptedSocket]
    socket.fire('open')
    const tell = (message: object): void => socket.fire('message', JSON.stringify(message))
    return {
      env,
      session,
      socket,
      tell,
      /** Lets time pass while probes are answered; how many those were. */
      pass: async (ms: number) => {
        let probes = 0
        for (let passedMs = 0; passedMs < ms; passedMs += 100) {
          for (const text of socket.sent.splice(0)) {
            const { t, i } = JSON.parse(text) as { t: string; i: number }
            if (t === 'p') tell({ t, i, c0: 0, s1: env.clock.monoMs(), s2: env.clock.monoMs() })
            if (t === 'p') probes++
          }
          await env.clock.advance(100)
        }
        return probes
      },
    }
  }

  test('SC5: a server that does not say how things stand within 10 s is given up for another', async () => {
    const { env, session, socket, pass } = await connectScripted()
    await pass(9_900)
    expect(socket.isClosed).toBe(false)
    await pass(1_000)
    expect([socket.isClosed, ScriptedSocket.opened.length]).toEqual([true, 2])
    session.close()
    expect(env.clock.pending()).toBe(0)
  })

  test('SC3: woken, it probes often, without waiting for its turn', async () => {
    const { env, tell, pass } = await connectScripted()
    tell({ t: 'hi', r: 'owner', s: 1, e: 1, v: 1 })
    tell({ t: 'snap', e: 1, v: 1, st: {}, md: {}, at: 1, lvl: 'durable' })
    await pass(60_000)
    expect(await pass(1_000)).toBeLessThan(4)
    env.wake()
    expect(await pass(1_000)).toBeGreaterThan(12)
  })

  test('SC5: after resync what comes is believed, also where it is older', async () => {
    const { session, tell } = await connectScripted()
    const snap = { t: 'snap', md: {}, at: 1, lvl: 'durable' }
    tell({ t: 'hi', r: 'owner', s: 1, e: 1, v: 9 })
    tell({ ...snap, e: 1, v: 9, st: { which: 'first' } })
    tell({ ...snap, e: 1, v: 8, st: { which: 'late' } })
    expect(session.getSnapshot().confirmed).toEqual({ which: 'first' })
    tell({ t: 'resync', e: 1, why: 'branch' })
    expect(session.getSnapshot().confirmed).toEqual({ which: 'first' }) // shown until there is something better
    tell({ ...snap, e: 1, v: 8, st: { which: 'other' } })
    expect(session.getSnapshot()).toMatchObject({ confirmed: { which: 'other' }, place: { version: 8 } })
  })
})
