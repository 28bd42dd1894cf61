import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fits, Matcher, PATTERN } from './matcher.ts'

const word = fc.constantFrom('a', 'b', 'order', 'paid')
const type = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('.'))
const pattern = fc.oneof(
  type,
  type.map((text) => `${text}.*`),
  type.map((text) => `${text.slice(0, -1)}*`),
  fc.constant('*'),
)
const entry = fc.record({ eventTypes: fc.uniqueArray(pattern, { minLength: 1, maxLength: 4 }) })

test('WF1: it finds what trying every endpoint finds, each once, also after some were taken away', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 20 }), fc.array(type, { maxLength: 10 }), (entries, types) => {
      const matcher = new Matcher<(typeof entries)[number]>()
      for (const one of entries) matcher.add(one)
      const check = (present: typeof entries): void => {
        for (const one of types) {
          const naive = present.filter(({ eventTypes }) => eventTypes.some((pattern) => fits(pattern, one)))
          const found = matcher.find(one)
          expect(new Set(found)).toEqual(new Set(naive))
          expect(found).toHaveLength(naive.length)
        }
      }
      check(entries)
      const [first, ...rest] = entries
      if (first === undefined) return
      matcher.remove(first)
      check(rest)
    }),
  )
})

test.each([
  ['order.*', 'order.paid', true],
  ['order.*', 'order.item.added', true],
  ['order.*', 'order', false],
  ['order.*', 'orders.paid', false],
  ['order', 'order.paid', false],
  ['*', 'anything', true],
  ['ord*', 'order', true],
])('%s and %s: %s', (pattern, type, expected) => {
  expect(fits(pattern, type)).toBe(expected)
})

test('what is no pattern is refused', () => {
  for (const good of ['*', 'a', 'order.*', 'com.example/x:y-z_1', 'a*']) expect(PATTERN.test(good)).toBe(true)
  for (const bad of ['', '**', '*.paid', 'a*b', ' a', 'a b', '.a', 'a'.repeat(129)])
    expect(PATTERN.test(bad)).toBe(false)
})
