import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Admission, type Holder } from './admission.ts'

describe('admission', () => {
  test('AD1: never more places are taken than there are, whoever comes and goes', () => {
    const steps = fc.array(fc.tuple(fc.nat(3), fc.boolean()), { maxLength: 300 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), steps, (places, all) => {
        const admission = new Admission(places)
        const holders: Holder[] = [0, 1, 2, 3].map(() => ({ held: 0 }))
        for (const [index, comes] of all) {
          const holder = holders[index] as Holder
          if (comes) admission.enter(holder)
          else if (holder.held > 0) admission.leave(holder)
          expect(admission.taken).toBe(holders.reduce((sum, { held }) => sum + held, 0))
          expect(admission.taken).toBeLessThanOrEqual(places)
        }
      }),
    )
  })

  test('AD2: whatever some hold on to, the others still find their part', () => {
    for (const hogs of [1, 2, 3, 7]) {
      const admission = new Admission(1_200)
      const holders: Holder[] = Array.from({ length: hogs }, () => ({ held: 0 }))
      for (let round = 0; round < 1_200; round++) for (const holder of holders) admission.enter(holder)
      const left = 1_200 - admission.taken
      expect(left).toBeGreaterThanOrEqual(Math.floor(1_200 / (hogs + 1)))
      const late: Holder = { held: 0 }
      expect(admission.enter(late)).toBe(true)
    }
  })
})
