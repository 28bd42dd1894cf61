// Invariants:
//   AR1. Every rule has an id of its own, a reason, a remedy and a source, and stands in docs/audit-rules.md.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { documentRules } from '../reports/explain.ts'
import { DEMONSTRATIONS, SHOWS } from './demonstrations/index.ts'
import { GUARANTEES } from './guarantees.ts'
import { RULES } from './index.ts'

test('AR1: ids are unique and speak of one thing', () => {
  const ids = RULES.map(({ meta }) => meta.id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) expect(id).toMatch(/^[a-z0-9]+(-[a-z0-9]+)+$/)
})

test.each(RULES.map(({ meta }) => [meta.id, meta] as const))(
  'AR1: %s says why, what to do, and on what it rests',
  (_id, meta) => {
    expect(meta.title).not.toMatch(/\.$/)
    expect(meta.why.length).toBeGreaterThan(40)
    expect(meta.remedies.length).toBeGreaterThan(0)
    expect(meta.sources.length).toBeGreaterThan(0)
  },
)

test('AR1: docs/audit-rules.md is what the rules make; `node scripts/accept-docs.mjs` writes it', () => {
  const page = readFileSync(new URL('../../../../docs/audit-rules.md', import.meta.url), 'utf8')
  expect(page).toBe(documentRules(RULES))
})

test('AR2: what remedies name exists, where they say', () => {
  const known = new Set<string>(Object.values(GUARANTEES))
  for (const { meta } of RULES)
    for (const { guarantee } of meta.remedies) if (guarantee !== undefined) expect(known).toContain(guarantee)
  for (const text of known)
    for (const [, name = '', home = ''] of text.matchAll(
      /\b(create\w+|receiveOnce|connectSession)\(…\) of @ripstop\/([\w/]+)/g,
    )) {
      const [pack = '', ...inside] = home.split('/')
      const door = pack === 'kernel' && inside.length > 0 ? `src/adapters/${inside[0]}` : ['src', ...inside].join('/')
      const text = readFileSync(new URL(`../../../${pack}/${door}/index.ts`, import.meta.url), 'utf8')
      expect(text).toMatch(new RegExp(`\\b${name}\\b`))
    }
})

test('QS12: every rule is shown by one demonstration or said to be seen by reading, and none shows what is no rule', () => {
  const shown = Object.values(SHOWS).flat()
  expect([...shown].sort()).toEqual(RULES.map(({ meta }) => meta.id).sort())
  for (const rules of Object.values(SHOWS)) expect(rules.length).toBeGreaterThan(0)
})

test.each(Object.entries(DEMONSTRATIONS))('QS12: %s is short, and says both outcomes', (_name, demonstration) => {
  const { steps, expected, mended } = demonstration
  expect(steps.length).toBeGreaterThan(0)
  for (const text of [...steps, expected, mended]) expect(text.length).toBeLessThan(180)
  // A command has a line of its own: whoever looks for it finds it, and what is put in knows that it is one.
  for (const step of steps) expect(step.startsWith('$ ') || !/[`]|\$ /.test(step), step).toBe(true)
  expect(mended).not.toBe(expected)
})
