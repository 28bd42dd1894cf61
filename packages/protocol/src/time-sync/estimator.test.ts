import { createSeededRandom } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createTimeEstimator, type TimeEstimator, type TimeSample } from './index.ts'
import {
  clientSchedule,
  evenSchedule,
  falsify,
  type LocalClock,
  PATHS,
  type Path,
  STARTED_MS,
  trace,
} from './paths.fixture.ts'

const DURATION_MS = 90_000
const SETTLED_MS = 5_000
const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1)

interface Reading {
  readonly atMs: number
  readonly errorMs: number
  readonly uncertaintyMs: number
}

/** Lets an estimator see a trace, and reads it every 50 ms of the true time. */
function follow(path: Path, clock: LocalClock, schedule: readonly number[], seed: number, durationMs = DURATION_MS) {
  const { localAt } = falsify(clock)
  const probes = trace(path, clock, schedule, seed)
  const estimator = createTimeEstimator()
  const readings: Reading[] = []
  let next = 0
  let beforeMs = Number.NEGATIVE_INFINITY
  for (let atMs = 1_000; atMs < durationMs; atMs += 50) {
    for (; (probes[next]?.trueGotMs ?? Number.POSITIVE_INFINITY) <= STARTED_MS + atMs; next++)
      estimator.add(probes[next] as TimeSample)
    const localMs = localAt(STARTED_MS + atMs)
    const nowMs = estimator.nowMs(localMs)
    if (nowMs < beforeMs) throw new Error(`time went back at ${atMs}, from ${beforeMs} to ${nowMs}`)
    beforeMs = nowMs
    const errorMs = Math.abs(nowMs - (STARTED_MS + atMs))
    readings.push({ atMs, errorMs, uncertaintyMs: estimator.uncertaintyMs(localMs) })
  }
  return { readings, estimator }
}

const isOutside = ({ errorMs, uncertaintyMs }: Reading): boolean => errorMs > uncertaintyMs

const p95 = (values: readonly number[]): number => {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.ceil(sorted.length * 0.95) - 1] as number
}

const SCHEDULES = { 'the probes of the client': clientSchedule, 'a pair every 500 ms': evenSchedule }
const { lan, wan, mobile, bloat, asymmetric } = PATHS
const cases = Object.entries(SCHEDULES).flatMap(([schedule, create]) =>
  [50, -200].flatMap((ppm) => [lan, wan, mobile, bloat, asymmetric].map((path) => ({ schedule, create, ppm, path }))),
)

describe('accuracy', () => {
  test.each(cases)(
    'TME1, TME2: $path.name, $ppm ppm, $schedule: p95 within 1 ms of the path’s own asymmetry, always within the bound',
    ({ create, ppm, path }) => {
      const clock = { offsetMs: 123_000, ppm }
      const readings = SEEDS.flatMap((seed) => follow(path, clock, create(DURATION_MS), seed).readings)
      expect(readings.filter(isOutside)).toEqual([])
      const settled = readings.filter(({ atMs }) => atMs >= SETTLED_MS)
      expect(p95(settled.map(({ errorMs }) => errorMs))).toBeLessThanOrEqual(path.asymmetryMs + 1)
    },
  )

  test('TME1, TME2: whatever the ways take, the truth is within the bound, time never goes backwards, and no probe is doubted', () => {
    const anyWay = fc.record({
      baseMs: fc.integer({ min: 0, max: 200 }),
      jitterMs: fc.nat(300),
      power: fc.integer({ min: 1, max: 6 }),
    })
    const anyClock = fc.record({
      offsetMs: fc.integer({ min: -1e9, max: 1e9 }),
      ppm: fc.integer({ min: -295, max: 295 }),
    })
    fc.assert(
      fc.property(
        anyWay,
        anyWay,
        anyClock,
        fc.integer({ min: 10, max: 80 }),
        fc.nat(),
        (there, back, clock, probes, seed) => {
          const way =
            ({ baseMs, jitterMs, power }: typeof there) =>
            (random: () => number) =>
              baseMs + jitterMs * random() ** power
          let atMs = 0
          const random = createSeededRandom(seed)
          // Mostly up to 2 s from probe to probe, sometimes up to two minutes.
          const schedule = Array.from(
            { length: probes },
            () => (atMs += random() * (random() < 0.05 ? 120_000 : 2_000)),
          )
          const durationMs = Math.min(atMs + 2_000, 200_000)
          const path = { name: '', there: way(there), back: way(back), asymmetryMs: 0 }
          const { readings, estimator } = follow(path, clock, schedule, seed, durationMs)
          expect(readings.filter(isOutside)).toEqual([])
          expect(estimator.refused()).toBe(0)
        },
      ),
      { numRuns: 100 },
    )
  })
})

/** A probe over a way of 5 ms each way, by a local clock that is `aheadMs` behind the server's. */
const probe = (localMs: number, aheadMs: number, wayMs = 5): TimeSample => ({
  sentMs: localMs,
  receivedMs: localMs + wayMs + aheadMs,
  answeredMs: localMs + wayMs + aheadMs,
  gotMs: localMs + 2 * wayMs,
})

function feed(estimator: TimeEstimator, fromMs: number, count: number, aheadMs: number, wayMs = 5): void {
  for (let index = 0; index < count; index++) estimator.add(probe(fromMs + index * 100, aheadMs, wayMs))
}

