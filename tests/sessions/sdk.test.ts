// The sdk's client over the server's own sockets: what one side says is what the other hears.

import { startFaultProxy } from '@ripstop/faults'
import { systemClock } from '@ripstop/kernel'
import { connectSession, type LiveSession } from '@ripstop/sdk/sessions'
import { afterEach, describe, expect, test } from 'vitest'
import {
  createBench,
  createToken,
  PLAYERS,
  startTestSockets,
  until,
} from '../../packages/server/src/session-sockets/sockets.fixture.ts'

const [WHITE, BLACK] = PLAYERS
const open: LiveSession[] = []
afterEach(() => {
  for (const session of open.splice(0)) session.close()
})

function connect(url: string, sessionId: string, role: 'owner' | 'participant' | 'spectator', place = 0): LiveSession {
  // Pauses as of one who is lucky with the jitter.
  const env = { clock: systemClock, random: () => 0.01, onWake: () => () => {} }
  const session = connectSession({ url, sessionId, token: createToken(role, place, sessionId), env })
  open.push(session)
  return session
}

const live = (...sessions: readonly LiveSession[]) =>
  until('all are live', () => sessions.every((session) => session.getSnapshot().status === 'live'))
const at = (version: number, ...sessions: readonly LiveSession[]) =>
  until(`all are at ${version}`, () => sessions.every((session) => session.getSnapshot().place?.version === version))

describe('client and server', () => {
  test('two players and a spectator see the same session, and the same clocks', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await using sockets = await startTestSockets(bench)
    const white = connect(sockets.url, ref.sessionId, 'participant', 0)
    const black = connect(sockets.url, ref.sessionId, 'participant', 1)
    const spectator = connect(sockets.url, ref.sessionId, 'spectator')
    await live(white, black, spectator)
    expect(white.getSnapshot()).toMatchObject({ role: 'participant', participantId: WHITE, metadata: { table: 'é7' } })
    await bench.command(ref, { kind: 'start' })
    await at(2, white, black, spectator)
    const made = await white.command({ kind: 'switch' })
    expect(made).toMatchObject({ version: 3, isRepeated: false })
    await black.command({ kind: 'switch' })
    await at(4, white, black, spectator)
    const { state } = await bench.service.read(bench.root, ref)
    for (const session of open) expect(session.getSnapshot().session).toEqual(JSON.parse(JSON.stringify(state)))
    await until('the time is known', () => open.every((session) => session.uncertaintyMs() < 100))
    const shown = open.map((session) => session.remaining(WHITE) as number)
    expect(Math.max(...shown) - Math.min(...shown)).toBeLessThan(50)
    for (const session of open)
      expect(Math.abs(session.now() - bench.service.exactMs())).toBeLessThanOrEqual(session.uncertaintyMs() + 5)
    await until('all are seen', () => spectator.getSnapshot().present.participantIds.length === 2)
  })

  test('a move out of turn, and one of a spectator, is refused and shown to nobody', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await using sockets = await startTestSockets(bench)
    const black = connect(sockets.url, ref.sessionId, 'participant', 1)
    const spectator = connect(sockets.url, ref.sessionId, 'spectator')
    await live(black, spectator)
    await bench.command(ref, { kind: 'start' })
    await at(2, black, spectator)
    await expect(black.command({ kind: 'switch' })).rejects.toMatchObject({ code: 'NOT_YOUR_TURN' })
    await expect(black.command({ kind: 'pause' })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(spectator.command({ kind: 'switch' })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect([black, spectator].map((session) => session.getSnapshot().session?.active)).toEqual([0, 0])
    const owner = connect(sockets.url, ref.sessionId, 'owner')
    await live(owner)
    const late = owner.command({ kind: 'pause' }, { ifAt: { epoch: 1, version: 1 } })
    await expect(late).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  test('over two processes, while connections are cut all the time, every move is made once and in order', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await using one = await startTestSockets(bench)
    await using two = await startTestSockets(createBench(bench.data))
    await using proxy = await startFaultProxy({ upstream: { host: '127.0.0.1', port: one.port } })
    const owner = connect(proxy.url('http'), ref.sessionId, 'owner')
    const spectator = connect(proxy.url('http'), ref.sessionId, 'spectator')
    await live(owner, spectator)
    await owner.command({ kind: 'start' })
    const answers = Array.from({ length: 40 }, () => owner.command({ kind: 'switch' }))
    let [cuts, isOver] = [0, false]
    const cutting = (async () => {
      for (; !isOver; cuts++) {
        await until('somebody is live', () => isOver || owner.getSnapshot().status === 'live')
        // The other process, and the open connections are ended.
        await proxy.configure({ upstream: { host: '127.0.0.1', port: cuts % 2 === 0 ? two.port : one.port } })
        await until('it was noticed', () => isOver || owner.getSnapshot().status !== 'live')
      }
    })()
    const made = await Promise.all(answers)
    isOver = true
    await cutting
    const { state } = await bench.service.read(bench.root, ref)
    expect([made.length, state.version]).toEqual([40, 42])
    await at(42, owner, spectator)
    for (const session of open) expect(session.getSnapshot().session).toEqual(JSON.parse(JSON.stringify(state)))
    expect(cuts).toBeGreaterThan(3)
  }, 60_000)

  test('it is deleted: closed, with the reason; one that was never there as well', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await using sockets = await startTestSockets(bench)
    const owner = connect(sockets.url, ref.sessionId, 'owner')
    await live(owner)
    await bench.service.remove(bench.root, ref)
    await until('it is over', () => owner.getSnapshot().status === 'closed')
    const nowhere = '00000000-0000-4000-8000-999999999999'
    const none = connect(sockets.url, nowhere, 'owner')
    await until('it is over', () => none.getSnapshot().status === 'closed')
    for (const session of [owner, none]) expect(session.getSnapshot().error?.code).toBe('SESSION_NOT_FOUND')
  })

  test('the server drains: told when to come back, and back elsewhere with what was asked meanwhile', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const first = await startTestSockets(bench)
    await using proxy = await startFaultProxy({ upstream: { host: '127.0.0.1', port: first.port } })
    const owner = connect(proxy.url('http'), ref.sessionId, 'owner')
    await live(owner)
    await using second = await startTestSockets(createBench(bench.data))
    await first.sockets.drain(bench.root.within(2_000))
    await until('it is away', () => owner.getSnapshot().status === 'reconnecting')
    await proxy.configure({ upstream: { host: '127.0.0.1', port: second.port } })
    await first[Symbol.asyncDispose]()
    const asked = owner.command({ kind: 'start', first: BLACK })
    expect(owner.getSnapshot().session).toMatchObject({ status: 'running', active: 1 })
    await expect(asked).resolves.toMatchObject({ version: 2 })
  }, 60_000)
})
