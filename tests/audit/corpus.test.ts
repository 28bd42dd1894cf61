// The auditor against the corpus of confirmed findings. The corpus is other people's code and no part of this repository: without RIPSTOP_CORPUS these
// tests are skipped, and say so.
//   AQ1. Of pairs of rule and file that are judged exhaustively, 95 % of what is named is right and 90 % of what is there is named; of all rows 70 %.
//   AQ2. Where a confirmed negative stands nothing is said.
//   AQ3. The six permanent failure states of the third seed are found, and none where they were mended.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { RULES } from '../../packages/audit/src/rules/index.ts'
import { scan } from '../../packages/audit/src/scan.ts'
import { MENDED, nameOf, readCorpus, type Spot, score } from './corpus.ts'

const folder = process.env.RIPSTOP_CORPUS
const systems = readCorpus(folder)
const STUCK = 'permanent-failure-state'
const SCAN_MS = 60_000

if (systems === undefined)
  process.stderr.write(
    '\nSKIPPED: RIPSTOP_CORPUS names no folder with seed.json; the auditor is not judged by the corpus.\n',
  )

async function spotsIn(tree: string): Promise<readonly Spot[]> {
  const { findings, brokenRules } = await scan(join(folder as string, tree), { clock: systemClock, rules: RULES })
  expect(brokenRules).toEqual([])
  return findings.flatMap(({ rule, tier, evidence }) =>
    evidence.flatMap(({ loc }) => (loc === undefined ? [] : [{ rule, tier, ...loc }])),
  )
}

describe.skipIf(systems === undefined)('the corpus', () => {
  test('AQ1, AQ2, AQ3: what is confirmed is found, what is not is not said', { timeout: 6 * SCAN_MS }, async () => {
    const spots = new Map<string, readonly Spot[]>()
    for (const system of systems ?? []) spots.set(nameOf(system), await spotsIn(nameOf(system)))
    const { rows, false: wrong, broken, isExhaustive } = score(systems ?? [], spots)
    const found = rows.filter(({ spot }) => spot !== undefined)
    const paired = rows.filter(({ system, row }) => isExhaustive(system, row.rule, row.file))
    const right = paired.filter(({ spot }) => spot !== undefined)
    expect(right.length / (right.length + wrong.length)).toBeGreaterThanOrEqual(0.95)
    expect(right.length / paired.length).toBeGreaterThanOrEqual(0.9)
    expect(found.length / rows.length).toBeGreaterThanOrEqual(0.7)
    expect(broken).toEqual([])
    expect(found.filter(({ system, row }) => system.startsWith('zen-') && row.rule === STUCK)).toHaveLength(6)
  })

  for (const [tree, files] of Object.entries(MENDED))
    test.skipIf(!existsSync(join(folder ?? '', tree)))(
      `AQ3: ${tree} is silent where it was mended`,
      { timeout: SCAN_MS },
      async () => {
        const found = await spotsIn(tree)
        expect(found.filter(({ rule, file }) => rule === STUCK && files.some((one) => file.endsWith(one)))).toEqual([])
      },
    )
})
