// Rate. How much faster the server's clock goes than the local one. The quickest ways of every 2.5 s make a point; through the better
// half of the points of 5 minutes goes a line. What its two ends allow at most and at least bounds the rate, whatever the path.
// Invariants:
//   TME6. A rate is taken only where its standard error is less than 60 ppm, and never one that the points' own bounds rule out.

import type { Observation } from './sample.ts'

const BLOCK_MS = 2_500
const BLOCKS_MAX = 120
const SPAN_MS_MAX = 300_000
const SPAN_MS_MIN = 5_000
const POINTS_MIN = 4
const ERROR_MAX = 60e-6
const RATE_MAX = 300e-6
/** What a rate may be wrong by, and so the handicap of a sample for each ms of its age. Tuned on the paths of the tests, 22 Nov 2026. */
const DOUBT_UNKNOWN = 200e-6
const DOUBT_MIN = 5e-6
const ERRORS_IN_DOUBT = 1.5
/** Rates wander with the temperature while the points are gathered. */
const WANDER = 5e-6

interface Block {
  readonly startMs: number
  forward: Observation
  backward: Observation
}

interface Rate {
  readonly rate: number
  /** What it may be wrong by. */
  readonly doubt: number
  readonly lowest: number
  readonly highest: number
}

export interface RateEstimate {
  add(observation: Observation): void
  read(): Rate
}

const UNKNOWN: Rate = { rate: 0, doubt: DOUBT_UNKNOWN, lowest: -RATE_MAX, highest: RATE_MAX }

export function createRateEstimate(): RateEstimate {
  const blocks: Block[] = []
  let read = UNKNOWN
  return {
    add: (observation) => {
      const block = blocks.at(-1)
      if (block !== undefined && observation.atMs < block.startMs + BLOCK_MS) {
        if (observation.highMs < block.forward.highMs) block.forward = observation
        if (observation.lowMs > block.backward.lowMs) block.backward = observation
        return
      }
      // Only whole blocks count: the present one has not had its luck yet.
      if (block !== undefined) read = readFrom(blocks)
      blocks.push({ startMs: observation.atMs, forward: observation, backward: observation })
      const tooOld = (first: Block): boolean => first.startMs < observation.atMs - SPAN_MS_MAX
      while (blocks.length > BLOCKS_MAX || tooOld(blocks[0] as Block)) blocks.shift()
    },
    read: () => read,
  }
}

interface Point {
  readonly atMs: number
  readonly offsetMs: number
  readonly widthMs: number
}

function readFrom(blocks: readonly Block[]): Rate {
  const { lowest, highest } = boundsOf(blocks)
  const points = blocks.map(pointOf).sort((one, other) => one.widthMs - other.widthMs)
  const line = fit(points.slice(0, Math.max(POINTS_MIN, Math.ceil(points.length / 2))))
  if (line === undefined || line.error >= ERROR_MAX) return { rate: 0, doubt: DOUBT_UNKNOWN, lowest, highest }
  const doubt = Math.max(DOUBT_MIN, ERRORS_IN_DOUBT * line.error)
  return { rate: Math.min(Math.max(line.slope, lowest), highest), doubt, lowest, highest }
}

/** Exact for clocks whose rates differ by a constant: the middle of two bounds, at the middle of their moments. */
function pointOf({ forward, backward }: Block): Point {
  return {
    atMs: (forward.atMs + backward.atMs) / 2,
    offsetMs: (forward.highMs + backward.lowMs) / 2,
    widthMs: forward.highMs - backward.lowMs,
  }
}

/** From the highest that the offset can have been then to the lowest that it can be now, and the other way round. */
function boundsOf(blocks: readonly Block[]): { lowest: number; highest: number } {
  const last = blocks.at(-1) as Block
  let lowest = -RATE_MAX
  let highest = RATE_MAX
  for (const first of blocks) {
    if (last.startMs - first.startMs < SPAN_MS_MIN) break
    const rose = (last.forward.highMs - first.backward.lowMs) / (last.forward.atMs - first.backward.atMs)
    const fell = (last.backward.lowMs - first.forward.highMs) / (last.backward.atMs - first.forward.atMs)
    highest = Math.min(highest, rose + WANDER)
    lowest = Math.max(lowest, fell - WANDER)
  }
  return lowest <= highest ? { lowest, highest } : { lowest: -RATE_MAX, highest: RATE_MAX }
}

/** Least squares; undefined: too few points, or too near to each other. */
function fit(points: readonly Point[]): { slope: number; error: number } | undefined {
  const count = points.length
  if (count < POINTS_MIN) return undefined
  const meanAt = mean(points.map(({ atMs }) => atMs))
  const meanOffset = mean(points.map(({ offsetMs }) => offsetMs))
  let spread = 0
  let product = 0
  for (const { atMs, offsetMs } of points) {
    spread += (atMs - meanAt) ** 2
    product += (atMs - meanAt) * (offsetMs - meanOffset)
  }
  if (spread < count * (SPAN_MS_MIN / 4) ** 2) return undefined
  const slope = product / spread
  let squares = 0
  for (const { atMs, offsetMs } of points) squares += (offsetMs - meanOffset - slope * (atMs - meanAt)) ** 2
  return { slope, error: Math.sqrt(squares / (count - 2) / spread) }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
