import { afterEach, describe, expect, test } from 'vitest'
import { createFalseEnvironment } from './environment.fixture.ts'
import { createStage, live, until, versionOf } from './live-session.fixture.ts'
import { ALICE, BOB } from './session-server.fixture.ts'

const { startServer, connect, clean } = createStage()
afterEach(clean)

describe('commands', () => {
  test('SC8: a command shows at once, and is confirmed by its event', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    const asked = session.command({ kind: 'start', first: BOB })
    expect(session.getSnapshot()).toMatchObject({
      session: { status: 'running', active: 1 },
      confirmed: { status: 'pending' },
    })
    const answer = await asked
    expect(answer).toMatchObject({ epoch: 1, version: 2, level: 'durable', isRepeated: false })
    await until('nothing is pending', () => session.getSnapshot().pending.length === 0)
    expect(session.getSnapshot().session).toEqual(server.state)
    const fixed = session.command({ kind: 'adjust', participantId: ALICE, byMs: -1_000, reason: 'late' })
    expect(session.remaining(ALICE)).toBe(59_000)
    await fixed
    await expect(session.command({ kind: 'switch' }, { ifAt: { epoch: 1, version: 2 } })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
  })

  test('SC8: what the server refuses is taken back', async () => {
    const server = await startServer()
    server.identify = () => ({ r: 'participant', p: 0 })
    const session = connect(server)
    await live(session)
    server.command({ kind: 'start' })
    await until('it is told', () => versionOf(session) === 2)
    let release = (): void => {}
    server.hook = (message, socket) => {
      if (message.t !== 'cmd') return false
      release = () => socket.send(JSON.stringify({ t: 'nack', op: message.op, code: 'NOT_YOUR_TURN', msg: 'no' }))
      return true
    }
    const asked = session.command({ kind: 'switch' })
    expect(session.getSnapshot()).toMatchObject({
      participantId: ALICE,
      session: { active: 1 },
      confirmed: { active: 0 },
    })
    await until('it was sent', () => server.commands.length === 1)
    release()
    await expect(asked).rejects.toMatchObject({ code: 'NOT_YOUR_TURN', details: { operationId: expect.any(String) } })
    expect(session.getSnapshot()).toMatchObject({ session: { active: 0 }, pending: [] })
  })

  test('nothing is foreseen of what may not be: by a spectator, out of turn, of nobody, or at the fall of a clock', async () => {
    const server = await startServer()
    server.identify = (token) => (token === 'me' ? { r: 'participant', p: 1 } : { r: 'spectator' })
    const [spectator, bob] = [connect(server), connect(server, { token: 'me' })]
    await live(spectator)
    await live(bob)
    server.command({ kind: 'start' })
    await until('both were told', () => versionOf(spectator) === 2 && versionOf(bob) === 2)
    server.hook = ({ t }) => t === 'cmd'
    const asked = [
      spectator.command({ kind: 'switch' }),
      bob.command({ kind: 'switch' }),
      bob.command({ kind: 'pause' }),
      bob.command({ kind: 'switch', next: 'nobody' }),
    ]
    for (const each of asked) each.catch(() => {})
    expect(spectator.getSnapshot().session?.active).toBe(0)
    expect(bob.getSnapshot().session).toMatchObject({ active: 0, status: 'running' })
  })

  test('CQ1, CQ2: a move on a connection that breaks is sent again, and done once', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    await session.command({ kind: 'start' })
    server.losesAnswers = 1
    const answer = await session.command({ kind: 'switch' })
    expect(server.commands).toHaveLength(3)
    expect(new Set(server.commands).size).toBe(2)
    expect([answer.isRepeated, server.state.version]).toEqual([true, 3])
    expect(session.getSnapshot()).toMatchObject({ pending: [], session: { active: 1, version: 3 } })
  })

  test('CQ2: the same operation, asked twice, is done once', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    await session.command({ kind: 'start' }, { operationId: 'start-1' })
    const again = await session.command({ kind: 'start' }, { operationId: 'start-1' })
    expect([again.isRepeated, server.state.version]).toEqual([true, 2])
    const both = [0, 1].map(() => session.command({ kind: 'switch' }, { operationId: 'switch-1' }))
    await expect(both[1]).rejects.toMatchObject({ code: 'CONFLICT', sent: 'no' })
    await both[0]
  })

  test('CQ3: commands of a moment without connection are done in order when it is back', async () => {
    const server = await startServer()
    const session = connect(server)
    await live(session)
    server.terminateAll()
    await until('it is away', () => session.getSnapshot().status === 'reconnecting')
    const kinds = ['start', 'switch', 'pause', 'resume', 'switch', 'complete'] as const
    const answers = await Promise.all(kinds.map((kind) => session.command({ kind })))
    expect(answers.map(({ version }) => version)).toEqual([2, 3, 4, 5, 6, 7])
    expect(server.state.status).toBe('completed')
  })

  test('CQ1, CQ2: an hour of sleep is no reason to make a move of an hour ago', async () => {
    const server = await startServer()
    const env = createFalseEnvironment()
    const session = connect(server, { env })
    await live(session)
    await session.command({ kind: 'start' })
    server.terminateAll()
    await until('it is away', () => session.getSnapshot().status === 'reconnecting')
    const asked = session.command({ kind: 'switch' })
    expect(session.getSnapshot().session?.active).toBe(1)
    env.jump({ wallMs: 3_600_000 })
    await expect(asked).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
    await live(session)
    expect([session.getSnapshot().session?.active, server.state.active]).toEqual([0, 0])
  })

  test('CQ1: closing ends what waits, once and for all', async () => {
    const server = await startServer()
    server.hook = ({ t }) => t === 'cmd'
    const session = connect(server)
    await live(session)
    const asked = [session.command({ kind: 'start' }), session.command({ kind: 'switch' })]
    await until('the first was sent', () => server.commands.length === 1)
    session.close()
    session.close()
    await expect(asked[0]).rejects.toMatchObject({ code: 'CANCELLED', sent: 'maybe' })
    await expect(asked[1]).rejects.toMatchObject({ code: 'CANCELLED', sent: 'no' })
    await until('the socket is gone', () => server.sockets.size === 0)
    expect(session.getSnapshot()).toMatchObject({ status: 'closed', error: undefined, session: { status: 'pending' } })
  })
})
