// For tests and simulations only: time that moves when told to.

import type { Clock } from '../clock.ts'

export interface FakeClock extends Clock {
  /** Moves both clocks on by `ms`, firing what falls due in order, and lets promises run between firings. */
  readonly advance: (ms: number) => Promise<void>
  /** Lets `ms` pass without firing anything, as a blocked event loop does; what fell due fires at the next advance. */
  readonly stall: (ms: number) => void
  /** Moves the wall clock alone, as an administrator or NTP would. */
  readonly jumpWall: (ms: number) => void
  /** Scheduled and not yet fired or cancelled. */
  readonly pending: () => number
}

/** Lets every promise that can settle now settle. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export function createFakeClock(startWallMs = 1_700_000_000_000): FakeClock {
  let monoMs = 1_000
  let wallOffsetMs = startWallMs - monoMs
  let sequence = 0
  const timers = new Map<number, { readonly dueMs: number; readonly fire: () => void }>()

  const earliest = (limitMs: number): number | undefined => {
    let found: number | undefined
    for (const [id, timer] of timers) {
      if (timer.dueMs > limitMs) continue
      if (found === undefined || timer.dueMs < (timers.get(found)?.dueMs ?? 0)) found = id
    }
    return found
  }

  return {
    wallMs: () => monoMs + wallOffsetMs,
    monoMs: () => monoMs,
    schedule: (delayMs, fire) => {
      const id = ++sequence
      timers.set(id, { dueMs: monoMs + Math.max(0, delayMs), fire })
      return () => timers.delete(id)
    },
    advance: async (ms) => {
      const untilMs = monoMs + ms
      await settle()
      for (let id = earliest(untilMs); id !== undefined; id = earliest(untilMs)) {
        const timer = timers.get(id)
        timers.delete(id)
        if (timer === undefined) continue
        monoMs = Math.max(monoMs, timer.dueMs)
        timer.fire()
        await settle()
      }
      monoMs = Math.max(monoMs, untilMs) // something that fired may have stalled past it
    },
    stall: (ms) => {
      monoMs += ms
    },
    jumpWall: (ms) => {
      wallOffsetMs += ms
    },
    pending: () => timers.size,
  }
}
