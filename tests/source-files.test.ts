import { expect, test } from 'vitest'
import { functionsOf, importsOf, parseSource } from './source-files.ts'

const tricky = [
  "import { a } from './a.ts' // from './not.ts'",
  "export type { B } from '#b'",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is what is scanned
  'const text = `from "x" ${call({ deep: `${1}` })} { // no comment`',
  'const slash = a / b / c',
  'const regex = /[/\'"{]/.test(text) ? \'{\' : "}"',
  '/* { */ function first(a: { b: number }): { c: string } {',
  '  return { c: String(a.b) }',
  '}',
  'class Machine {',
  '  get name(): string { return this.#name }',
  '  override [Symbol.dispose](): void {',
  '    if (first(x)) { y() }',
  '  }',
  '}',
  'const arrow = async (x: () => void): Promise<void> => {',
  '  x()',
  '}',
  'interface Shape { area(): number; wait(ctx: Ctx): Promise<{ a: 1 }> }',
  'while (first(x)) { y() }',
].join('\n')
const source = parseSource('tricky.ts', tricky)

test('tells code from comments, strings, templates and regular expressions', () => {
  expect(source.code.length).toBe(tricky.length)
  expect(source.code).not.toMatch(/not\.ts|no comment|\.test\(text\) \? '\{'/)
  expect(source.comments).toContain("// from './not.ts'")
  expect(source.code).toContain('a / b / c')
  const braces = (char: string) => source.code.split(char).length
  expect(braces('{')).toBe(braces('}'))
})

test('finds imports and functions with their lengths', () => {
  expect(importsOf(source)).toEqual([
    { specifier: './a.ts', line: 1 },
    { specifier: '#b', line: 2 },
  ])
  const found = functionsOf(source).map(({ name, line, lines }) => [name, line, lines])
  expect(found).toEqual([
    ['first', 6, 3],
    ['name', 10, 1],
    ['dispose]', 11, 3],
    ['=>', 15, 3],
  ])
})
