// Time controls. How a clock loses and gains time, as pure arithmetic in whole milliseconds. A clock is settled once a turn: what
// a turn took is charged when it ends, and until then only the moment at which the clock would fall is asked for.
// Sources: FIDE Laws of Chess (increment, delay), US Chess rule 5F (delay), byo-yomi as played on Go and shogi servers.
// Invariants:
//   TC1. A turn that took less than `flagInMs` leaves the clock standing; one that took as much or more makes it fall.
//   TC2. No main time is made or lost: what a clock had and was given equals what it has and was charged (overtime periods renew themselves).

/** What a turn is given besides the time on the clock. */
export type Increment =
  | { readonly kind: 'none' }
  /** Added after every turn. */
  | { readonly kind: 'fischer'; readonly ms: number }
  /** Given back after every turn, but not more than the turn took: the clock never gains. */
  | { readonly kind: 'bronstein'; readonly ms: number }
  /** The first `ms` of a turn are free. */
  | { readonly kind: 'delay'; readonly ms: number }

/** What comes when the main time is used up. */
export type Overtime =
  | { readonly kind: 'none' }
  /** Japanese byo-yomi: a period that is not used up is there again at the next turn. */
  | { readonly kind: 'periods'; readonly periods: number; readonly periodMs: number }
  /** Canadian byo-yomi: so many turns within a period, then it begins anew. */
  | { readonly kind: 'turns'; readonly turns: number; readonly periodMs: number }

/** Time that is added after so many turns of the stage before. */
export interface Stage {
  readonly turns: number
  readonly addMs: number
}

export interface TimeControl {
  /** Undefined: the clock counts up and never falls. */
  readonly mainMs: number | undefined
  readonly increment: Increment
  readonly overtime: Overtime
  readonly stages: readonly Stage[]
}

export interface Clock {
  /** Left of the main time; counting up: 0. */
  readonly mainMs: number
  /** Charged so far, whether to the main time or to overtime. */
  readonly usedMs: number
  /** Turns that were ended. */
  readonly turns: number
  readonly stage: number
  readonly stageTurns: number
  /** Periods left, or turns to make in what is left of the period. */
  readonly periodsLeft: number
  readonly periodLeftMs: number
  readonly periodTurnsLeft: number
}

export function createClock(control: TimeControl): Clock {
  const { mainMs = 0, overtime } = control
  return {
    mainMs,
    usedMs: 0,
    turns: 0,
    stage: 0,
    stageTurns: 0,
    periodsLeft: overtime.kind === 'periods' ? overtime.periods : 0,
    periodLeftMs: overtime.kind === 'turns' ? overtime.periodMs : 0,
    periodTurnsLeft: overtime.kind === 'turns' ? overtime.turns : 0,
  }
}

/** How long a turn may take that begins now; infinite for a clock that counts up. */
export function flagInMs(control: TimeControl, clock: Clock): number {
  if (control.mainMs === undefined) return Number.POSITIVE_INFINITY
  return freeMs(control) + clock.mainMs + overtimeMs(control, clock)
}

/** What the clock shows after `elapsedMs` of a turn: time left, or, counting up, time used. */
export function shownMs(control: TimeControl, clock: Clock, elapsedMs: number): number {
  if (control.mainMs === undefined) return clock.usedMs + elapsedMs
  const chargedMs = Math.max(0, elapsedMs - freeMs(control))
  return Math.max(0, clock.mainMs + overtimeMs(control, clock) - chargedMs)
}

export interface EndedTurn {
  readonly clock: Clock
  readonly hasFallen: boolean
  /** Taken off the clock, and put on it. */
  readonly chargedMs: number
  readonly addedMs: number
}

/** The clock after a turn that took `elapsedMs`. A clock that has fallen is charged what it had, and gets nothing. */
export function endTurn(control: TimeControl, clock: Clock, elapsedMs: number): EndedTurn {
  if (control.mainMs === undefined) {
    const counted = { ...clock, usedMs: clock.usedMs + elapsedMs, turns: clock.turns + 1 }
    return { clock: counted, hasFallen: false, chargedMs: elapsedMs, addedMs: 0 }
  }
  const allMs = clock.mainMs + overtimeMs(control, clock)
  const chargedMs = Math.max(0, elapsedMs - freeMs(control))
  if (elapsedMs >= flagInMs(control, clock)) {
    return { clock: fallen(clock, allMs), hasFallen: true, chargedMs: allMs, addedMs: 0 }
  }
  const charged = charge(control, clock, chargedMs)
  const added = addIncrement(control, charged, elapsedMs)
  const staged = nextStage(control, added)
  const addedMs = staged.mainMs - charged.mainMs
  return { clock: staged, hasFallen: false, chargedMs, addedMs }
}

/** Gives or takes main time, by somebody's decision; never below 0. */
export function adjustClock(clock: Clock, byMs: number): Clock {
  return { ...clock, mainMs: Math.max(0, clock.mainMs + byMs) }
}

function freeMs({ increment }: TimeControl): number {
  return increment.kind === 'delay' ? increment.ms : 0
}

function overtimeMs({ overtime }: TimeControl, clock: Clock): number {
  switch (overtime.kind) {
    case 'none':
      return 0
    case 'periods':
      return clock.periodsLeft * overtime.periodMs
    case 'turns':
      return clock.periodLeftMs
    default:
      return overtime satisfies never
  }
}

function fallen(clock: Clock, chargedMs: number): Clock {
  const { usedMs, turns } = clock
  return { ...clock, mainMs: 0, usedMs: usedMs + chargedMs, turns: turns + 1, periodsLeft: 0, periodLeftMs: 0 }
}

function charge({ overtime }: TimeControl, clock: Clock, ms: number): Clock {
  const ofMain = Math.min(clock.mainMs, ms)
  const over = ms - ofMain
  const charged = {
    ...clock,
    mainMs: clock.mainMs - ofMain,
    usedMs: clock.usedMs + ms,
    turns: clock.turns + 1,
    stageTurns: clock.stageTurns + 1,
  }
  switch (overtime.kind) {
    case 'none':
      return charged
    case 'periods':
      // A period that was begun is there again; only those that were used up are lost.
      return { ...charged, periodsLeft: clock.periodsLeft - Math.floor(over / overtime.periodMs) }
    case 'turns': {
      if (charged.mainMs > 0) return charged
      const turnsLeft = clock.periodTurnsLeft - 1
      return turnsLeft === 0
        ? { ...charged, periodLeftMs: overtime.periodMs, periodTurnsLeft: overtime.turns }
        : { ...charged, periodLeftMs: clock.periodLeftMs - over, periodTurnsLeft: turnsLeft }
    }
    default:
      return overtime satisfies never
  }
}

/** Only main time is given: whoever lives in overtime stays there. */
function addIncrement({ increment, overtime }: TimeControl, clock: Clock, elapsedMs: number): Clock {
  const isInOvertime = overtime.kind !== 'none' && clock.mainMs === 0
  if (isInOvertime) return clock
  switch (increment.kind) {
    case 'none':
    case 'delay':
      return clock
    case 'fischer':
      return { ...clock, mainMs: clock.mainMs + increment.ms }
    case 'bronstein':
      return { ...clock, mainMs: clock.mainMs + Math.min(elapsedMs, increment.ms) }
    default:
      return increment satisfies never
  }
}

function nextStage({ stages }: TimeControl, clock: Clock): Clock {
  const stage = stages[clock.stage]
  if (stage === undefined || clock.stageTurns < stage.turns) return clock
  return { ...clock, mainMs: clock.mainMs + stage.addMs, stage: clock.stage + 1, stageTurns: 0 }
}
