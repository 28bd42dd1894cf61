import { expect, test } from 'vitest'
import { createProgress } from './progress.ts'

function watch(
  isWatched: boolean,
  steps: readonly (readonly [ms: number, what: string, howFar?: string])[],
  columns?: number,
): string {
  const said: string[] = []
  let nowMs = 0
  const progress = createProgress((text) => void said.push(text), isWatched, { monoMs: () => nowMs }, columns)
  for (const [ms, what, howFar] of steps) {
    nowMs = ms
    progress.step(what, howFar)
  }
  progress.clear()
  return said.join('')
}

const STEPS = [
  [0, 'walking'],
  [5, 'reading', '1 of 9'],
  [10, 'reading', '2 of 9'],
  [3_000, 'reading', `8 of 9 ${'x'.repeat(200)}`],
] as const

test('AX6: on a terminal one line is rewritten, cut to what fits, and gone in the end', () => {
  const clear = '\r\u001b[2K'
  const last = `reading: 8 of 9 ${'x'.repeat(200)}`.slice(0, 79)
  expect(watch(true, STEPS)).toBe(`walking${clear}reading: 1 of 9${clear}${last}${clear}`)
})

test('AX6: on a narrow terminal the line is cut to what fits there', () => {
  expect(watch(true, [[0, 'x'.repeat(200)]], 60)).toBe(`${'x'.repeat(59)}\r\u001b[2K`)
})

test('AX6: elsewhere there is a line now and then, and none of what is done soon', () => {
  expect(watch(false, STEPS.slice(0, 3))).toBe('')
  expect(watch(false, STEPS)).toBe(`reading: 8 of 9 ${'x'.repeat(200)}\n`)
  expect(
    watch(false, [...STEPS, [3_500, 'applying'], [5_100, 'applying', '9 of 9']])
      .split('\n')
      .slice(1),
  ).toEqual(['applying: 9 of 9', ''])
})
