import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { apply, type Command, createLagRules, createSession, deadlineOf, decide, type SessionState } from './index.ts'
import { creditLag } from './lag.ts'
import type { SessionRules } from './session.ts'
import { createClock, endTurn, flagInMs, type TimeControl } from './time-control.ts'

const control = (more: Partial<TimeControl> = {}): TimeControl => ({
  mainMs: 60_000,
  increment: { kind: 'none' },
  overtime: { kind: 'none' },
  stages: [],
  ...more,
})

const rules = (more: Partial<SessionRules> = {}, controls: readonly TimeControl[] = [control(), control()]) => ({
  mode: 'per_participant' as const,
  participants: controls.map((each, place) => ({ participantId: `p${place}`, groupId: undefined, control: each })),
  onTimeout: 'end' as const,
  maxTimeMs: undefined,
  lag: undefined,
  ...more,
})

/** Decides one command after the other; each is given as [command, when it was received]. */
function play(start: SessionRules, ...commands: readonly (readonly [Command, number])[]) {
  return commands.reduce((state, [command, atMs]) => decide(state, command, atMs).state, createSession(start, 0))
}

const mainOf = (state: SessionState): number[] => state.clocks.map(({ mainMs }) => mainMs)
const SWITCH = { kind: 'switch' } as const
const START = { kind: 'start' } as const

describe('time controls', () => {
  const turns = (given: TimeControl, ...took: readonly number[]) =>
    took.reduce((clock, ms) => endTurn(given, clock, ms).clock, createClock(given))

  test.each([
    ['sudden death', control(), [1_000, 2_000], 57_000],
    ['Fischer', control({ increment: { kind: 'fischer', ms: 2_000 } }), [1_000, 5_000], 58_000],
    ['Bronstein, quicker than the delay', control({ increment: { kind: 'bronstein', ms: 5_000 } }), [3_000], 60_000],
    ['Bronstein, slower than the delay', control({ increment: { kind: 'bronstein', ms: 5_000 } }), [8_000], 57_000],
    ['US delay, quicker', control({ increment: { kind: 'delay', ms: 5_000 } }), [3_000], 60_000],
    ['US delay, slower', control({ increment: { kind: 'delay', ms: 5_000 } }), [8_000], 57_000],
    ['stages', control({ stages: [{ turns: 2, addMs: 30_000 }] }), [10_000, 10_000, 10_000], 60_000],
  ])('%s', (_, given, took, leftMs) => {
    expect(turns(given, ...took).mainMs).toBe(leftMs)
  })

  test('Japanese byo-yomi: a period that is not used up is there again, one that is used up is lost', () => {
    const given = control({ mainMs: 5_000, overtime: { kind: 'periods', periods: 3, periodMs: 30_000 } })
    const after = (...took: number[]) => turns(given, ...took)
    expect(after(10_000)).toMatchObject({ mainMs: 0, periodsLeft: 3 })
    expect(after(10_000, 29_999)).toMatchObject({ periodsLeft: 3 })
    expect(after(10_000, 30_000)).toMatchObject({ periodsLeft: 2 })
    expect(after(10_000, 65_000)).toMatchObject({ periodsLeft: 1 })
    expect(flagInMs(given, after(10_000, 65_000))).toBe(30_000)
    expect(endTurn(given, after(10_000, 65_000), 30_000).hasFallen).toBe(true)
  })

  test('Canadian byo-yomi: so many turns in a period, then it begins anew', () => {
    const given = control({ mainMs: 1_000, overtime: { kind: 'turns', turns: 2, periodMs: 10_000 } })
    expect(turns(given, 4_000)).toMatchObject({ mainMs: 0, periodLeftMs: 7_000, periodTurnsLeft: 1 })
    expect(turns(given, 4_000, 6_000)).toMatchObject({ periodLeftMs: 10_000, periodTurnsLeft: 2 })
    expect(endTurn(given, turns(given, 4_000), 7_000).hasFallen).toBe(true)
  })

  const anyControl = fc.record({
    mainMs: fc.integer({ min: 1, max: 100_000 }),
    increment: fc.oneof(
      fc.constant({ kind: 'none' as const }),
      fc.record({
        kind: fc.constantFrom('fischer' as const, 'bronstein' as const, 'delay' as const),
        ms: fc.nat(9_000),
      }),
    ),
    overtime: fc.constant({ kind: 'none' as const }),
    stages: fc.array(fc.record({ turns: fc.integer({ min: 1, max: 5 }), addMs: fc.nat(50_000) }), { maxLength: 3 }),
  })

  test('TC1, TC2: a clock falls exactly at its flag, and its time is conserved', () => {
    fc.assert(
      fc.property(anyControl, fc.array(fc.nat(20_000), { maxLength: 40 }), (given, took) => {
        let clock = createClock(given)
        for (const ms of took) {
          const flagMs = flagInMs(given, clock)
          expect(endTurn(given, clock, flagMs).hasFallen).toBe(true)
          if (flagMs > 0) expect(endTurn(given, clock, flagMs - 1).hasFallen).toBe(false)
          const ended = endTurn(given, clock, ms)
          expect(clock.mainMs + ended.addedMs - ended.chargedMs).toBe(ended.clock.mainMs)
          if (ended.hasFallen) return
          clock = ended.clock
        }
      }),
    )
  })
})

