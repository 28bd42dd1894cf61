import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFaultSchedule, type FaultScheduleOptions } from './fault-schedule.ts'

const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 6 })
const range = fc.tuple(fc.nat(400), fc.nat(400)).map(([from, more]) => [from, from + more] as const)
const options: fc.Arbitrary<FaultScheduleOptions> = fc.record({
  seed: fc.integer(),
  faults: names,
  targets: names,
  durationMs: fc.integer({ min: 0, max: 60_000 }),
  brokenMax: fc.integer({ min: 1, max: 5 }),
  holdMs: range,
  gapMs: range,
  recoverMs: fc.integer({ min: 0, max: 3_000 }),
})

test('SW1, SW2, SW3: rounds are ordered, bounded, healed before their check, and drawn from the seed', () => {
  fc.assert(
    fc.property(options, (chosen) => {
      const events = createFaultSchedule(chosen)
      expect(createFaultSchedule(chosen)).toEqual(events)
      const broken = new Map<string, string>()
      let lastMs = 0
      for (const event of events) {
        expect(event.atMs).toBeGreaterThanOrEqual(lastMs)
        expect(event.atMs).toBeLessThanOrEqual(chosen.durationMs)
        lastMs = event.atMs
        if (event.action === 'check') expect(broken.size).toBe(0)
        else if (event.action === 'inject') {
          expect(broken.has(event.target)).toBe(false)
          expect([chosen.faults.includes(event.fault), chosen.targets.includes(event.target)]).toEqual([true, true])
          broken.set(event.target, event.fault)
          expect(broken.size).toBeLessThanOrEqual(chosen.brokenMax ?? 0)
        } else {
          expect(broken.get(event.target)).toBe(event.fault)
          broken.delete(event.target)
        }
      }
      expect(broken.size).toBe(0)
    }),
  )
})

test('a long schedule uses every fault, every target, several at once, and heals in another order than it broke', () => {
  const faults = ['kill', 'stop', 'half_open']
  const targets = ['pg', 'redis', 'http']
  const events = createFaultSchedule({ seed: 11, faults, targets, durationMs: 600_000 })
  const named = events.filter((event) => event.action !== 'check')
  expect(new Set(named.map(({ fault }) => fault))).toEqual(new Set(faults))
  expect(new Set(named.map(({ target }) => target))).toEqual(new Set(targets))
  const orders = new Set<string>()
  for (let round = 1; round <= (events.at(-1)?.round ?? 0); round++) {
    const order = (action: string): string[] =>
      named.filter((event) => event.round === round && event.action === action).map(({ target }) => target)
    const [broken, healed] = [order('inject'), order('heal')]
    orders.add(`${broken.length} ${broken.join() === healed.join() ? 'same' : 'other'}`)
  }
  expect(orders).toEqual(new Set(['1 same', '2 same', '2 other', '3 same', '3 other']))
  expect(createFaultSchedule({ seed: 12, faults, targets, durationMs: 600_000 })).not.toEqual(events)
})

test('nothing to do is no schedule', () => {
  expect(createFaultSchedule({ seed: 1, faults: [], targets: ['a'], durationMs: 10_000 })).toEqual([])
  expect(createFaultSchedule({ seed: 1, faults: ['a'], targets: [], durationMs: 10_000 })).toEqual([])
  expect(createFaultSchedule({ seed: 1, faults: ['a'], targets: ['a'], durationMs: 100 })).toEqual([])
})
