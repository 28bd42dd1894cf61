// Server clock. The time of Postgres, as this process measures it: every beat is a probe, and between probes the monotonic clock carries
// it on. The machine's own wall clock counts only until the first probe, when nothing is decided by time yet.
// Invariants:
//   CL1. Once a beat was answered, time never goes backwards, and a jump of the machine's wall clock has no effect on it.
//   CL2. Processes agree as far as probes can tell: what is given out is within `uncertaintyMs` of Postgres's clock.

import type { Env } from '@ripstop/kernel'
import { createTimeEstimator, type TimeSample } from '@ripstop/protocol/time-sync'

export interface ServerClock {
  /** One round trip: sent and got on the monotonic clock, received and answered on Postgres's. */
  add(sample: TimeSample): void
  /** Whole ms. */
  nowMs(): number
  exactMs(): number
  /** Infinite before the first probe. */
  uncertaintyMs(): number
  readonly isKnown: boolean
}

export function createServerClock({ clock }: Env): ServerClock {
  const estimator = createTimeEstimator()
  // Read once: a wall clock that jumps before the first probe does not show either.
  const startWallMs = clock.wallMs() - clock.monoMs()
  let isKnown = false
  const exactMs = (): number => {
    const localMs = clock.monoMs()
    return isKnown ? estimator.nowMs(localMs) : startWallMs + localMs
  }
  return {
    add: (sample) => {
      estimator.add(sample)
      isKnown ||= Number.isFinite(estimator.uncertaintyMs(clock.monoMs()))
    },
    nowMs: () => Math.floor(exactMs()),
    exactMs,
    uncertaintyMs: () => estimator.uncertaintyMs(clock.monoMs()),
    get isKnown() {
      return isKnown
    },
  }
}
