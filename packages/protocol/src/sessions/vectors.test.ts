// Clock cases of others, and of the laws of chess by hand, against the whole reducer. The numbers of third parties were translated into
// milliseconds and commands; every file names its source, and what of it can't be compared, with the reason.
// Invariants:
//   VE1. Every case comes out as its source says.
//   VE2. Its events alone give the same state, and no turn's time is made or lost.
//   VE3. Every file names its source, commit and licence, and gives a reason for what it leaves out.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  apply,
  type Command,
  createLagRules,
  createSession,
  decide,
  type SessionEvent,
  type SessionRules,
  type SessionState,
  shownMs,
  type TimeControl,
} from './index.ts'
import { clockOf, controlAt } from './session.ts'
import { flagInMs } from './time-control.ts'

interface More extends Record<string, unknown> {
  readonly refused?: string
  readonly sinceAgoMs?: number
}

interface Case {
  readonly name: string
  readonly mode?: SessionRules['mode']
  readonly onTimeout?: SessionRules['onTimeout']
  readonly maxTimeMs?: number
  /** Of both sides; `controls`: of each. A main time of null counts up. */
  readonly control?: Partial<TimeControl>
  readonly controls?: readonly Partial<TimeControl>[]
  readonly lag?: 'lichess' | SessionRules['lag']
  /** What is asked, how many milliseconds after the step before, and what else there is to it. */
  readonly steps: readonly (readonly [Command['kind'], number, More?])[]
  readonly lookAfterMs?: number
  readonly expect: {
    readonly status: SessionState['status']
    readonly active?: number
    readonly version?: number
    readonly endedMs?: number
    readonly hasExpired?: readonly boolean[]
    readonly usedMs?: readonly number[]
    readonly periodsLeft?: readonly number[]
    /** Until the clock of each place falls, its turn going on or beginning now; null: not compared. */
    readonly fallsInMs?: readonly (number | null)[]
  }
}

interface Vectors {
  readonly source: {
    readonly repository: string
    readonly path: string
    readonly commit: string
    readonly licence: string
  }
  readonly leftOut: readonly { readonly what: string; readonly why: string }[]
  readonly cases: readonly Case[]
}

const folder = join(import.meta.dirname, 'vectors')
const files = readdirSync(folder)
const vectorsOf = (file: string): Vectors => JSON.parse(readFileSync(join(folder, file), 'utf8'))

function rulesOf(given: Case): SessionRules {
  const controls = given.controls ?? [given.control, given.control]
  const control = controls[0] as TimeControl
  const incrementMs = control.increment?.kind === 'fischer' ? control.increment.ms : 0
  return {
    mode: given.mode ?? 'per_participant',
    participants: controls.map((each, place) => ({
      participantId: `p${place}`,
      groupId: undefined,
      control: {
        increment: { kind: 'none' },
        overtime: { kind: 'none' },
        stages: [],
        ...each,
        mainMs: each?.mainMs ?? undefined,
      },
    })),
    onTimeout: given.onTimeout ?? 'end',
    maxTimeMs: given.maxTimeMs,
    lag: given.lag === 'lichess' ? createLagRules(control.mainMs ?? 0, incrementMs) : given.lag,
  }
}

function commandOf(kind: Command['kind'], more: More, nowMs: number): Command {
  if (kind !== 'recover') return { kind, ...(kind === 'adjust' && { reason: 'arbiter' }), ...more } as Command
  return { kind, sinceMs: nowMs - (more.sinceAgoMs ?? 0), untilMs: nowMs }
}

function play(given: Case): {
  readonly state: SessionState
  readonly log: readonly SessionEvent[]
  readonly nowMs: number
} {
  const log: SessionEvent[] = []
  let state = createSession(rulesOf(given), 0)
  let nowMs = 0
  for (const [kind, afterMs, { refused, ...more } = {}] of given.steps) {
    nowMs += afterMs
    const decision = decide(state, commandOf(kind, more, nowMs), nowMs)
    expect(decision.refused?.code).toBe(refused)
    for (const event of decision.events) {
      expect(event.atMs).toBeGreaterThanOrEqual(log.at(-1)?.atMs ?? 0)
      log.push(event)
    }
    state = decision.state
  }
  return { state, log, nowMs: nowMs + (given.lookAfterMs ?? 0) }
}

function fallsInMs(state: SessionState, place: number, nowMs: number): number {
  const { rules, active, turnBeforeMs, turnSinceMs, participants } = state
  const at = clockOf(rules, place)
  const clock = state.clocks[at]
  if (clock === undefined) throw new Error(`there is no clock at ${at}`)
  if (participants[place]?.hasExpired === true) return shownMs(controlAt(rules, at), clock, 0)
  const spentMs = place === active ? turnBeforeMs + (turnSinceMs === undefined ? 0 : nowMs - turnSinceMs) : 0
  return Math.max(0, flagInMs(controlAt(rules, at), clock) - spentMs)
}

describe.each(files)('%s', (file) => {
  const { source, leftOut, cases } = vectorsOf(file)

  test('VE3: it names its source and its reasons', () => {
    for (const text of [...Object.values(source), ...leftOut.flatMap(({ what, why }) => [what, why])]) {
      expect(text).not.toBe('')
    }
    expect(source.repository === 'none' || /^[0-9a-f]{40}$/.test(source.commit)).toBe(true)
  })

  test.each(cases)('VE1, VE2: $name', (given) => {
    const { state, log, nowMs } = play(given)
    const wanted = given.expect
    expect(state.status).toBe(wanted.status)
    if (wanted.active !== undefined) expect(state.active).toBe(wanted.active)
    if (wanted.version !== undefined) expect(state.version).toBe(wanted.version)
    if (wanted.endedMs !== undefined) expect(state.endedMs).toBe(wanted.endedMs)
    if (wanted.hasExpired) expect(state.participants.map(({ hasExpired }) => hasExpired)).toEqual(wanted.hasExpired)
    if (wanted.usedMs) expect(state.participants.map(({ usedMs }) => usedMs)).toEqual(wanted.usedMs)
    if (wanted.periodsLeft) expect(state.clocks.map(({ periodsLeft }) => periodsLeft)).toEqual(wanted.periodsLeft)
    const falls = wanted.fallsInMs?.map((ms, place) => (ms === null ? null : fallsInMs(state, place, nowMs)))
    expect(falls).toEqual(wanted.fallsInMs)

    expect(log.reduce(apply, createSession(rulesOf(given), 0))).toEqual(state)
    const creditedMs = log.reduce((sum, event) => sum + (event.kind === 'switched' ? event.lagCreditedMs : 0), 0)
    const usedMs = state.participants.reduce((sum, participant) => sum + participant.usedMs, 0)
    expect(usedMs + creditedMs + state.turnBeforeMs).toBe(state.playedMs)
  })
})