test('LQ1: credit stays within the quota, and a turn is never credited more than it took', () => {
  const anyTurns = fc.array(fc.tuple(fc.nat(3_000), fc.nat(5_000)), { maxLength: 60 })
  fc.assert(
    fc.property(fc.nat(600_000), fc.nat(10_000), anyTurns, (mainMs, incrementMs, turns) => {
      const given = createLagRules(mainMs, incrementMs)
      let quotaMs = given.startMs
      let sum = 0
      for (const [lagMs, tookMs] of turns) {
        const credit = creditLag(given, quotaMs, lagMs, tookMs)
        expect(credit.creditedMs).toBeLessThanOrEqual(Math.min(tookMs, lagMs))
        sum += credit.creditedMs
        quotaMs = credit.quotaMs
      }
      expect(sum).toBeLessThanOrEqual(given.startMs + turns.length * given.gainMs)
    }),
  )
})

describe('modes', () => {
  test('per participant: only whose turn it is pays', () => {
    expect(mainOf(play(rules(), [START, 0], [SWITCH, 5_000], [SWITCH, 7_000]))).toEqual([55_000, 58_000])
  })

  test('per cycle: every turn has its own time', () => {
    const state = play(
      rules({ mode: 'per_cycle', onTimeout: 'skip_cycle' }),
      [START, 0],
      [SWITCH, 59_000],
      [SWITCH, 60_000],
    )
    expect([mainOf(state), deadlineOf(state)]).toEqual([[60_000, 60_000], 120_000])
  })

  test('global: all share one clock', () => {
    const state = play(rules({ mode: 'global' }), [START, 0], [SWITCH, 40_000])
    expect([mainOf(state), deadlineOf(state)]).toEqual([[20_000], 60_000])
  })

  test('per group: members share a clock, and fall together', () => {
    const given = rules({ mode: 'per_group', onTimeout: 'next' }, [control(), control(), control()])
    const [a, b, c] = given.participants
    const groups = {
      ...given,
      participants: [a, b, c].map((each, place) => ({ ...each, groupId: place < 2 ? 'red' : 'blue' })),
    }
    const state = play(groups as SessionRules, [START, 0], [SWITCH, 40_000], [{ kind: 'timeout' }, 60_000])
    expect(state.participants.map(({ hasExpired }) => hasExpired)).toEqual([true, true, false])
    expect([state.active, state.turnSinceMs]).toEqual([2, 60_000])
  })

  test('counting up: no clock falls, and the whole may have an end', () => {
    const up = control({ mainMs: undefined })
    const state = play(rules({ mode: 'count_up', maxTimeMs: 100_000 }, [up, up]), [START, 0], [SWITCH, 90_000])
    expect([state.clocks[0]?.usedMs, deadlineOf(state)]).toEqual([90_000, 100_000])
    expect(decide(state, { kind: 'timeout' }, 100_000).state.status).toBe('expired')
  })
})

