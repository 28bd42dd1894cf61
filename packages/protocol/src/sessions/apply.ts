// Apply. The state after an event. Replaying a session's events from its creation gives its state, whoever does it and whenever.
// Invariants:
//   SA1. The same events give the same state; nothing but the event and the state before it counts.
//   SA2. What turns took, less what was credited, is what clocks were charged or had for free; paused time is nobody's.

import type { SessionEvent } from './events.ts'
import { creditLag } from './lag.ts'
import { clockOf, controlAt, type ParticipantState, type SessionState } from './session.ts'
import { adjustClock, type Clock, createClock, type EndedTurn, endTurn } from './time-control.ts'

export function apply(state: SessionState, event: SessionEvent): SessionState {
  const next = { ...state, version: event.version, atMs: event.atMs }
  switch (event.kind) {
    case 'started':
      return { ...next, status: 'running', active: event.active, turnSinceMs: event.atMs, startedMs: event.atMs }
    case 'switched':
      return applySwitch(next, event)
    case 'paused':
      return { ...rested(next, event.atMs), status: 'paused' }
    case 'resumed':
      return { ...next, status: 'running', turnSinceMs: event.atMs }
    case 'adjusted': {
      const place = clockOf(state.rules, event.place)
      return { ...next, clocks: replaced(state.clocks, place, (clock) => adjustClock(clock, event.byMs)) }
    }
    case 'expired':
      return applyExpiry(next, event)
    case 'completed':
    case 'cancelled':
      return { ...rested(next, event.atMs), status: event.kind, endedMs: event.atMs }
    case 'recovered':
      // The turn goes on as if the time without an authority had not been.
      return state.turnSinceMs === undefined ? next : { ...next, turnSinceMs: state.turnSinceMs + event.creditedMs }
    default:
      return event satisfies never
  }
}

/** The present turn stops, and keeps what it took. */
function rested(state: SessionState, atMs: number): SessionState {
  if (state.turnSinceMs === undefined) return state
  const ms = atMs - state.turnSinceMs
  return {
    ...state,
    turnBeforeMs: state.turnBeforeMs + ms,
    playedMs: state.playedMs + ms,
    turnSinceMs: undefined,
  }
}

/** `place` has the turn from `atMs` on. */
function begun(state: SessionState, place: number, atMs: number): SessionState {
  return { ...state, active: place, turnBeforeMs: 0, turnSinceMs: atMs }
}

function applySwitch(state: SessionState, event: Extract<SessionEvent, { kind: 'switched' }>): SessionState {
  const { from, to, elapsedMs, lagCreditedMs, atMs } = event
  const netMs = elapsedMs - lagCreditedMs
  const ended = endOf(state, from, netMs)
  // Every cycle has its own time: what is left of it is gone, and so is that it fell.
  const isOfCycle = state.rules.mode === 'per_cycle'
  const participants = replaced(state.participants, from, (participant) => ({
    turns: participant.turns + 1,
    usedMs: participant.usedMs + netMs,
    hasExpired: participant.hasExpired && !isOfCycle,
    lagQuotaMs: lagQuotaAfter(state, participant, lagCreditedMs, elapsedMs),
  }))
  const charged = { ...rested(state, atMs), clocks: clocksAfter(state, from, ended), participants }
  return begun(isOfCycle ? renewed(charged, from) : charged, to, atMs)
}

function lagQuotaAfter(
  { rules }: SessionState,
  { lagQuotaMs }: ParticipantState,
  lagMs: number,
  elapsedMs: number,
): number {
  return rules.lag === undefined ? lagQuotaMs : creditLag(rules.lag, lagQuotaMs, lagMs, elapsedMs).quotaMs
}

/** Undefined: the clock fell before, and the session went on without it. */
function endOf({ rules, clocks, participants }: SessionState, place: number, ms: number): EndedTurn | undefined {
  const at = clockOf(rules, place)
  const clock = clocks[at]
  if (clock === undefined || participants[place]?.hasExpired === true) return undefined
  return endTurn(controlAt(rules, at), clock, ms)
}

function clocksAfter({ rules, clocks }: SessionState, place: number, ended: EndedTurn | undefined): readonly Clock[] {
  return ended === undefined ? clocks : replaced(clocks, clockOf(rules, place), () => ended.clock)
}

function applyExpiry(state: SessionState, event: Extract<SessionEvent, { kind: 'expired' }>): SessionState {
  const { place, action, to, elapsedMs, atMs } = event
  const active = state.active as number
  const stopped = rested(state, atMs)
  const charged: SessionState = {
    ...stopped,
    clocks: clocksAfter(state, active, endOf(state, active, elapsedMs)),
    participants: replaced(state.participants, active, (participant) => ({
      ...participant,
      turns: participant.turns + 1,
      usedMs: participant.usedMs + elapsedMs,
    })),
  }
  switch (action) {
    case 'end':
      return { ...outOf(charged, place), status: 'expired', active: undefined, turnBeforeMs: 0, endedMs: atMs }
    case 'restart':
      return begun(renewed(charged, active), active, atMs)
    case 'event':
      return begun(outOf(charged, place), active, atMs)
    case 'skip_cycle':
    case 'next': {
      const staysIn = state.rules.mode === 'per_cycle' && action === 'skip_cycle'
      return begun(staysIn ? renewed(charged, active) : outOf(charged, place), to as number, atMs)
    }
    default:
      return action satisfies never
  }
}

/** Whoever lives on the clock of `place` has no time any more. */
function outOf(state: SessionState, place: number | undefined): SessionState {
  if (place === undefined) return state
  const clock = clockOf(state.rules, place)
  const participants = state.participants.map((participant, other) =>
    clockOf(state.rules, other) === clock ? { ...participant, hasExpired: true } : participant,
  )
  return { ...state, participants }
}

function renewed(state: SessionState, place: number): SessionState {
  const at = clockOf(state.rules, place)
  const renew = ({ usedMs, turns }: Clock): Clock => ({ ...createClock(controlAt(state.rules, at)), usedMs, turns })
  return { ...state, clocks: replaced(state.clocks, at, renew) }
}

function replaced<T>(list: readonly T[], at: number, change: (item: T) => T): readonly T[] {
  return list.map((item, place) => (place === at ? change(item) : item))
}
