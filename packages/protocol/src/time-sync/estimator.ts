// Time estimator. What time a server has, from probes: when one was sent and its answer came by the local clock, when it came and was
// answered by the server's. A probe bounds the offset from both sides (a way takes no less than nothing), so the quickest way there
// and the quickest way back are looked for apart: two lucky ways are far more frequent than one lucky round trip. Older samples are
// handicapped by their age and shifted by the clocks' rate. What is given out goes over to a new estimate slowly.
// Pure: the local clock, monotonic, is in the samples and the questions. Sources: RFC 5905 (clock filter, huff-n-puff), Huygens (NSDI 2018).
// Invariants:
//   TME1. The server's time is within `uncertaintyMs` of `nowMs`, whatever the path, if rates differ by at most 300 ppm, and steadily.
//   TME2. `nowMs` never goes backwards.
//   TME3. What is given out changes by at most 5 ms/s beside the clocks' own rate, but where it is more than 50 ms off.
//   TME4. A sample that can't be true is refused and counted; one that contradicts the others counts when three in a row agree.
//   TME5. Memory is bounded, however many samples come.

import { createRateEstimate, type RateEstimate } from './rate.ts'
import { type Bounds, isSane, mayBothBe, type Observation, observe, type TimeSample } from './sample.ts'

const WINDOW_MS = 30_000
const SAMPLES_MAX = 256
/** Where probes are few, so many are kept although they are older. */
const SAMPLES_MIN = 48
const SLEW = 5e-3
const STEP_MS = 50
/** What clocks of browsers are rounded to. */
const RESOLUTION_MS = 0.1
/** Samples in a row that contradict what was known, and not one another, and are believed: a clock jumped, or the machine slept. */
const AGREEING = 3

export interface TimeEstimator {
  /** False: refused, or held back until others say the same. */
  add(sample: TimeSample): boolean
  /** The server's time; before there is a sample, `localMs`. */
  nowMs(localMs: number): number
  /** What to add to the local time; before there is a sample, 0. */
  offsetMs(localMs: number): number
  /** How far off `nowMs` may be; infinite before there is a sample. */
  uncertaintyMs(localMs: number): number
  /** Samples that were refused, or not believed at once. */
  refused(): number
}

/** An estimate as of `atMs`, by the local clock. */
interface Estimate {
  readonly atMs: number
  readonly offsetMs: number
  readonly rate: number
  /** The offset is not less, nor more; and neither are the rates by which the bounds move on. */
  readonly lowMs: number
  readonly highMs: number
  readonly rateLow: number
  readonly rateHigh: number
  /** How far what is given out was off the estimate then. */
  readonly astrayMs: number
}

export function createTimeEstimator(): TimeEstimator {
  let samples: Observation[] = []
  let suspects: Observation[] = []
  let rate = createRateEstimate()
  let estimate: Estimate | undefined
  let refused = 0
  let latestMs = Number.NEGATIVE_INFINITY

  const take = (observation: Observation): void => {
    samples.push(observation)
    const oldestMs = observation.atMs - WINDOW_MS
    while (samples.length > SAMPLES_MIN && (samples[0] as Observation).atMs < oldestMs) samples.shift()
    if (samples.length > SAMPLES_MAX) samples.shift()
    rate.add(observation)
    estimate = estimateFrom(samples, rate, estimate)
  }

  /** Everything that was known is given up for what the suspects agree on. */
  const startAnew = (): void => {
    const agreed = suspects
    samples = []
    suspects = []
    rate = createRateEstimate()
    for (const observation of agreed) take(observation)
  }

  const offsetMs = (localMs: number): number => (estimate === undefined ? 0 : offsetAt(estimate, localMs))
  return {
    add: (sample) => {
      if (!isSane(sample)) {
        refused++
        return false
      }
      const observation = observe(sample)
      if (estimate === undefined || mayBothBe(boundsAt(estimate, observation.atMs), observation)) {
        suspects = []
        take(observation)
        return true
      }
      refused++
      const isOneMore = suspects.every((suspect) => mayBothBe(suspect, observation))
      suspects = isOneMore ? [...suspects, observation] : [observation]
      if (suspects.length < AGREEING) return false
      startAnew()
      return true
    },
    nowMs: (localMs) => {
      if (estimate === undefined) return localMs
      latestMs = Math.max(latestMs, localMs + offsetAt(estimate, localMs))
      return latestMs
    },
    offsetMs,
    uncertaintyMs: (localMs) => {
      if (estimate === undefined) return Number.POSITIVE_INFINITY
      const given = Math.max(latestMs - localMs, offsetAt(estimate, localMs))
      const { lowMs, highMs } = boundsAt(estimate, localMs)
      return Math.max(highMs - given, given - lowMs, 0) + RESOLUTION_MS
    },
    refused: () => refused,
  }
}

function estimateFrom(
  samples: readonly Observation[],
  rateEstimate: RateEstimate,
  before: Estimate | undefined,
): Estimate {
  const { rate, doubt, lowest, highest } = rateEstimate.read()
  const atMs = (samples.at(-1) as Observation).atMs
  const best = { forward: Number.POSITIVE_INFINITY, backward: Number.POSITIVE_INFINITY }
  let lowMs = Number.NEGATIVE_INFINITY
  let highMs = Number.POSITIVE_INFINITY
  for (const sample of samples) {
    const ageMs = Math.max(0, atMs - sample.atMs)
    best.forward = Math.min(best.forward, sample.highMs + (rate + doubt) * ageMs)
    best.backward = Math.min(best.backward, -sample.lowMs - (rate - doubt) * ageMs)
    highMs = Math.min(highMs, sample.highMs + highest * ageMs)
    lowMs = Math.max(lowMs, sample.lowMs + lowest * ageMs)
  }
  const offsetMs = Math.min(Math.max((best.forward - best.backward) / 2, lowMs), Math.max(lowMs, highMs))
  const offMs = before === undefined ? 0 : offsetAt(before, atMs) - offsetMs
  const astrayMs = Math.abs(offMs) > STEP_MS ? 0 : offMs
  return { atMs, offsetMs, rate, lowMs, highMs, rateLow: lowest, rateHigh: highest, astrayMs }
}

function offsetAt({ atMs, offsetMs, rate, astrayMs }: Estimate, localMs: number): number {
  const afterMs = Math.max(0, localMs - atMs)
  const leftMs = Math.max(0, Math.abs(astrayMs) - SLEW * afterMs)
  return offsetMs + rate * (localMs - atMs) + Math.sign(astrayMs) * leftMs
}

function boundsAt({ atMs, lowMs, highMs, rateLow, rateHigh }: Estimate, localMs: number): Bounds {
  const afterMs = Math.max(0, localMs - atMs)
  return { lowMs: lowMs + rateLow * afterMs, highMs: highMs + rateHigh * afterMs }
}
