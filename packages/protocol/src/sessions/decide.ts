// Decide. What a command makes happen, by the rules. Pure: it is given the state, and when the command was received. A deadline that
// had passed by then has its effect first; a command that was received before it wins, whatever the queue did in between.
// Invariants:
//   SD1. A command that was received before the deadline is never refused or changed by that deadline, however late it is decided.
//   SD2. Time never goes backwards: an event is not earlier than the one before it.
//   SD3. Whoever has not the turn can't end it.

import { isRipstopError, RipstopError } from '@ripstop/kernel'
// Here, not only at the door: bundlers leave out doors, and a refusal whose code nobody registered would be thrown.
import '../codes.ts'
import { apply } from './apply.ts'
import type { Command, SessionEvent } from './events.ts'
import { creditLag } from './lag.ts'
import { clockOf, controlAt, type SessionState, type SessionStatus } from './session.ts'
import { flagInMs } from './time-control.ts'

/** Two switches within this are for a person to look at. */
const SUSPICIOUS_MS = 10
/** With lag compensation a command may come so much after the clock fell, as far as the quota goes. Lichess's. */
const GRACE_MS_MAX = 2_000
/** Deadlines that one decision settles. */
const TIMEOUTS_MAX = 250

/** When the present turn's deadline is; undefined: there is none. */
export function deadlineOf(state: SessionState): number | undefined {
  const { active, turnSinceMs, rules } = state
  if (state.status !== 'running' || active === undefined || turnSinceMs === undefined) return undefined
  const wholeMs = rules.maxTimeMs === undefined ? Number.POSITIVE_INFINITY : rules.maxTimeMs - state.playedMs
  const ms = Math.min(turnLeftMs(state, active) + graceMs(state, active), wholeMs)
  // Not before the last event: a clock that an adjustment overdrew falls by it, when it was made.
  return ms === Number.POSITIVE_INFINITY ? undefined : Math.max(state.atMs, turnSinceMs + ms)
}

export interface Decision {
  /** To be applied in order, also where the command is refused: deadlines that had passed have had their effect. */
  readonly events: readonly SessionEvent[]
  readonly state: SessionState
  /** INVALID_STATE_TRANSITION, NOT_YOUR_TURN or BAD_REQUEST. */
  readonly refused: RipstopError | undefined
  /** False: more deadlines had passed than one decision settles, and the command was not looked at. Decide it again on `state`. */
  readonly isSettled: boolean
}

/** What a command that was received at `receivedMs` makes happen; an outage is told of with the command, whenever it is noticed. */
export function decide(state: SessionState, command: Command, receivedMs: number): Decision {
  // A clock that fell before an outage has fallen; none falls during it.
  const [untilMs, atMs] =
    command.kind === 'recover'
      ? [command.sinceMs, Math.max(state.atMs, command.untilMs)]
      : [Math.max(state.atMs, receivedMs), Math.max(state.atMs, receivedMs)]
  const events: SessionEvent[] = []
  let now = settleTimeouts(state, untilMs, events)
  if (now === undefined) return { events, state: events.reduce(apply, state), refused: undefined, isSettled: false }
  // With lag compensation a deadline waits for commands that are on their way; one that comes without the lag to show for it is late.
  if (command.kind === 'switch' && isLate(now, command, atMs)) {
    const fall = decideTimeout(now, atMs)
    events.push(fall)
    now = apply(now, fall)
  }
  try {
    const last = decideAt(now, command, atMs)
    return { events: [...events, ...last], state: last.reduce(apply, now), refused: undefined, isSettled: true }
  } catch (error) {
    if (!isRipstopError(error)) throw error
    return { events, state: now, refused: error, isSettled: true }
  }
}

