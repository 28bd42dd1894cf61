// The auditor on this project.
//   AQ4. Nothing strong is found here that has no reason written down, and every reason still stands for something.

import { resolve } from 'node:path'
import { systemClock } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { scan } from '../../packages/audit/src/scan.ts'

const ROOT = resolve(import.meta.dirname, '..', '..')

test('AQ4: nothing strong without a reason, no reason without a place', { timeout: 60_000 }, async () => {
  const { findings, brokenRules, suppressionProblems } = await scan(ROOT, { clock: systemClock })
  const strong = findings.filter(({ tier, suppressed }) => tier !== 'review' && suppressed === undefined)
  expect(strong.map(({ rule, evidence }) => `${rule} ${evidence[0]?.loc?.file}:${evidence[0]?.loc?.line}`)).toEqual([])
  expect(brokenRules).toEqual([])
  expect(suppressionProblems).toEqual([])
})