describe('deadlines', () => {
  test('SD1: a command that was received before the deadline wins; at the deadline it is too late', () => {
    const state = play(rules(), [START, 0])
    expect(decide(state, SWITCH, 59_999).state.active).toBe(1)
    const late = decide(state, SWITCH, 60_000)
    expect(late.refused).toMatchObject({ code: 'INVALID_STATE_TRANSITION' })
    expect([late.state.status, late.events.map(({ kind }) => kind)]).toEqual(['expired', ['expired']])
  })

  test('a fall is dated by the clock, however late it is noticed, and the next turn begins then', () => {
    const state = play(
      rules({ mode: 'per_cycle', onTimeout: 'skip_cycle' }),
      [START, 0],
      [{ kind: 'timeout' }, 150_000],
    )
    expect([state.version, state.active, state.turnSinceMs]).toEqual([4, 0, 120_000])
  })

  test.each([
    ['end', 'expired', undefined],
    ['next', 'running', 1],
    ['restart', 'running', 0],
    ['event', 'running', 0],
  ] as const)('on timeout: %s', (onTimeout, status, active) => {
    const state = play(rules({ onTimeout }), [START, 0], [{ kind: 'timeout' }, 60_000])
    expect([state.status, state.active]).toEqual([status, active])
    if (onTimeout === 'event') expect(deadlineOf(state)).toBeUndefined()
  })

  test('where a fall is only told of, a session whose clocks have all fallen can still be driven', () => {
    const fallen = play(rules({ onTimeout: 'event' }), [START, 0], [SWITCH, 61_000], [SWITCH, 122_000])
    expect(fallen.participants.map(({ hasExpired }) => hasExpired)).toEqual([true, true])
    expect([fallen.active, fallen.status, deadlineOf(fallen)]).toEqual([0, 'running', undefined])
    expect(decide(fallen, { ...SWITCH, next: 1 }, 123_000).refused).toBeUndefined()
    const given = decide(fallen, { kind: 'adjust', place: 0, byMs: 5_000, reason: 'a mistake' }, 123_000)
    expect(given.refused).toMatchObject({ code: 'BAD_REQUEST' })
  })

  test('per cycle a fall is of its turn: the clock stands at 0 until then, and the next turn has its own time', () => {
    const start = rules({ mode: 'per_cycle', onTimeout: 'event' })
    const fell = play(start, [START, 0], [{ kind: 'timeout' }, 60_000])
    expect([mainOf(fell)[0], fell.participants[0]?.hasExpired]).toEqual([0, true])
    const next = decide(fell, SWITCH, 70_000).state
    expect([mainOf(next)[0], next.participants[0]?.hasExpired, next.active]).toEqual([60_000, false, 1])
    const ended = play(rules({ mode: 'per_cycle' }), [START, 0], [{ kind: 'timeout' }, 60_000])
    expect([mainOf(ended)[0], ended.status]).toEqual([0, 'expired'])
  })

  test('when nobody is left it is over', () => {
    const state = play(rules({ onTimeout: 'next' }), [START, 0], [{ kind: 'timeout' }, 500_000])
    expect([state.status, state.endedMs]).toEqual(['expired', 120_000])
  })

  test('a pause is charged to nobody, an outage neither, and both move the deadline', () => {
    const paused = play(rules(), [START, 0], [{ kind: 'pause' }, 10_000], [{ kind: 'resume' }, 500_000])
    expect(deadlineOf(paused)).toBe(550_000)
    const recovered = play(rules(), [START, 0], [{ kind: 'recover', sinceMs: 20_000, untilMs: 90_000 }, 95_000])
    expect([recovered.status, deadlineOf(recovered)]).toEqual(['running', 130_000])
  })

  test('lag that the server measured is credited, and a command on its way is waited for', () => {
    const lag = createLagRules(60_000, 0)
    const state = play(rules({ lag }), [START, 0])
    const graceMs = (deadlineOf(state) as number) - 60_000
    expect(graceMs).toBeGreaterThan(0)
    expect(decide(state, { ...SWITCH, lagMs: 200 }, 60_100).state.active).toBe(1)
    const pretender = decide(state, { ...SWITCH, lagMs: 50 }, 60_100)
    expect([pretender.state.status, pretender.refused?.code]).toEqual(['expired', 'INVALID_STATE_TRANSITION'])
  })
})

