import { expect, test } from 'vitest'
import { PERIODS_KEPT, type Period, Periods } from './periods.ts'

const period = (epoch: number, reason: Period['reason'] = 'interrupted', mode: Period['mode'] = 'redis'): Period => ({
  epoch,
  mode,
  reason,
  sinceMs: epoch * 1_000,
  untilMs: epoch * 1_000 + 100,
})
const many = (from: number, to: number): Period[] =>
  Array.from({ length: to - from + 1 }, (_, index) => period(from + index))

test('outages are told between two epochs, as far as memory reaches back, and memory is bounded', () => {
  const periods = new Periods()
  expect(periods.outagesBetween(0, 1)).toBeUndefined()
  periods.learn(many(1, 3))
  expect(periods.outagesBetween(1, 2)).toEqual([{ epoch: 2, sinceMs: 2_000, untilMs: 2_100 }])
  expect(periods.outagesBetween(0, 9)?.map(({ epoch }) => epoch)).toEqual([1, 2, 3])
  expect(periods.outagesBetween(3, 3)).toEqual([])
  periods.learn(many(2, PERIODS_KEPT + 2))
  expect(periods.newest?.epoch).toBe(PERIODS_KEPT + 2)
  expect(periods.outagesBetween(1, 4)).toBeUndefined()
  expect(periods.outagesBetween(2, 4)?.map(({ epoch }) => epoch)).toEqual([3, 4])
})

test('Redis has kept everything through interruptions, and through nothing else', () => {
  const periods = new Periods()
  periods.learn([period(1, 'first'), period(2), period(3), period(4, 'redis_replaced'), period(5)])
  expect(periods.areContinuous(1, 3)).toBe(true)
  expect(periods.areContinuous(1, 4)).toBe(false)
  expect(periods.areContinuous(4, 5)).toBe(true)
  expect(periods.areContinuous(3, 5)).toBe(false)
  expect(periods.areContinuous(0, 3)).toBe(false)
  periods.learn([period(6, 'redis_gone', 'postgres'), period(7, 'interrupted', 'postgres'), period(8, 'redis_back')])
  expect(periods.areContinuous(6, 7)).toBe(false)
  expect(periods.areContinuous(7, 8)).toBe(false)
  periods.learn(many(9, 9 + PERIODS_KEPT))
  expect(periods.areContinuous(8, 20)).toBe(false) // it does not know any more
  expect(periods.areContinuous(9, 20)).toBe(true)
})
