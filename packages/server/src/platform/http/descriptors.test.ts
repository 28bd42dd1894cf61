import { expect, test } from 'vitest'
import { connectionsWithin } from './descriptors.ts'

const limits = (files: string) => () =>
  `Limit  Soft  Hard  Units\nMax processes  5  5\nMax open files            ${files}      1048576  files\n`

test('clients get half of what the process may open, and never more than wanted', () => {
  expect(connectionsWithin(10_000, limits('1024'))).toBe(512)
  expect(connectionsWithin(10_000, limits('1048576'))).toBe(10_000)
  expect(connectionsWithin(10_000, limits('1'))).toBe(1)
  expect(connectionsWithin(10_000, limits('unlimited'))).toBe(10_000)
  expect(connectionsWithin(10_000, () => '')).toBe(10_000)
  expect(connectionsWithin(10_000)).toBeGreaterThan(0) // of this process
})
