// Sessions between the wire and the domain.
// Invariants:
//   SX1. What clients of SyncKairos compute holds: total_time_ms less the time since cycle_started_at is what the clock of the turn shows, where
//        no delay is free; time_remaining_ms is what it shows at server_time_ms, always.
//   SX2. The same creation makes the same rules, in the order of the indices.

import type { CreateSessionWire, SessionParticipantWire, SessionWire, SwitchedSessionWire } from '@ripstop/protocol'
import {
  clockOf,
  createLagRules,
  type SessionRules,
  type SessionState,
  shownMs,
  type TimeControl,
} from '@ripstop/protocol/sessions'
import type { SessionRef } from '#session-stores'
import type { CommandResult, NewSession, SessionView } from './service.ts'

const TIMEOUT_EVENT = 'session.timeout'

/** As the API shows it. `nowMs`: server time. */
export function toSessionWire(view: SessionView, nowMs: number): SessionWire {
  const { state, metadata, createdMs } = view
  const { rules } = state
  const [first] = rules.participants
  const control = first?.control
  const { increment } = control ?? {}
  return {
    session_id: view.ref.sessionId,
    sync_mode: rules.mode,
    status: state.status,
    ...toPlace(view, nowMs),
    participants: toParticipants(state, nowMs),
    active_participant_id: toActiveId(state),
    total_time_ms: totalOf(rules),
    time_per_cycle_ms: rules.mode === 'per_cycle' ? (control?.mainMs ?? null) : null,
    increment_ms: increment?.kind === 'fischer' ? increment.ms : 0,
    ...(rules.maxTimeMs === undefined ? {} : { max_time_ms: rules.maxTimeMs }),
    cycle_started_at: toTime(state.turnSinceMs),
    session_started_at: toTime(state.startedMs),
    session_completed_at: toTime(state.endedMs),
    created_at: toTime(createdMs),
    updated_at: toTime(state.atMs),
    time_control: control === undefined ? {} : toControlWire(control),
    action_on_timeout: { type: rules.onTimeout },
    lag_compensation: rules.lag !== undefined,
    metadata: { ...metadata },
  }
}

export function toSwitchedWire({ session, events }: CommandResult, nowMs: number): SwitchedSessionWire {
  const { state, ref } = session
  const expiredId = expiredIdOf(state, events)
  return {
    session_id: ref.sessionId,
    active_participant_id: toActiveId(state),
    cycle_started_at: toTime(state.turnSinceMs),
    participants: toParticipants(state, nowMs),
    status: state.status,
    ...toPlace(session, nowMs),
    ...(expiredId === undefined ? {} : { expired_participant_id: expiredId }),
  }
}

/** Of a place: `"epoch.version"`. */
export function toETag({ epoch, state: { version } }: SessionView): string {
  return `"${epoch}.${version}"`
}

/** Whose clock had fallen: in the turn that was ended, or on the way to it. */
function expiredIdOf({ rules, participants }: SessionState, events: CommandResult['events']): string | undefined {
  const places = events.flatMap((event) => {
    if (event.kind === 'expired') return event.place ?? []
    return event.kind === 'switched' && participants[event.from]?.hasExpired === true ? event.from : []
  })
  const place = places.at(-1)
  return place === undefined ? undefined : rules.participants[place]?.participantId
}

function toPlace({ epoch, state, level }: SessionView, nowMs: number) {
  return { version: state.version, epoch, ack: level, server_time_ms: nowMs }
}

function hasTurn({ status, active }: SessionState, place: number): boolean {
  return active === place && (status === 'running' || status === 'paused')
}

function toActiveId(state: SessionState): string | null {
  const { active, rules } = state
  if (active === undefined || !hasTurn(state, active)) return null
  return rules.participants[active]?.participantId ?? null
}

function toParticipants(state: SessionState, nowMs: number): SessionParticipantWire[] {
  const { rules, participants, active, turnBeforeMs, turnSinceMs } = state
  const activeClock = active === undefined ? undefined : clockOf(rules, active)
  const sinceMs = turnSinceMs === undefined ? 0 : Math.max(0, nowMs - turnSinceMs)
  return rules.participants.map(({ participantId, groupId }, place) => {
    const { turns = 0, usedMs = 0, hasExpired = false } = participants[place] ?? {}
    const clock = clockOf(rules, place)
    const beforeMs = clock === activeClock ? turnBeforeMs : 0
    return {
      participant_id: participantId,
      participant_index: place,
      total_time_ms: leftMs(state, clock, beforeMs, 0),
      time_used_ms: usedMs + (place === active ? turnBeforeMs : 0),
      time_remaining_ms: leftMs(state, clock, beforeMs, clock === activeClock ? sinceMs : 0),
      cycle_count: turns,
      is_active: hasTurn(state, place),
      has_expired: hasExpired,
      ...(groupId === undefined ? {} : { group_id: groupId }),
    }
  })
}

