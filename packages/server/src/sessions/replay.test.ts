import type { Command } from '@ripstop/protocol/sessions'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEntry, decodeBody, hashOf, type LogEntry, NO_HEAD } from '#session-log'
import type { SessionStore, StoredSession } from '#session-stores'
import { type Move, playGame, setups } from '../session-stores/game.fixture.ts'
import { control, createBench, newSession, refOf, rulesOf } from './engine.fixture.ts'
import { Replay, replaySession, type TimeShare } from './replay.ts'
import { verifySession } from './verify.ts'

const REF = refOf(1)

const ownOf = (share: TimeShare): number =>
  share.ownMainMs + share.ownOvertimeMs + share.ownFreeMs + share.ownLagMs + share.ownUncountedMs + share.ownOpenMs

const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0)

/** Games that last: begun at once, paused and resumed, with outages whenever. */
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('switch' as const), lagMs: fc.nat(300) }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'pause' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'resume' as const }) },
  fc.record({
    kind: fc.constant('adjust' as const),
    place: fc.constant(0),
    byMs: fc.integer({ min: -2_000, max: 20_000 }),
    reason: fc.constant('any'),
  }),
  fc
    .tuple(fc.nat(60_000), fc.nat(5_000))
    .map(([sinceMs, ms]) => ({ kind: 'recover' as const, sinceMs, untilMs: sinceMs + ms })),
)
const games: fc.Arbitrary<readonly Move[]> = fc
  .array(fc.tuple(command, fc.nat(2_500), fc.boolean()), { minLength: 10, maxLength: 50, size: 'max' })
  .chain((moves) => fc.constantFrom(moves, [...moves, [{ kind: 'complete' }, 700, false] as const]))
  .map((moves) => [[{ kind: 'start' }, 400, false], ...moves])

describe('replay', () => {
  test('WT1, WT2, SA3: whatever was played, every millisecond is somewhere, and every state is the one that was committed', () => {
    fc.assert(
      fc.property(setups, games, fc.nat(20_000), (setup, played, laterMs) => {
        const { entries, sessions } = playGame(REF, setup, played)
        const replay = new Replay()
        for (const [at, entry] of entries.entries()) {
          const step = replay.add(entry)
          expect(replay.state).toEqual(decodeBody(sessions[at]?.body as string).state)
          if (step.charge === undefined) continue
          const { elapsedMs, lagMs, freeMs, mainMs, overtimeMs, uncountedMs } = step.charge
          const parts = [lagMs, freeMs, mainMs, overtimeMs, uncountedMs]
          expect(sumOf(parts)).toBe(elapsedMs)
          expect(Math.min(...parts)).toBeGreaterThanOrEqual(0)
        }
        const { state } = replay
        const shares = replay.shares(state.atMs + laterMs)
        for (const share of shares) {
          expect(ownOf(share) + share.othersMs + share.pausedMs + share.outageMs).toBe(share.wallMs)
        }
        const { wallMs = 0, pausedMs = 0, outageMs = 0 } = shares[0] ?? {}
        expect(sumOf(shares.map(ownOf)) + pausedMs + outageMs).toBe(wallMs)
        const untilMs = state.endedMs ?? state.atMs + laterMs
        expect(wallMs).toBe(state.startedMs === undefined ? 0 : untilMs - state.startedMs)
        // What clocks were charged, by the clocks themselves.
        const charged = sumOf(shares.map(({ ownMainMs, ownOvertimeMs }) => ownMainMs + ownOvertimeMs))
        expect(charged).toBe(sumOf(state.clocks.map(({ usedMs }) => usedMs)))
      }),
      { numRuns: 200 },
    )
  })

  test('where did my time go: a game with a delay, overtime, lag, a pause, an outage and a penalty', async () => {
    const bench = createBench()
    const side = bench.join()
    const { service } = side
    const each = control({
      mainMs: 10_000,
      increment: { kind: 'delay', ms: 1_000 },
      overtime: { kind: 'periods', periods: 2, periodMs: 5_000 },
    })
    const rules = rulesOf({ lag: { startMs: 300, gainMs: 100, capMs: 700 } }, 2, each)
    await service.create(bench.ctx, newSession(REF, rules), { actor: 'key:1', operationId: undefined })
    const ask = async (command: Parameters<typeof service.command>[2], afterMs: number) => {
      await bench.clock.advance(afterMs)
      return service.command(bench.ctx, REF, command, bench.asked())
    }
    await ask({ kind: 'start' }, 500)
    await ask({ kind: 'switch', lagMs: 50 }, 12_050) // 50 lag, 1,000 free, 10,000 main, 1,000 overtime
    await ask({ kind: 'pause' }, 2_000)
    await ask({ kind: 'adjust', place: 0, byMs: -4_000, reason: 'talked' }, 300)
    await ask({ kind: 'resume' }, 700)
    const sinceMs = bench.nowMs() + 1_000
    side.authority.begin(sinceMs, sinceMs + 6_000)
    await ask({ kind: 'switch' }, 10_000) // 2,000 before the pause, 4,000 of 10,000 after it
    await bench.clock.advance(1_500)
    const { steps, shares, state, isWhole } = await replaySession(bench.ctx, service, REF, {
      afterVersion: 2,
      limit: 2,
    })
    expect([state.version, isWhole]).toEqual([8, true])
    const none = { ownMainMs: 0, ownOvertimeMs: 0, ownFreeMs: 0, ownLagMs: 0, ownUncountedMs: 0, ownOpenMs: 0 }
    const both = { wallMs: 26_550, pausedMs: 1_000, outageMs: 6_000, falls: 0, addedMs: 0, turns: 1 }
    expect(shares).toEqual([
      {
        ...{ place: 0, participantId: 'p0', ...both, ...none, adjustedMs: -4_000, othersMs: 6_000 },
        ...{ ownLagMs: 50, ownFreeMs: 1_000, ownMainMs: 10_000, ownOvertimeMs: 1_000, ownOpenMs: 1_500 },
      },
      {
        ...{ place: 1, participantId: 'p1', ...both, ...none, adjustedMs: 0, othersMs: 13_550 },
        ...{ ownFreeMs: 1_000, ownMainMs: 5_000 },
      },
    ])
    expect(steps.map(({ line, clocks }) => [line.event.kind, clocks])).toEqual([
      ['switched', [10_000, 20_000]],
      ['paused', [10_000, 19_000]],
    ])
    expect(steps[0]).toMatchObject({ sinceMs: 12_050, outageMs: 0, waitedMs: 0, charge: { mainMs: 10_000, lagMs: 50 } })
    const early = await replaySession(bench.ctx, service, REF, { afterVersion: 0, limit: 100, atVersion: 3 })
    expect([early.steps.length, early.state.version, early.shares[0]?.wallMs]).toEqual([3, 3, 12_050])
  })

  test('a session that nobody has is not found', async () => {
    const bench = createBench()
    const { service } = bench.join()
    await expect(replaySession(bench.ctx, service, REF, { afterVersion: 0, limit: 1 })).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
    })
  })
})

