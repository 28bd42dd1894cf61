import { expect, test } from 'vitest'
import { indexOf } from '../folder.fixture.ts'
import { isTooDeep } from './nesting.ts'
import { readFacts } from './read-facts.ts'

test('WA8: one broken file costs its own facts, and is told; a language without a reader too', () => {
  const { facts, unread } = readFacts(
    indexOf({ 'a.ts': 'const = ;', 'b.ts': 'f()', 'c.rb': 'x', 'd.ts': '('.repeat(9_000) }),
  )
  expect(facts.get('b.ts')?.calls).toHaveLength(1)
  expect(unread).toContainEqual({ path: 'a.ts', why: 'broken syntax', detail: 'line 1' })
  expect(unread).toContainEqual({ path: 'c.rb', why: 'unknown language' })
  expect(unread.some(({ path }) => path === 'd.ts')).toBe(true)
})

test.each([
  '(',
  '[',
  '{',
  'a?b:',
  'a=>',
  'a=',
  '!',
  '`${(',
  'if(a);else\n',
  '<a>\n',
  '(\n',
  'a=\n',
  '!\n',
  'a?b:\n',
  'await ',
  'do ',
])('WA12: %s nested 50,000 times is never parsed', (text) => {
  const source = text.repeat(50_000)
  const { unread } = readFacts(indexOf({ 'a.tsx': source, 'b.ts': 'f()' }))
  expect(unread).toEqual([expect.objectContaining({ path: 'a.tsx', detail: 'nested too deep to be read' })])
})

test('WA12: what people write is not too deep', () => {
  expect(isTooDeep('const a = { b: [c(d(e))] }\n'.repeat(20_000))).toBe(false)
  expect(isTooDeep('a = b\nexports.x = y ? 1 : 2\n'.repeat(20_000))).toBe(false)
  expect(isTooDeep('<li a="x" b="y">text</li>\n'.repeat(1_000))).toBe(false)
  expect(isTooDeep(`const all = [${'{ a: 1, b: f(x) },\n'.repeat(20_000)}]`)).toBe(false)
})