describe('what is given out', () => {
  test('before there is a sample it is the local time, and nothing is claimed', () => {
    const estimator = createTimeEstimator()
    expect([estimator.nowMs(17), estimator.offsetMs(17), estimator.uncertaintyMs(17)]).toEqual([17, 0, Infinity])
  })

  test('TME3: up to 50 ms are made up for at 5 ms a second, more at once', () => {
    const near = createTimeEstimator()
    feed(near, 0, 5, 1_000, 60)
    feed(near, 600, 1, 1_045, 5) // lucky, and not contradicting: the way back took nothing before
    const offMs = Math.abs(near.offsetMs(610) - 1_045)
    expect(offMs).toBeGreaterThan(40)
    const later = near.offsetMs(1_610)
    expect(Math.abs(later - near.offsetMs(610))).toBeLessThanOrEqual(5.5)
    expect(Math.abs(near.offsetMs(20_000) - 1_045)).toBeLessThan(2)

    const far = createTimeEstimator()
    feed(far, 0, 5, 1_000, 90)
    far.add(probe(600, 1_080))
    expect(Math.abs(far.offsetMs(610) - 1_080)).toBeLessThan(1)
  })

  test('TME2: a step back is waited for', () => {
    const estimator = createTimeEstimator()
    feed(estimator, 0, 5, 5_000)
    const before = estimator.nowMs(1_000)
    feed(estimator, 1_000, 5, 2_000)
    expect(estimator.offsetMs(1_500)).toBeCloseTo(2_000, 0)
    expect(estimator.nowMs(1_500)).toBe(before)
    expect(estimator.uncertaintyMs(1_500)).toBeGreaterThanOrEqual(before - 3_500)
    expect(estimator.nowMs(5_000)).toBeCloseTo(7_000, 0)
  })
})

describe('samples that are not true', () => {
  const refusals: readonly (readonly [string, Partial<TimeSample>])[] = [
    ['the answer came before it was sent', { gotMs: 990 }],
    ['the server held it for longer than the trip took', { answeredMs: 6_050 }],
    ['the server answered before it received', { answeredMs: 5_990 }],
    ['NaN', { receivedMs: Number.NaN }],
    ['infinite', { sentMs: Number.NEGATIVE_INFINITY }],
    ['half a minute under way', { gotMs: 32_000 }],
  ]
  test.each(refusals)('TME4: refused and counted: %s', (_, wrong) => {
    const estimator = createTimeEstimator()
    expect(estimator.add({ ...probe(1_000, 5_000), ...wrong })).toBe(false)
    expect([estimator.refused(), estimator.uncertaintyMs(0)]).toEqual([1, Number.POSITIVE_INFINITY])
  })

  test('TME4: one forged time changes nothing, and neither do many that do not agree', () => {
    const estimator = createTimeEstimator()
    const random = createSeededRandom(4)
    for (let round = 0; round < 50; round++) {
      const localMs = round * 100
      estimator.add(probe(localMs, 5_000))
      for (let time = 0; time < 4; time++) estimator.add(probe(localMs + 20, 5_000 + (random() - 0.5) * 1e9))
      expect(Math.abs(estimator.offsetMs(localMs + 50) - 5_000)).toBeLessThan(1)
    }
    expect(estimator.refused()).toBe(200)
  })

  test('TME1, TME4: a lie small enough to be true moves the estimate by no more than the bound', () => {
    const estimator = createTimeEstimator()
    feed(estimator, 0, 50, 5_000, 20)
    for (let index = 0; index < 50; index++) estimator.add(probe(5_000 + index * 100, 5_000 + 19, 20))
    expect(Math.abs(estimator.nowMs(10_100) - 15_100)).toBeLessThanOrEqual(20.2)
  })

  test.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('TME4: the local clock jumps %s: three that agree are believed', (_, jumpMs) => {
    const estimator = createTimeEstimator()
    feed(estimator, 10_000_000, 20, 5_000)
    const after = 10_010_000 + jumpMs
    expect([0, 1, 2].map((index) => estimator.add(probe(after + index * 50, 5_000 - jumpMs)))).toEqual([
      false,
      false,
      true,
    ])
    expect(estimator.offsetMs(after + 200)).toBeCloseTo(5_000 - jumpMs, 3)
  })

  test('TME4: time of the server that goes back between two probes contradicts them', () => {
    const estimator = createTimeEstimator()
    feed(estimator, 0, 3, 5_000, 400)
    const next = { ...probe(1_001, 5_000, 400), receivedMs: 5_590, answeredMs: 5_590 } // before it answered the last
    expect([estimator.add(next), estimator.refused()]).toEqual([false, 1])
  })
})

describe('age', () => {
  test('a lucky sample counts for 30 s: what was true then need not be now', () => {
    const estimator = createTimeEstimator()
    estimator.add(probe(0, 5_000, 1))
    for (let localMs = 200; localMs < 40_000; localMs += 200) estimator.add(probe(localMs, 5_000, 30))
    expect(estimator.uncertaintyMs(40_000)).toBeGreaterThan(29)
  })

  test.each([290, -290])(
    'TME1: in ten minutes without a sample the bound grows as clocks may go apart, by %i ppm',
    (ppm) => {
      const { localAt } = falsify({ offsetMs: 0, ppm })
      const estimator = createTimeEstimator()
      for (const sample of trace(lan, { offsetMs: 0, ppm }, [0, 20, 40], 1)) estimator.add(sample)
      const localMs = localAt(STARTED_MS + 600_000)
      const errorMs = Math.abs(estimator.nowMs(localMs) - STARTED_MS - 600_000)
      expect(errorMs).toBeGreaterThan(100)
      expect(errorMs).toBeLessThanOrEqual(estimator.uncertaintyMs(localMs))
    },
  )
})

test('TME5: a hundred thousand samples at once cost no more than the last of them', () => {
  const estimator = createTimeEstimator()
  for (let index = 0; index < 100_000; index++) estimator.add(probe(index * 0.01, 5_000))
  expect(estimator.offsetMs(1_010)).toBeCloseTo(5_000, 3)
})
