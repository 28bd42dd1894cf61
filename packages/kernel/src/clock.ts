// Time. The only home of Date.now, performance.now and setTimeout; everything else is handed a Clock, so that tests
// and the simulation own time.

export interface Clock {
  /** Wall time, ms since the Unix epoch. It can jump: store it, never subtract it. */
  readonly wallMs: () => number
  /** Monotonic ms from an arbitrary origin: for durations and deadlines only. */
  readonly monoMs: () => number
  /** Calls `fire` once, `delayMs` from now or later. The returned function cancels it; calling it twice is harmless. */
  readonly schedule: (delayMs: number, fire: () => void) => () => void
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  schedule: (delayMs, fire) => {
    const timer = setTimeout(fire, delayMs)
    return () => clearTimeout(timer)
  },
}