function isLate(state: SessionState, command: Extract<Command, { kind: 'switch' }>, atMs: number): boolean {
  const { active } = state
  if (state.status !== 'running' || active === undefined) return false
  const elapsedMs = turnMs(state, atMs)
  const netMs = elapsedMs - lagOf(state, active, command.lagMs ?? 0, elapsedMs)
  return netMs >= turnLeftMs(state, active) + state.turnBeforeMs
}

function decideAt(state: SessionState, command: Command, atMs: number): readonly SessionEvent[] {
  const at = { version: state.version + 1, atMs }
  switch (command.kind) {
    case 'timeout':
      return []
    case 'start': {
      expect(state, 'start', ['pending'])
      return [{ ...at, kind: 'started', active: placeOf(state, command.first ?? 0) }]
    }
    case 'switch':
      return [decideSwitch(state, command, atMs)]
    case 'pause':
      expect(state, 'pause', ['running'])
      return [{ ...at, kind: 'paused' }]
    case 'resume':
      expect(state, 'resume', ['paused'])
      return [{ ...at, kind: 'resumed' }]
    case 'adjust': {
      expect(state, 'adjust', ['pending', 'running', 'paused'])
      const { byMs, reason } = command
      if (state.participants[placeOf(state, command.place)]?.hasExpired === true && byMs > 0) {
        const details = { place: command.place }
        throw new RipstopError('BAD_REQUEST', 'the time of that participant is up: it takes no more', { details })
      }
      return [{ ...at, kind: 'adjusted', place: placeOf(state, command.place), byMs: Math.trunc(byMs), reason }]
    }
    case 'complete':
      expect(state, 'complete', ['pending', 'running', 'paused'])
      return [{ ...at, kind: 'completed' }]
    case 'cancel':
      expect(state, 'cancel', ['pending', 'running', 'paused'])
      return [{ ...at, kind: 'cancelled' }]
    case 'recover': {
      if (state.endedMs !== undefined) return [] // nobody's clock runs any more
      const since = Math.max(command.sinceMs, state.turnSinceMs ?? atMs)
      const creditedMs = state.status === 'running' ? Math.max(0, command.untilMs - since) : 0
      return [{ ...at, kind: 'recovered', sinceMs: command.sinceMs, creditedMs }]
    }
    default:
      return command satisfies never
  }
}

function decideSwitch(state: SessionState, command: Extract<Command, { kind: 'switch' }>, atMs: number): SessionEvent {
  expect(state, 'switch', ['running'])
  const from = state.active as number
  if (command.by !== undefined && command.by !== from) {
    throw new RipstopError('NOT_YOUR_TURN', 'another participant has the turn', { details: { active: from } })
  }
  const to = command.next === undefined ? nextPlace(state, from) : placeOf(state, command.next)
  // Where a fall is only told of, nobody is out by it.
  if (state.participants[to]?.hasExpired === true && state.rules.onTimeout !== 'event') {
    throw new RipstopError('BAD_REQUEST', 'the time of that participant is up', { details: { next: to } })
  }
  const elapsedMs = turnMs(state, atMs)
  const lagCreditedMs = lagOf(state, from, command.lagMs ?? 0, elapsedMs)
  const isSuspicious = state.turnBeforeMs === 0 && elapsedMs < SUSPICIOUS_MS && state.participants.some(hadTurn)
  return { kind: 'switched', version: state.version + 1, atMs, from, to, elapsedMs, lagCreditedMs, isSuspicious }
}

function hadTurn({ turns }: { readonly turns: number }): boolean {
  return turns > 0
}

function lagOf({ rules, participants }: SessionState, place: number, lagMs: number, elapsedMs: number): number {
  const quotaMs = participants[place]?.lagQuotaMs ?? 0
  return rules.lag === undefined ? 0 : creditLag(rules.lag, quotaMs, lagMs, elapsedMs).creditedMs
}

