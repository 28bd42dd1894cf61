// What others do with probes. Each gives what it would add to the local time, at any moment of the server's after the last asked.

import timesyncModule from 'timesync/dist/timesync.js'
import {
  createProber,
  falsify,
  type LocalClock,
  type Path,
  type ProbeResult,
  STARTED_MS,
  trace,
} from '../../packages/protocol/src/time-sync/paths.fixture.ts'

interface Reading {
  readonly offsetMs: number
  /** How far off it says that it may be; undefined: it doesn't. */
  readonly boundMs: number | undefined
}

export type Offsets = (serverMs: number) => Reading

const REPEAT_MS = 30_000

/** Lets somebody see a trace as time goes on. */
export function replayed(
  path: Path,
  clock: LocalClock,
  seed: number,
  schedule: readonly number[],
  add: (probe: ProbeResult) => void,
  read: Offsets,
): Offsets {
  const probes = trace(path, clock, schedule, seed)
  let next = 0
  return (serverMs) => {
    for (; (probes[next]?.trueGotMs ?? Number.POSITIVE_INFINITY) <= serverMs; next++) add(probes[next] as ProbeResult)
    return read(serverMs)
  }
}

const offsetOf = ({ sentMs, receivedMs, answeredMs, gotMs }: ProbeResult): number =>
  (receivedMs - sentMs + answeredMs - gotMs) / 2
const tripOf = ({ sentMs, receivedMs, answeredMs, gotMs }: ProbeResult): number =>
  gotMs - sentMs - (answeredMs - receivedMs)

/** Lichess's way with lag, used for an offset. */
export function averaging(path: Path, clock: LocalClock, seed: number, schedule: readonly number[]): Offsets {
  let offsetMs: number | undefined
  const add = (probe: ProbeResult): void => {
    offsetMs = offsetMs === undefined ? offsetOf(probe) : offsetMs + 0.1 * (offsetOf(probe) - offsetMs)
  }
  return replayed(path, clock, seed, schedule, add, () => ({ offsetMs: offsetMs ?? 0, boundMs: undefined }))
}

/** The clock filter of RFC 5905, without the discipline behind it. */
export function leastOfEight(path: Path, clock: LocalClock, seed: number, schedule: readonly number[]): Offsets {
  const last: ProbeResult[] = []
  const add = (probe: ProbeResult): void => {
    last.push(probe)
    if (last.length > 8) last.shift()
  }
  return replayed(path, clock, seed, schedule, add, () => {
    const best = last.toSorted((one, other) => tripOf(one) - tripOf(other))[0]
    return { offsetMs: best === undefined ? 0 : offsetOf(best), boundMs: undefined }
  })
}

interface Change {
  readonly atMs: number
  readonly offsetMs: number
}

function changing(changes: readonly Change[]): Offsets {
  return (serverMs) => ({
    offsetMs: changes.findLast(({ atMs }) => atMs <= serverMs)?.offsetMs ?? 0,
    boundMs: undefined,
  })
}

/** Five probes, each 100 ms after the answer to the one before; those over 500 ms are dropped; the median of what they say. */
export function medianOfFive(path: Path, clock: LocalClock, seed: number, durationMs: number): Offsets {
  const probe = createProber(path, clock, seed)
  const changes: Change[] = []
  for (let startMs = 0; startMs < durationMs; startMs += REPEAT_MS) {
    const offsets: number[] = []
    let atMs = startMs
    for (let round = 0; round < 5; round++) {
      const { sentMs, answeredMs, gotMs, trueGotMs } = probe(atMs)
      // As in its text: the server's time less the sending's, less half of the trip.
      if (gotMs - sentMs <= 500) offsets.push(answeredMs - sentMs - (gotMs - sentMs) / 2)
      atMs = trueGotMs - STARTED_MS + 100
    }
    const median = offsets.sort((one, other) => one - other)[Math.floor(offsets.length / 2)]
    if (median !== undefined) changes.push({ atMs: STARTED_MS + atMs - 100, offsetMs: median })
  }
  return changing(changes)
}

interface TimesyncInstance {
  send(to: string, data: { readonly id: number }): Promise<void>
  receive(from: string, data: { readonly id: number; readonly result: number }): void
  on(event: 'change', listener: (offsetMs: number) => void): void
  sync(): Promise<void>
}
interface TimesyncModule {
  create(options: Readonly<Record<string, unknown>>): TimesyncInstance
}

/** Its own code. Its `now` is asked twice a probe, before sending and after the answer; it waits 1 s between probes. */
export async function timesync(path: Path, clock: LocalClock, seed: number, durationMs: number): Promise<Offsets> {
  const probe = createProber(path, clock, seed)
  const { localAt } = falsify(clock)
  const changes: Change[] = []
  let serverMs = STARTED_MS
  let asked = 0
  const now = (): number => {
    const localMs = localAt(serverMs)
    if (++asked % 2 === 0) serverMs += 1_000
    return localMs
  }
  const sync = (timesyncModule as TimesyncModule).create({ server: 'it', interval: null, delay: 0, now })
  sync.send = async (to, { id }) => {
    const { answeredMs, trueGotMs } = probe(serverMs - STARTED_MS)
    serverMs = trueGotMs
    sync.receive(to, { id, result: answeredMs })
  }
  // The last answer is a second ago for the clock that was set on after it.
  sync.on('change', (offsetMs) => changes.push({ atMs: serverMs - 1_000, offsetMs }))
  for (let startMs = 0; startMs < durationMs; startMs += REPEAT_MS) {
    serverMs = STARTED_MS + startMs
    await sync.sync()
  }
  return changing(changes)
}