describe('verify', () => {
  const setup = { rules: rulesOf({ onTimeout: 'next' }, 3), metadata: {}, timeoutEvent: undefined }
  const turns = Array.from({ length: 1_200 }, () => [{ kind: 'switch' }, 10, false] as const)
  const game = playGame(REF, setup, [[{ kind: 'start' }, 5, false], ...turns])
  const bench = createBench()

  /** A store that holds what it is given. */
  const holding = (
    entries: readonly LogEntry[],
    stored: StoredSession | undefined,
  ): Pick<SessionStore, 'load' | 'log'> => ({
    load: async () => stored,
    log: async (_, { afterVersion, limit }) =>
      entries
        .filter(({ version }) => version > afterVersion)
        .toSorted((one, two) => one.version - two.version)
        .slice(0, limit),
  })
  const last = game.sessions.at(-1) as StoredSession
  const verify = (entries: readonly LogEntry[], stored: StoredSession | 'deleted' = last) =>
    verifySession(bench.ctx, holding(entries, stored === 'deleted' ? undefined : stored), REF)
  /** With a hash that fits, of the first entry. */
  const forged = (text: string): Partial<LogEntry> => ({ text, hash: hashOf(NO_HEAD, text) })
  const changed = (at: number, change: (entry: LogEntry) => Partial<LogEntry>) =>
    game.entries.map((entry) => (entry.version === at ? { ...entry, ...change(entry) } : entry))

  test('WT3: a log that nobody touched is valid, over pages, and so is what is left of a session that was deleted', async () => {
    const whole = { isValid: true, entries: 1_202, epochs: [1], head: game.entries.at(-1)?.hash, broken: undefined }
    expect(await verify(game.entries)).toEqual(whole)
    expect(await verify(game.entries, 'deleted')).toEqual(whole)
    expect(await verify(game.entries.slice(5), 'deleted')).toMatchObject({ broken: { version: 6, fault: 'gap' } })
    // What was committed after the session was loaded is not looked at.
    expect(await verify(game.entries, game.sessions[9])).toMatchObject({ isValid: true, entries: 10 })
  })

  test.each([
    ['a word was changed', changed(700, ({ text }) => ({ text: text.replace('owner', 'somebody') })), 700, 'hash', 699],
    ['an entry was left out', game.entries.filter(({ version }) => version !== 700), 701, 'gap', 699],
    ['the last one was left out', game.entries.slice(0, -1), 1_202, 'gap', 1_201],
    [
      'two changed places',
      changed(700, () => ({ ...(game.entries[700] as LogEntry), version: 700 })),
      700,
      'hash',
      699,
    ],
    [
      'it says another version',
      changed(1, ({ text }) => forged(text.replace('"version":1', '"version":2'))),
      1,
      'text',
      0,
    ],
    ['it can not be read', changed(1, () => forged('{')), 1, 'text', 0],
  ] as const)('WT3: %s', async (_, given, version, fault, entries) => {
    expect(await verify(given)).toMatchObject({ isValid: false, broken: { version, fault }, entries })
  })

  test('WT3: a session that is not what its log makes of it is no valid one, whatever its head', async () => {
    const richer = last.body.replace(/\[\[\d+/, (found) => `${found}0`)
    expect(richer).not.toBe(last.body)
    const fault = { isValid: false, broken: { version: last.version, fault: 'state' } }
    expect(await verify(game.entries, { ...last, body: richer })).toMatchObject(fault)
    expect(await verify(game.entries, { ...last, head: NO_HEAD })).toMatchObject(fault)
  })

  test('WT3: an epoch that had passed is none to go on in', async () => {
    const rules = rulesOf()
    const created = { kind: 'created', version: 1, atMs: 1, rules, metadata: {}, timeoutEvent: undefined } as const
    const first = createEntry(NO_HEAD, { epoch: 2, event: created, actor: 'a', decidedMs: 1 })
    const event = { kind: 'cancelled', version: 2, atMs: 2 } as const
    const second = createEntry(first.hash, { epoch: 1, event, actor: 'a', decidedMs: 2 })
    const stored = { ...(game.sessions[1] as StoredSession), epoch: 2 }
    expect(await verify([first, second], stored)).toMatchObject({ broken: { epoch: 1, version: 2, fault: 'epoch' } })
  })

  test('there is nothing to verify where there is neither a session nor a log', async () => {
    await expect(verify([], 'deleted')).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' })
  })
})
