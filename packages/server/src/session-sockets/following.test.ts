import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EventRing, stepTo, type ToldEvent } from './following.ts'

const entry = (epoch: number, version: number) => ({ epoch, version })

test.each([
  ['what comes next is taken', [1, 5], [1, 5], [[1, 6], [1, 7]], { kind: 'next', skip: 0 }], // biome-ignore format: a table
  ['an outage moves the epoch', [1, 5], [1, 5], [[2, 6]], { kind: 'next', skip: 0 }],
  ['what was taken is old', [1, 7], [1, 5], [[1, 6], [1, 7]], { kind: 'old' }], // biome-ignore format: a table
  ['what was taken in part is taken from there', [1, 6], [1, 5], [[1, 6], [1, 7]], { kind: 'next', skip: 1 }], // biome-ignore format: a table
  ['what was left out is a gap', [1, 5], [1, 6], [[1, 7]], { kind: 'gap' }],
  ['a branch from before is a gap', [1, 9], [1, 5], [[2, 6]], { kind: 'gap' }],
  ['a branch that was left is old', [2, 6], [1, 5], [[1, 6], [1, 7]], { kind: 'old' }], // biome-ignore format: a table
] as const)('FO2: %s', (_, [e, v], [fromEpoch, fromVersion], entries, step) => {
  const given = entries.map(([epoch, version]) => entry(epoch, version))
  expect(stepTo({ e, v }, entry(fromEpoch, fromVersion), given)).toEqual(step)
})

test('FO2: whatever comes twice, late or in another order, nothing is taken twice and a hole is a gap', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 3 })), { maxLength: 60 }), (heard) => {
      let at = { e: 1, v: 1 }
      const taken: number[] = []
      for (const [from, count] of heard) {
        const entries = Array.from({ length: count }, (_, index) => entry(1, from + index + 1))
        const step = stepTo(at, entry(1, from), entries)
        const last = from + count
        if (step.kind === 'next') taken.push(...entries.slice(step.skip).map(({ version }) => version))
        else expect(step.kind).toBe(last <= at.v ? 'old' : 'gap')
        if (step.kind === 'next') at = { e: 1, v: last }
      }
      expect(taken).toEqual(Array.from({ length: at.v - 1 }, (_, index) => index + 2))
    }),
  )
})

test('FO3: a ring gives all that came after a place that it knows, and nothing for any other', () => {
  const event = (v: number, atMs: number, text = `${v}`): ToldEvent => ({ e: 1, v, atMs, text })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.nat(30_000), { maxLength: 60 }), (max, gapsMs) => {
      const ring = new EventRing(max, { e: 1, v: 1 })
      let nowMs = 0
      const all = gapsMs.map((gapMs, index) => {
        nowMs += gapMs
        return event(index + 2, nowMs)
      })
      for (const one of all) ring.push(one)
      const kept = all.slice(-max).filter(({ atMs }) => nowMs - atMs <= 60_000)
      const last = all.length + 1
      const first = kept[0]?.v ?? last + 1
      for (let v = 0; v <= last + 2; v++) {
        const isKnown = v >= first - 1 && v <= last
        expect(ring.since({ e: 1, v })).toEqual(
          isKnown ? kept.filter((one) => one.v > v).map(({ text }) => text) : undefined,
        )
      }
      expect(ring.since({ e: 2, v: last })).toBeUndefined()
    }),
  )
  const large = new EventRing(256, { e: 1, v: 1 })
  for (let v = 2; v < 20; v++) large.push(event(v, 0, 'x'.repeat(10_000)))
  expect([large.since({ e: 1, v: 1 }), large.since({ e: 1, v: 13 })?.length]).toEqual([undefined, 6])
})

test('FO3: what is read of the log is remembered where it leads to what is known, and there is room', () => {
  const event = (v: number, e = 1): ToldEvent => ({ e, v, atMs: 0, text: `${v}` })
  const create = () => {
    const ring = new EventRing(4, { e: 1, v: 5 })
    ring.push(event(6))
    return ring
  }
  const joined = create()
  joined.extend({ e: 1, v: 3 }, [event(4), event(5), event(6)])
  expect([joined.since({ e: 1, v: 3 }), joined.since({ e: 1, v: 4 })]).toEqual([
    ['4', '5', '6'],
    ['5', '6'],
  ])
  for (const earlier of [[event(3), event(4)], [event(5, 2)], [2, 3, 4, 5].map((v) => event(v)), []]) {
    const ring = create()
    ring.extend({ e: 1, v: 1 }, earlier)
    expect([ring.since({ e: 1, v: 1 }), ring.since({ e: 1, v: 5 })]).toEqual([undefined, ['6']])
  }
})