/** What a clock shows `sinceMs` after the turn went on; null: it counts up, and nothing ends it. Counting up, the session's own time is left. */
function leftMs(
  { rules, clocks, playedMs }: SessionState,
  at: number,
  beforeMs: number,
  sinceMs: number,
): number | null {
  const clock = clocks[at]
  const control = rules.participants[at]?.control
  if (clock === undefined || control === undefined) return null
  if (control.mainMs !== undefined) return shownMs(control, clock, beforeMs + sinceMs)
  return rules.maxTimeMs === undefined ? null : Math.max(0, rules.maxTimeMs - playedMs - sinceMs)
}

/** Of all clocks, each once. */
function totalOf(rules: SessionRules): number | null {
  const clocks = new Set(rules.participants.map((_, place) => clockOf(rules, place)))
  const mains = [...clocks].map((at) => rules.participants[at]?.control.mainMs)
  return mains.includes(undefined)
    ? (rules.maxTimeMs ?? null)
    : mains.reduce<number>((sum, mainMs) => sum + (mainMs ?? 0), 0)
}

export function toTime(wallMs: number): string
export function toTime(wallMs: number | undefined): string | null
export function toTime(wallMs: number | undefined): string | null {
  return wallMs === undefined ? null : new Date(wallMs).toISOString()
}

function toControlWire({ increment, overtime, stages }: TimeControl): SessionWire['time_control'] {
  return {
    ...(increment.kind === 'none' ? {} : { increment: { type: increment.kind, ms: increment.ms } }),
    ...(overtime.kind === 'none' ? {} : { overtime: toOvertimeWire(overtime) }),
    ...(stages.length === 0 ? {} : { stages: stages.map(({ turns, addMs }) => ({ turns, add_ms: addMs })) }),
  }
}

function toOvertimeWire(overtime: Exclude<TimeControl['overtime'], { kind: 'none' }>) {
  const { kind: type, periodMs: period_ms } = overtime
  return type === 'periods'
    ? { type, periods: overtime.periods, period_ms }
    : { type, turns: overtime.turns, period_ms }
}

/** What is to be created. */
export function toNewSession(body: CreateSessionWire, ref: SessionRef): NewSession {
  const { action_on_timeout: action, metadata = {} } = body
  const wish = typeof action === 'string' ? { type: action } : action
  const timeoutEvent = wish?.type === 'event' ? (wish.event_type ?? TIMEOUT_EVENT) : undefined
  return { ref, rules: toRules(body, wish?.type ?? defaultAction(body)), metadata, timeoutEvent }
}

/** SyncKairos's clocks fall without ending anything: whoever has no time left keeps the turn until it is switched. */
function defaultAction({
  auto_advance: advances = false,
  sync_mode: mode,
}: CreateSessionWire): SessionRules['onTimeout'] {
  if (!advances) return 'event'
  return mode === 'per_cycle' ? 'skip_cycle' : 'next'
}

function toRules(body: CreateSessionWire, onTimeout: SessionRules['onTimeout']): SessionRules {
  const { sync_mode: mode, max_time_ms: maxTimeMs } = body
  const ordered = body.participants.toSorted(
    ({ participant_index: one = 0 }, { participant_index: other = 0 }) => one - other,
  )
  const control = toControl(body)
  const participants = ordered.map((given) => ({
    participantId: given.participant_id,
    groupId: given.group_id,
    control: { ...control, mainMs: mainOf(body, given.total_time_ms) },
  }))
  const [first] = participants
  const { increment } = control
  const lag =
    body.lag_compensation === true
      ? createLagRules(first?.control.mainMs ?? 0, increment.kind === 'none' ? 0 : increment.ms)
      : undefined
  return { mode, participants, onTimeout, maxTimeMs, lag }
}

function mainOf(body: CreateSessionWire, ownMs: number | undefined): number | undefined {
  const { sync_mode: mode, total_time_ms: totalMs, time_per_cycle_ms: cycleMs } = body
  switch (mode) {
    case 'count_up':
      return undefined
    case 'per_cycle':
      return cycleMs ?? ownMs ?? totalMs
    case 'global':
      return totalMs ?? ownMs
    case 'per_participant':
    case 'per_group':
      return ownMs ?? totalMs
    default:
      return mode satisfies never
  }
}

function toControl({ increment_ms: incrementMs = 0, time_control: given = {} }: CreateSessionWire): TimeControl {
  const { increment = { type: 'fischer', ms: incrementMs }, overtime, stages = [] } = given
  return {
    mainMs: undefined,
    increment: increment.ms === 0 ? { kind: 'none' } : { kind: increment.type, ms: increment.ms },
    overtime: toOvertime(overtime),
    stages: stages.map(({ turns, add_ms: addMs }) => ({ turns, addMs })),
  }
}

function toOvertime(given: NonNullable<CreateSessionWire['time_control']>['overtime']): TimeControl['overtime'] {
  if (given === undefined) return { kind: 'none' }
  return given.type === 'periods'
    ? { kind: 'periods', periods: given.periods, periodMs: given.period_ms }
    : { kind: 'turns', turns: given.turns, periodMs: given.period_ms }
}
