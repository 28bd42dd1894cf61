import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Kept, UnderWay } from './under-way.ts'

test('it holds what a Set would hold, whoever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 200 }), (steps) => {
      const entries: Kept[] = Array.from({ length: 10 }, () => ({ index: 0 }))
      const underWay = new UnderWay<Kept>()
      const model = new Set<Kept>()
      for (const step of steps) {
        const entry = entries[step] as Kept
        if (model.delete(entry)) underWay.remove(entry)
        else {
          model.add(entry)
          underWay.add(entry)
        }
        expect(new Set(underWay.list())).toEqual(model)
        expect(underWay.size).toBe(model.size)
      }
    }),
  )
})
