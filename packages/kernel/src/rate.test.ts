import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TokenBucket } from './rate.ts'

test('R1: in no window of t seconds are more than burst + perSecond * t let through', () => {
  const gaps = fc.array(fc.double({ min: 0, max: 400, noNaN: true }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(
      fc.double({ min: 0.5, max: 5_000, noNaN: true }),
      fc.integer({ min: 1, max: 50 }),
      gaps,
      (perSecond, burst, script) => {
        const bucket = new TokenBucket({ perSecond, burst }, 0)
        let nowMs = 0
        const taken: number[] = []
        for (const gapMs of script) {
          nowMs += gapMs
          for (let hurry = 0; hurry < 3; hurry++) {
            const waitMs = bucket.take(nowMs)
            if (waitMs === 0) taken.push(nowMs)
            else expect(waitMs).toBeGreaterThan(0)
          }
        }
        for (let from = 0; from < taken.length; from++) {
          for (let to = from; to < taken.length; to++) {
            const seconds = ((taken[to] as number) - (taken[from] as number)) / 1000
            expect(to - from + 1).toBeLessThanOrEqual(burst + perSecond * seconds + 1e-6)
          }
        }
      },
    ),
  )
})

test('R1: what it lets through in the long run is the rate', () => {
  const bucket = new TokenBucket({ perSecond: 100, burst: 10 }, 0)
  let passed = 0
  for (let nowMs = 0; nowMs < 10_000; nowMs++) if (bucket.take(nowMs) === 0) passed++
  expect(passed).toBeGreaterThanOrEqual(1_000)
  expect(passed).toBeLessThanOrEqual(1_010)
})

test('a refusal says how long to wait, and that wait is enough', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 1_000, noNaN: true }), (perSecond) => {
      const bucket = new TokenBucket({ perSecond, burst: 1 }, 0)
      expect(bucket.take(0)).toBe(0)
      const waitMs = bucket.take(0)
      expect(waitMs).toBeCloseTo(1_000 / perSecond, 6)
      expect(bucket.take(waitMs * 0.99)).toBeGreaterThan(0)
      expect(bucket.take(Math.ceil(waitMs) + 1)).toBe(0)
    }),
  )
})

test('a clock that seems to stand still or step back gives nothing away', () => {
  const bucket = new TokenBucket({ perSecond: 1, burst: 2 }, 1_000)
  expect(bucket.take(1_000)).toBe(0)
  expect(bucket.take(500)).toBe(0)
  expect(bucket.take(500)).toBeGreaterThan(0)
  expect(bucket.take(1_000)).toBeGreaterThan(0)
  expect(bucket.available(1_999)).toBe(0)
  expect(bucket.available(2_001)).toBe(1)
})
