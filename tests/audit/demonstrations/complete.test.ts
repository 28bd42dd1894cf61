// That what can be run is run: the demonstrations that no test here runs are named, with what is missing for them.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DEMONSTRATIONS } from '../../../packages/audit/src/rules/demonstrations/index.ts'

const CONTAINERS = 'it needs an engine of containers'
const NOT_RUN: Readonly<Record<string, string>> = {
  'occupied-pool': 'its rules know pools of SQLAlchemy, and workers of BullMQ beside them',
  gauge: 'its rule knows prom-client',
  'foreign-origin': 'its rule knows the plugins of frameworks',
  'path-handed-on': 'its rule knows Express',
  'asked-inside': CONTAINERS,
  'asked-from-outside': 'it needs another machine',
  'killed-instance': CONTAINERS,
  'frozen-instance': CONTAINERS,
  'made-anew': CONTAINERS,
}

test('QS11: every demonstration is run by a test of this folder, or it is said why not', () => {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.test.ts'))
  const run = new Set<string>()
  for (const file of files) {
    const text = readFileSync(join(import.meta.dirname, file), 'utf8')
    for (const [, name = ''] of text.matchAll(/^shows\('([\w-]+)'/gm)) run.add(name)
  }
  expect([...run, ...Object.keys(NOT_RUN)].sort()).toEqual(Object.keys(DEMONSTRATIONS).sort())
})
