// What the auditor says of libraries, beside what they do. Python's come with Debian's packages, npm's are installed in bench/libraries: without them these tests are
// skipped, and say so. The whole measurement, and its table: `node bench/audit/defaults.ts`.
//   QN4. Whatever was measured of a library is as the knowledge base says, or the knowledge base does not speak of it.

import { expect, test } from 'vitest'
import { mayMeasure, measure, type Row, verdictOf } from './defaults.ts'

const SECONDS = 4
/** A busy machine is late: what differs is measured once more, alone and for longer. */
const AGAIN_SECONDS = 12
const RUN_MS = 180_000

function differing(rows: readonly Row[], seconds: number): readonly Row[] {
  return rows.filter((row) => verdictOf(row, seconds * 1000) === 'differs')
}

function shown(rows: readonly Row[]): readonly string[] {
  return rows.map(({ library, version, what, outcome, ms, value, text }) =>
    [library, version, what, outcome, value ?? ms, text].filter((part) => part !== undefined).join(' '),
  )
}

for (const language of ['python', 'javascript'] as const) {
  const name = `QN4: libraries of ${language} do as is said`
  if (!mayMeasure(language)) {
    console.warn(`SKIPPED: nothing to measure libraries of ${language} with: see docs/proof/audit-knowledge.md`)
    test.skip(name)
    continue
  }
  test(name, { timeout: RUN_MS }, async ({ skip }) => {
    const rows = await measure(language, SECONDS)
    const missing = new Set(rows.filter(({ outcome }) => outcome === 'missing').map((row) => row.package))
    if (missing.size > 0) console.warn(`SKIPPED: not installed: ${[...missing].join(', ')}`)
    if (rows.every(({ outcome, package: from }) => outcome === 'missing' || from === 'python'))
      skip('no library is installed')
    const first = differing(rows, SECONDS)
    const names = [...new Set(first.flatMap((row) => [row.library, row.package]))]
    const again = first.length === 0 ? [] : await measure(language, AGAIN_SECONDS, names)
    expect(shown(differing(again, AGAIN_SECONDS))).toEqual([])
  })
}

test.each<readonly [Partial<Row>, string]>([
  [{ library: 'requests', what: 'answer', outcome: 'pending' }, 'as said'],
  [{ library: 'requests', what: 'answer', outcome: 'threw', ms: 3000 }, 'differs'],
  [{ library: 'httpx', what: 'answer', outcome: 'pending' }, 'as said'],
  [{ library: 'httpx', what: 'connect', outcome: 'threw', ms: 2000 }, 'differs'],
  [{ library: 'httpx', what: 'size', outcome: 'read', value: 10 }, 'differs'],
  [{ library: 'redis', version: '4.3.4', what: 'answer', outcome: 'pending' }, 'as said'],
  [{ library: 'requests', what: 'refusal', outcome: 'threw', ms: 1 }, 'differs'],
  [{ library: 'requests', what: 'retries', outcome: 'read', value: 2 }, 'differs'],
  [{ library: 'requests', what: 'option', outcome: 'pending' }, 'differs'],
  [{ library: 'celery', what: 'publish', outcome: 'pending' }, 'not said'],
  [{ library: 'requests', what: 'answer', outcome: 'missing' }, 'not seen'],
])('QN4: %j is %s', (row, verdict) => {
  const whole = {
    language: 'python',
    package: '',
    version: '1.0.0',
    library: '',
    what: '',
    outcome: 'pending',
    ...row,
  } as Row
  expect(verdictOf(whole, SECONDS * 1000)).toBe(verdict)
})