/** Tells `events` what deadlines up to `untilMs` did: the next turn begins when the one before it fell. Undefined: there are too many. */
function settleTimeouts(state: SessionState, untilMs: number, events: SessionEvent[]): SessionState | undefined {
  let now = state
  for (let count = 0; count <= TIMEOUTS_MAX; count++) {
    const deadlineMs = deadlineOf(now)
    if (deadlineMs === undefined || deadlineMs > untilMs) return now
    if (count === TIMEOUTS_MAX) break
    const event = decideTimeout(now, deadlineMs)
    events.push(event)
    now = apply(now, event)
  }
  return undefined
}

function decideTimeout(state: SessionState, deadlineMs: number): SessionEvent {
  const { rules } = state
  const place = state.active as number
  const elapsedMs = turnMs(state, deadlineMs)
  const at = { kind: 'expired', version: state.version + 1, atMs: deadlineMs, elapsedMs } as const
  const isOverall = rules.maxTimeMs !== undefined && state.playedMs + sinceMs(state, deadlineMs) >= rules.maxTimeMs
  if (isOverall) return { ...at, place: undefined, action: 'end', to: undefined }
  switch (rules.onTimeout) {
    case 'end':
      return { ...at, place, action: 'end', to: undefined }
    case 'restart':
    case 'event':
      return { ...at, place, action: rules.onTimeout, to: place }
    case 'skip_cycle':
    case 'next': {
      const staysIn = rules.mode === 'per_cycle' && rules.onTimeout === 'skip_cycle'
      const to = nextPlaceAfterFall(state, place, staysIn)
      return { ...at, place, action: to === undefined ? 'end' : rules.onTimeout, to }
    }
    default:
      return rules.onTimeout satisfies never
  }
}

/** Undefined: nobody is left. */
function nextPlaceAfterFall(
  { rules, participants }: SessionState,
  place: number,
  staysIn: boolean,
): number | undefined {
  const clock = clockOf(rules, place)
  for (let step = 1; step <= participants.length; step++) {
    const other = (place + step) % participants.length
    const isOut = participants[other]?.hasExpired === true || (!staysIn && clockOf(rules, other) === clock)
    if (!isOut) return other
  }
  return undefined
}

/** The next one whose time is not up; if everybody's is, the next one. */
function nextPlace({ participants }: SessionState, place: number): number {
  for (let step = 1; step <= participants.length; step++) {
    const other = (place + step) % participants.length
    if (participants[other]?.hasExpired !== true) return other
  }
  return (place + 1) % participants.length
}

function placeOf({ participants }: SessionState, place: number): number {
  if (participants[place] !== undefined) return place
  throw new RipstopError('BAD_REQUEST', 'there is no such participant', { details: { place } })
}

/** What the present turn took until `atMs`. */
function turnMs(state: SessionState, atMs: number): number {
  return state.turnBeforeMs + sinceMs(state, atMs)
}

function sinceMs({ turnSinceMs }: SessionState, atMs: number): number {
  return turnSinceMs === undefined ? 0 : Math.max(0, atMs - turnSinceMs)
}

/** Until the clock falls, from the moment at which the turn went on last. */
function turnLeftMs(state: SessionState, active: number): number {
  const { rules, clocks, participants, turnBeforeMs } = state
  if (participants[active]?.hasExpired === true) return Number.POSITIVE_INFINITY // it fell, and the session goes on
  const place = clockOf(rules, active)
  const clock = clocks[place]
  return clock === undefined ? Number.POSITIVE_INFINITY : flagInMs(controlAt(rules, place), clock) - turnBeforeMs
}

function graceMs({ rules, participants }: SessionState, active: number): number {
  return rules.lag === undefined ? 0 : Math.min(GRACE_MS_MAX, participants[active]?.lagQuotaMs ?? 0)
}

function expect(state: SessionState, what: string, from: readonly SessionStatus[]): void {
  if (from.includes(state.status)) return
  throw new RipstopError('INVALID_STATE_TRANSITION', `a session that is ${state.status} can't ${what}`, {
    details: { status: state.status },
  })
}
