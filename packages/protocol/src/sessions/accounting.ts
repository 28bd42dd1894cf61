// Accounting. Where the time of a turn went, when an event ended it: for whoever asks, long afterwards, what became of his minutes. The same
// arithmetic as apply's, told apart instead of summed up.
// Invariants:
//   SA3. The parts of a turn (lag, free, main, overtime, uncounted) are what it took, to the millisecond; what its clock was charged is main
//        and overtime.

import type { SessionEvent } from './events.ts'
import { clockOf, controlAt, type SessionState } from './session.ts'
import { endTurn } from './time-control.ts'

export interface TurnCharge {
  /** Whose turn it was. */
  readonly place: number
  readonly elapsedMs: number
  /** Credited: the way that the command took. */
  readonly lagMs: number
  /** Before the delay was over. */
  readonly freeMs: number
  /** Taken off the main time, or, counting up, put on the clock. */
  readonly mainMs: number
  readonly overtimeMs: number
  /** After the clock had fallen. */
  readonly uncountedMs: number
  /** Given by the end of the turn: increment and stages. */
  readonly addedMs: number
}

/** Undefined: the event ended no turn. `before`: the state that it was applied to. */
export function chargeOf(before: SessionState, event: SessionEvent): TurnCharge | undefined {
  if (event.kind !== 'switched' && event.kind !== 'expired') return undefined
  const { rules, clocks, participants } = before
  const place = before.active as number
  const { elapsedMs } = event
  const lagMs = event.kind === 'switched' ? event.lagCreditedMs : 0
  const netMs = elapsedMs - lagMs
  const at = clockOf(rules, place)
  const clock = clocks[at]
  const turn = { place, elapsedMs, lagMs }
  if (clock === undefined || participants[place]?.hasExpired === true) {
    return { ...turn, freeMs: 0, mainMs: 0, overtimeMs: 0, uncountedMs: netMs, addedMs: 0 }
  }
  const control = controlAt(rules, at)
  const { chargedMs, addedMs } = endTurn(control, clock, netMs)
  const freeMs =
    control.increment.kind === 'delay' && control.mainMs !== undefined ? Math.min(netMs, control.increment.ms) : 0
  const mainMs = control.mainMs === undefined ? chargedMs : Math.min(clock.mainMs, chargedMs)
  const uncountedMs = netMs - freeMs - chargedMs
  return { ...turn, freeMs, mainMs, overtimeMs: chargedMs - mainMs, uncountedMs, addedMs }
}
