// Time sync: how wrong a client's idea of the server's time is, ours beside others on the same seeded paths. The paths are synthetic (probes over a
// connection that keeps order), so the truth is exact and every run gives the same figures; the local clock is a day off and goes 50 ppm
// too slow, or 200 ppm too fast as some phones do. Error is measured every 50 ms from 5 s to 90 s after connecting, for 20 seeds of each path.

import { createTimeEstimator } from '@ripstop/protocol/time-sync'
import {
  clientSchedule,
  falsify,
  type LocalClock,
  PATHS,
  type Path,
  STARTED_MS,
} from '../packages/protocol/src/time-sync/paths.fixture.ts'
import { percentile, type Result, report } from './statistics.ts'
import { averaging, leastOfEight, medianOfFive, type Offsets, replayed, timesync } from './timesync/rules.ts'

const SEEDS = 20
const DURATION_MS = 90_000
const SETTLED_MS = 5_000
const EVERY_MS = 50
const DRIFTS_PPM = [50, -200]
const WITHIN_MS = 1

type Contestant = (path: Path, clock: LocalClock, seed: number) => Promise<Offsets>

const CONTESTANTS: Readonly<Record<string, Contestant>> = {
  ours: async (path, clock, seed) => {
    const estimator = createTimeEstimator()
    const { localAt } = falsify(clock)
    return replayed(path, clock, seed, clientSchedule(DURATION_MS), estimator.add, (serverMs) => {
      const localMs = localAt(serverMs)
      return { offsetMs: estimator.nowMs(localMs) - localMs, boundMs: estimator.uncertaintyMs(localMs) }
    })
  },
  'seed: median of five, every 30 s': async (path, clock, seed) => medianOfFive(path, clock, seed, DURATION_MS),
  'npm timesync, every 30 s': (path, clock, seed) => timesync(path, clock, seed, DURATION_MS),
  'average (EMA 0.1)': async (path, clock, seed) => averaging(path, clock, seed, clientSchedule(DURATION_MS)),
  'NTP: least round trip of 8': async (path, clock, seed) =>
    leastOfEight(path, clock, seed, clientSchedule(DURATION_MS)),
}

interface Errors {
  readonly errorsMs: readonly number[]
  /** Readings that were further off than the contestant said. */
  readonly outside: number
}

async function measure(contestant: Contestant, path: Path, clock: LocalClock): Promise<Errors> {
  const { localAt } = falsify(clock)
  const errorsMs: number[] = []
  let outside = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const offsets = await contestant(path, clock, seed)
    for (let afterMs = SETTLED_MS; afterMs < DURATION_MS; afterMs += EVERY_MS) {
      const serverMs = STARTED_MS + afterMs
      const { offsetMs, boundMs } = offsets(serverMs)
      const errorMs = Math.abs(localAt(serverMs) + offsetMs - serverMs)
      errorsMs.push(errorMs)
      if (boundMs !== undefined && errorMs > boundMs) outside++
    }
  }
  return { errorsMs, outside }
}

const results: Result[] = []
const notes: string[] = []
let outsideAll = 0
for (const ppm of DRIFTS_PPM) {
  const clock = { offsetMs: 123_000, ppm }
  for (const path of Object.values<Path>(PATHS)) {
    const what = `${path.name}, ${ppm} ppm`
    const p95s: number[] = []
    const shown: string[] = []
    for (const [name, contestant] of Object.entries(CONTESTANTS)) {
      const { errorsMs, outside } = await measure(contestant, path, clock)
      const [p50, p95, most] = [50, 95, 100].map((percent) => percentile(errorsMs, percent)) as [number, number, number]
      p95s.push(p95)
      shown.push(`${name} ${p50.toFixed(2)}/${p95.toFixed(2)}/${most.toFixed(2)}`)
      outsideAll += outside
    }
    const [ours = Number.NaN, ...others] = p95s
    results.push({
      what: `p95 error, ${what}`,
      figure: `${ours.toFixed(2)} ms (${others.map((p95) => p95.toFixed(2)).join(', ')})`,
      asked: path.asymmetryMs === 0 ? `<= ${WITHIN_MS} ms` : `<= ${path.asymmetryMs} + ${WITHIN_MS} ms`,
      met: ours <= path.asymmetryMs + WITHIN_MS,
    })
    notes.push(`${what}, p50/p95/max ms: ${shown.join('; ')}`)
  }
}
results.push({
  what: 'readings that were further off than `uncertaintyMs` said',
  figure: `${outsideAll} of ${Math.ceil((DURATION_MS - SETTLED_MS) / EVERY_MS) * SEEDS * results.length}`,
  asked: '0',
  met: outsideAll === 0,
})
report('timesync', results, [
  `in brackets, in this order: ${Object.keys(CONTESTANTS).slice(1).join('; ')}`,
  'half of what the ways there and back always differ by is 25 ms on the asymmetric path: nothing can see it, the bound includes it',
  ...notes,
  `${SEEDS} seeds, readings every ${EVERY_MS} ms from ${SETTLED_MS / 1_000} to ${DURATION_MS / 1_000} s; ours, the average and NTP's filter see the probes that our client sends`,
  'npm timesync 1.0.11 is its own code, driven with its `now` and `send` and delays that take no time; by default it repeats once an hour, not every 30 s',
  'the seed’s rule is written after its text, with fractions of a ms in its favour',
])
process.exit(0)
