import { createSeededRandom } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { createTraceparent, isTraceparent, traceIdOf } from './trace.ts'

const trace = '0af7651916cd43dd8448eb211c80319c'
const span = 'b7ad6b7169203331'

test('a traceparent is valid as the recommendation says', () => {
  expect(isTraceparent(`00-${trace}-${span}-01`)).toBe(true)
  expect(isTraceparent(`cc-${trace}-${span}-01-more`)).toBe(true)
  expect(isTraceparent(`00-${trace}-${span}-01-more`)).toBe(false)
  expect(isTraceparent(`ff-${trace}-${span}-01`)).toBe(false)
  expect(isTraceparent(`00-${'0'.repeat(32)}-${span}-01`)).toBe(false)
  expect(isTraceparent(`00-${trace}-${'0'.repeat(16)}-01`)).toBe(false)
  expect(isTraceparent(`00-${trace.toUpperCase()}-${span}-01`)).toBe(false)
  expect(isTraceparent('')).toBe(false)
})

test('what is made here is valid, and another each time', () => {
  const random = createSeededRandom(7)
  const made = Array.from({ length: 1_000 }, () => createTraceparent(random))
  expect(made.every(isTraceparent)).toBe(true)
  expect(new Set(made.map(traceIdOf)).size).toBe(1_000)
  expect(isTraceparent(createTraceparent(() => 0))).toBe(true)
})
