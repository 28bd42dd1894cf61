import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RetryBudget } from './budget.ts'

/** A peer that is down for `seconds`: every attempt fails, three attempts a call as far as the budget pays. */
function amplification(callsPerSecond: number, seconds: number, calmSeconds = 0): number {
  const budget = new RetryBudget({ share: 0.2, perSecond: 3 }, 0)
  for (let call = 0; call < callsPerSecond * calmSeconds; call++) budget.deposit()
  let attempts = 0
  const calls = callsPerSecond * seconds
  for (let call = 0; call < calls; call++) {
    const nowMs = calmSeconds * 1_000 + (call * 1_000) / callsPerSecond
    budget.deposit()
    attempts++
    for (let retry = 0; retry < 2 && budget.spend(nowMs + retry * 25); retry++) attempts++
  }
  return attempts / calls
}

test.each([
  { callsPerSecond: 100, calmSeconds: 0 },
  { callsPerSecond: 100, calmSeconds: 3_600 },
  { callsPerSecond: 1_000, calmSeconds: 0 },
  { callsPerSecond: 1_000, calmSeconds: 600 },
])('L9: $callsPerSecond calls/s, a peer down for 10 s after $calmSeconds s of calm: at most 1.25x', (load) => {
  const measured = amplification(load.callsPerSecond, 10, load.calmSeconds)
  expect(measured).toBeLessThanOrEqual(1.25)
  expect(measured, 'and retries do happen').toBeGreaterThan(1.15)
})

test('L9: retries never exceed the share of calls, the floor and the two small banks', () => {
  const load = fc.array(
    fc.record({ gapMs: fc.integer({ min: 0, max: 2_000 }), wants: fc.integer({ min: 0, max: 5 }) }),
    {
      maxLength: 300,
    },
  )
  fc.assert(
    fc.property(load, (script) => {
      const budget = new RetryBudget({ share: 0.2, perSecond: 3 }, 0)
      let nowMs = 0
      let calls = 0
      let retries = 0
      for (const { gapMs, wants } of script) {
        nowMs += gapMs
        calls++
        budget.deposit()
        for (let want = 0; want < wants; want++) {
          const could = budget.available(nowMs)
          const paid = budget.spend(nowMs)
          expect(paid).toBe(could > 0)
          if (paid) retries++
        }
        expect(retries).toBeLessThanOrEqual(0.2 * calls + (3 * nowMs) / 1_000 + 3 + 1e-6)
      }
    }),
  )
})

test('L9: a trickle of calls may still retry: the floor pays three a second', () => {
  const budget = new RetryBudget({ share: 0.2, perSecond: 3 }, 0)
  let paid = 0
  for (let second = 0; second < 100; second++) {
    budget.deposit()
    for (let want = 0; want < 10; want++) if (budget.spend(second * 1_000)) paid++
  }
  expect(paid).toBeGreaterThanOrEqual(300)
})
