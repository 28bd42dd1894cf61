import { expect, test } from 'vitest'
import { createId, createSeededRandom, systemRandom } from './ids.ts'

test('ids are UUIDv7: they carry the time, sort by it, and differ', () => {
  const wallMs = Date.UTC(2026, 10, 21, 12, 0, 0)
  const id = createId(wallMs)
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(wallMs)
  const later = Array.from({ length: 1_000 }, (_, index) => createId(wallMs + index * 1_000_003))
  expect([...later].sort()).toEqual(later)
  expect(new Set(Array.from({ length: 10_000 }, () => createId(wallMs))).size).toBe(10_000)
  expect(createId(wallMs + 0.75).slice(0, 13)).toBe(id.slice(0, 13))
})

test('a seed gives the same sequence again, another seed another, all in [0, 1) and spread evenly', () => {
  const draw = (seed: number, count: number) => {
    const random = createSeededRandom(seed)
    return Array.from({ length: count }, random)
  }
  expect(draw(42, 10)).toEqual(draw(42, 10))
  expect(draw(42, 10)).not.toEqual(draw(43, 10))
  const values = draw(7, 20_000)
  for (const value of values) expect(value >= 0 && value < 1).toBe(true)
  const tenths = new Array<number>(10).fill(0)
  for (const value of values) tenths[Math.floor(value * 10)] = (tenths[Math.floor(value * 10)] ?? 0) + 1
  for (const share of tenths) expect(Math.abs(share - 2_000)).toBeLessThan(250)
  expect(systemRandom()).toBeLessThan(1)
})
