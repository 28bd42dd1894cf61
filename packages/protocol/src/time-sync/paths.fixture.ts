// Synthetic paths for tests and benchmarks: probes over a connection that keeps order, between a true clock and one that was falsified
// by an offset and a rate. The truth is exact, and the same seed gives the same trace.

import { createSeededRandom, type Random } from '@ripstop/kernel'
import type { TimeSample } from './sample.ts'

/** What a way takes that begins at `atMs`, in ms. */
type Way = (random: Random, atMs: number) => number

export interface Path {
  readonly name: string
  readonly there: Way
  readonly back: Way
  /** What any estimator must be wrong by: half of what the quickest ways differ. */
  readonly asymmetryMs: number
}

const LOSS = 0.005
const RESEND_MS = 200
const BLOAT_MS = 150

const steady =
  (baseMs: number): Way =>
  (random) =>
    baseMs - Math.log(1 - random()) * 0.1

const jittery =
  (baseMs: number, jitterMs: number): Way =>
  (random) =>
    baseMs + random() * jitterMs

/** A heavy tail, and losses that TCP makes up for later. */
const mobile: Way = (random) => {
  const tailMs = Math.min(500, 3 * ((1 - random()) ** (-1 / 1.3) - 1))
  return 40 + tailMs + (random() < LOSS ? RESEND_MS : 0)
}

/** For 4 of 10 s somebody uploads: the queue in front of the modem fills up, then drains. */
const bloated: Way = (random, atMs) => {
  const phase = (atMs % 10_000) / 4_000
  const queueMs = phase < 1 ? BLOAT_MS * Math.min(1, phase * 4, (1 - phase) * 4) : 0
  return 20 + random() + queueMs * (0.8 + 0.2 * random())
}

export const PATHS = {
  lan: { name: 'LAN 1/1 ms', there: steady(1), back: steady(1), asymmetryMs: 0 },
  wan: { name: 'WAN 25+U(0,10) each way', there: jittery(25, 10), back: jittery(25, 10), asymmetryMs: 0 },
  mobile: { name: 'mobile 40+heavy tail, 0.5 % lost', there: mobile, back: mobile, asymmetryMs: 0 },
  bloat: {
    name: 'bufferbloat 0-150 ms up, 4 of 10 s',
    there: bloated,
    back: jittery(20, 1),
    asymmetryMs: 0,
  },
  asymmetric: { name: 'asymmetric 10/60 ms', there: jittery(10, 2), back: jittery(60, 2), asymmetryMs: 25 },
} as const satisfies Record<string, Path>

export interface LocalClock {
  readonly offsetMs: number
  readonly ppm: number
}

export interface Truth {
  /** The local time at a moment of the server's. */
  localAt(serverMs: number): number
}

export const STARTED_MS = 1_700_000_000_000

export function falsify({ offsetMs, ppm }: LocalClock): Truth {
  return { localAt: (serverMs) => offsetMs + (serverMs - STARTED_MS) * (1 + ppm * 1e-6) }
}

/** When probes are sent, in ms since the connection stood: as the client of sessions does, or evenly. */
export const clientSchedule = (durationMs: number): readonly number[] =>
  [
    ...pairs(0, 400, 50, 25),
    ...pairs(500, 30_000, 500, 25),
    ...pairs(30_000, Math.max(30_000, durationMs), 5_000, 25),
  ].filter((atMs) => atMs < durationMs)

export const evenSchedule = (durationMs: number): readonly number[] => [...pairs(0, durationMs, 500, 25)]

function* pairs(fromMs: number, untilMs: number, everyMs: number, gapMs: number): Generator<number> {
  for (let atMs = fromMs; atMs < untilMs; atMs += everyMs) {
    yield atMs
    yield atMs + gapMs
  }
}

export interface ProbeResult extends TimeSample {
  /** When its answer came, by the server's clock. */
  readonly trueGotMs: number
}

/** Sends one probe after the other over a connection that stood at STARTED_MS; `afterMs` never decreases. */
export function createProber(path: Path, clock: LocalClock, seed: number): (afterMs: number) => ProbeResult {
  const random = createSeededRandom(seed)
  const { localAt } = falsify(clock)
  // What comes again and again is not in step with whoever connects.
  const phaseMs = random() * 10_000
  let arrivedMs = 0
  let returnedMs = 0
  return (afterMs) => {
    // A connection keeps order: nothing overtakes what was held up.
    arrivedMs = Math.max(arrivedMs, afterMs + path.there(random, afterMs + phaseMs))
    const answeredMs = arrivedMs + 0.02 + random() * 0.1
    returnedMs = Math.max(returnedMs, answeredMs + path.back(random, answeredMs + phaseMs))
    return {
      sentMs: localAt(STARTED_MS + afterMs),
      receivedMs: STARTED_MS + arrivedMs,
      answeredMs: STARTED_MS + answeredMs,
      gotMs: localAt(STARTED_MS + returnedMs),
      trueGotMs: STARTED_MS + returnedMs,
    }
  }
}

/** The probes of one connection, in the order of their answers. */
export function trace(
  path: Path,
  clock: LocalClock,
  schedule: readonly number[],
  seed: number,
): readonly ProbeResult[] {
  return schedule.map(createProber(path, clock, seed))
}