test('SD3: who has not the turn is refused, the owner is not', () => {
  const state = play(rules(), [START, 0])
  expect(decide(state, { ...SWITCH, by: 1 }, 10).refused?.code).toBe('NOT_YOUR_TURN')
  expect(decide(state, { ...SWITCH, by: 0 }, 10).refused).toBeUndefined()
  expect(decide(state, SWITCH, 10).refused).toBeUndefined()
})

test('two switches within 10 ms are flagged, not refused', () => {
  const state = play(rules(), [START, 0], [SWITCH, 1_000])
  expect(decide(state, SWITCH, 1_009).events[0]).toMatchObject({ kind: 'switched', isSuspicious: true })
  expect(decide(state, SWITCH, 1_010).events[0]).toMatchObject({ isSuspicious: false })
})

test('SA1, SA2, SD2: whatever is asked, replaying gives the same state, time never runs back, and none is made or lost', () => {
  const anyCommand: fc.Arbitrary<Command> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('switch' as const), lagMs: fc.nat(400) }) },
    fc.constantFrom<Command>({ kind: 'pause' }, { kind: 'resume' }, { kind: 'timeout' }),
    fc.record({
      kind: fc.constant('adjust' as const),
      place: fc.nat(2),
      byMs: fc.integer({ min: -40_000, max: 40_000 }),
      reason: fc.constant('any'),
    }),
  )
  const anyRules = fc.record({
    mode: fc.constantFrom('per_participant' as const, 'per_cycle' as const, 'global' as const),
    onTimeout: fc.constantFrom(
      'end' as const,
      'next' as const,
      'skip_cycle' as const,
      'restart' as const,
      'event' as const,
    ),
    lag: fc.option(fc.constant(createLagRules(60_000, 0)), { nil: undefined }),
    maxTimeMs: fc.option(fc.integer({ min: 1, max: 400_000 }), { nil: undefined }),
  })
  const steps = fc.array(fc.tuple(anyCommand, fc.integer({ min: -500, max: 30_000 })), { maxLength: 40 })
  fc.assert(
    fc.property(anyRules, steps, (more, given) => {
      const begin = createSession(rules(more, [control(), control({ mainMs: 30_000 }), control()]), 0)
      const log = [...decide(begin, START, 0).events]
      let state = log.reduce(apply, begin)
      let nowMs = 0
      for (const [command, afterMs] of given) {
        nowMs += afterMs
        const { events, state: next } = decide(state, command, nowMs)
        for (const [index, event] of events.entries()) {
          expect(event.atMs).toBeGreaterThanOrEqual((events[index - 1] ?? state).atMs)
          expect(event.version).toBe(state.version + index + 1)
        }
        log.push(...events)
        state = next
      }
      expect(log.reduce(apply, begin)).toEqual(state)
      const credited = log.reduce((sum, event) => sum + (event.kind === 'switched' ? event.lagCreditedMs : 0), 0)
      const used = state.participants.reduce((sum, { usedMs }) => sum + usedMs, 0)
      expect(used + credited + state.turnBeforeMs).toBe(state.playedMs)
      for (const { mainMs } of state.clocks) expect(mainMs).toBeGreaterThanOrEqual(0)
    }),
    { numRuns: 300 },
  )
})
