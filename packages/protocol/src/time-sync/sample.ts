// Samples. What one probe says of the offset between two clocks: the way there took no less than nothing, so the server is ahead by at
// most what the way there seems to have taken, and by the way back it is ahead by at least so much.

/** Longer than this says nothing. */
const TRIP_MS_MAX = 30_000
/** Clocks of browsers are rounded, to 0.1 ms each. */
const ROUNDING_MS = 0.2

/** A probe, in ms with fractions: sent and got by the local clock, received and answered by the server's. */
export interface TimeSample {
  readonly sentMs: number
  readonly receivedMs: number
  readonly answeredMs: number
  readonly gotMs: number
}

/** The offset (server less local) was between `lowMs` and `highMs` at `atMs`, by the local clock. */
export interface Observation extends Bounds {
  readonly atMs: number
}

export interface Bounds {
  readonly lowMs: number
  readonly highMs: number
}

export function isSane({ sentMs, receivedMs, answeredMs, gotMs }: TimeSample): boolean {
  const tripMs = gotMs - sentMs
  const heldMs = answeredMs - receivedMs
  // NaN fails every comparison.
  return tripMs >= 0 && tripMs <= TRIP_MS_MAX && heldMs >= 0 && tripMs - heldMs >= -ROUNDING_MS
}

export function observe(sample: TimeSample): Observation {
  const { sentMs, receivedMs, answeredMs, gotMs } = sample
  return { atMs: (sentMs + gotMs) / 2, lowMs: answeredMs - gotMs, highMs: receivedMs - sentMs }
}

/** May both be true, within what clocks are rounded to? Not if a clock jumped between them, or one is forged. */
export function mayBothBe(one: Bounds, other: Bounds): boolean {
  return other.highMs >= one.lowMs - ROUNDING_MS && other.lowMs <= one.highMs + ROUNDING_MS
}
