import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { perMinute, RateTable } from './rate-table.ts'

describe('rate table', () => {
  test('RA1: no window of any length sees more than the quota and what flows back', () => {
    const gaps = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 3_000, noNaN: true })), {
      minLength: 1,
      maxLength: 200,
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), gaps, (count, all) => {
        const table = new RateTable(100)
        const granted: number[] = []
        let nowMs = 5_000
        for (const gap of all) {
          nowMs += gap
          if (table.take('a', perMinute(count), nowMs).allowed) granted.push(nowMs)
        }
        granted.forEach((fromMs, first) => {
          granted.slice(first).forEach((toMs, later) => {
            expect(later + 1).toBeLessThanOrEqual(count * (1 + (toMs - fromMs) / 60_000) + 0.01)
          })
        })
      }),
    )
  })

  test('RA1: exactly the quota passes at once, and one more after the time that is named', () => {
    const table = new RateTable(100)
    const verdicts = Array.from({ length: 1_001 }, () => table.take('a', perMinute(1_000), 9_000))
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(1_000)
    expect(verdicts[0]).toEqual({ allowed: true, remaining: 999, resetMs: 60, retryAfterMs: 0 })
    const last = verdicts[1_000]
    expect(last).toMatchObject({ allowed: false, remaining: 0 })
    expect(last?.retryAfterMs).toBeCloseTo(60, 0)
    expect(table.take('a', perMinute(1_000), 9_000 + (last?.retryAfterMs ?? 0)).allowed).toBe(true)
    expect(table.take('b', perMinute(1_000), 9_000).allowed).toBe(true)
  })

  test('RA1: ten a second are ten at once, and not six hundred', () => {
    const table = new RateTable(100)
    const quota = { count: 10, windowMs: 1_000 }
    const passed = (nowMs: number) =>
      Array.from({ length: 50 }, () => table.take('a', quota, nowMs)).filter(({ allowed }) => allowed).length
    expect([passed(5_000), passed(5_050), passed(5_100), passed(6_100)]).toEqual([10, 0, 1, 10])
  })

  test('RA2: the table is bounded, and flooding it forgets nobody who has spent something', () => {
    const table = new RateTable(1_000)
    const nowMs = 1_000
    for (let spent = 0; spent < 60; spent++) table.take('victim', perMinute(60), nowMs)
    expect(table.take('victim', perMinute(60), nowMs).allowed).toBe(false)
    for (let index = 0; index < 50_000; index++) {
      table.take(`attacker-${index}`, perMinute(60), nowMs)
      expect(table.size).toBeLessThanOrEqual(1_001)
    }
    expect(table.take('victim', perMinute(60), nowMs).allowed).toBe(false)
    expect(table.take('newcomer', perMinute(60), nowMs).allowed, 'newcomers share one quota by now').toBe(false)
  })

  test('RA2: clients whose quota is whole again make room', () => {
    const table = new RateTable(1_000)
    for (let index = 0; index < 50_000; index++)
      expect(table.take(`client-${index}`, perMinute(60_000), index).allowed).toBe(true)
    expect(table.size).toBeLessThan(1_000)
  })
})
