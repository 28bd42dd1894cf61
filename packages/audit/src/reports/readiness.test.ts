import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readinessOf, renderReadiness } from './readiness.ts'
import { parseResults } from './results.ts'

const results = (...tests: readonly (readonly [category: string, status: string, details?: string])[]): string =>
  JSON.stringify({
    summary: { total: 99, passed: 99 },
    by: [{ name: 'a', status: 'PASS' }],
    detailed: tests.map(([category, status, details = ''], index) => ({
      test_name: `t${index}`,
      category,
      status,
      details,
    })),
  })
const judge = (...tests: readonly (readonly [category: string, status: string, details?: string])[]) =>
  readinessOf(parseResults(results(...tests), 'results.json'), 'results.json')

describe('readiness', () => {
  test('RE15, RE16: tests are counted again from the longest list; skipped and unknown ones count against the share', () => {
    const { overall, categories } = judge(['A', 'PASS'], ['A', 'skipped'], ['B', 'FAIL'], ['B', 'maybe'])
    expect(overall.tests.value).toBe(4)
    expect(overall.share).toMatchObject({ value: 25, unit: '%', provenance: 'measured', source: 'results.json' })
    expect(categories.map(({ name, share, counts }) => [name, share.value, counts.unknown.value])).toEqual([
      ['A', 50, 0],
      ['B', 0, 1],
    ])
  })

  test('RE17: a pass that says "not found" is named, and the share without it stands beside', () => {
    const { hollow, overall, actions } = judge(
      ['A', 'PASS', 'Endpoint accessible (record not found is expected)'],
      ['A', 'PASS', 'read 3 rows'],
      ['A', 'FAIL', 'not found'],
    )
    expect(hollow.map(({ name }) => name)).toEqual(['t0'])
    expect([overall.share.value, overall.shareProven.value]).toEqual([66.7, 33.3])
    expect(actions.some(({ text }) => text.startsWith('t0:'))).toBe(true)
  })

  test('RE18: verdict by thresholds that are said to be assumed', () => {
    const times = (count: number, status: string) => Array.from({ length: count }, () => ['A', status] as const)
    expect(judge(...times(20, 'PASS')).verdict).toBe('READY')
    expect(judge(...times(9, 'ok'), ...times(1, 'failed')).verdict).toBe('READY_WITH_RISKS')
    expect(judge(...times(7, 'true'), ...times(3, 'error')).verdict).toBe('NOT_READY')
    const text = renderReadiness(judge(...times(1, 'skip')))
    expect(text).toContain('threshold 95 % (assumed)')
    expect(text).toContain('0 % (measured) of 1 tests (measured)')
  })

  test('RE15: JUnit is read too; what has no tests is refused', () => {
    const xml =
      '<testsuite><testcase classname="A" name="one" time="0.5"/><testcase classname="A" name="two"><failure message="x"/></testcase><testcase name="three"><skipped/></testcase></testsuite>'
    expect(parseResults(xml, 'x').map(({ category, outcome, durationMs }) => [category, outcome, durationMs])).toEqual([
      ['A', 'passed', 500],
      ['A', 'failed', undefined],
      ['all', 'skipped', undefined],
    ])
    for (const text of ['', '{}', '[1,2]', '{"tests":[{"name":"x"}]}', '<html/>'])
      expect(() => parseResults(text, 'x')).toThrow(expect.objectContaining({ code: 'AUDIT_RESULTS_INVALID' }))
  })

  const corpus = process.env.RIPSTOP_CORPUS ?? ''
  const golden = join(corpus, 'pyairtable-compose-bb23d022', 'integration_test_results_20250807_181942.json')
  test.skipIf(corpus === '' || !existsSync(golden))(
    'RE16, RE17: the golden file of 35 tests has 17.1 %, its categories and its verdict, and two hollow passes (needs RIPSTOP_CORPUS)',
    () => {
      const { overall, categories, verdict, hollow } = readinessOf(
        parseResults(readFileSync(golden, 'utf8'), 'golden'),
        'golden',
      )
      const { passed, failed, skipped } = overall.counts
      expect([overall.tests, overall.share, passed, failed, skipped].map(({ value }) => value)).toEqual([
        35, 17.1, 6, 12, 17,
      ])
      expect(verdict).toBe('NOT_READY')
      expect(categories).toHaveLength(8)
      expect(hollow).toHaveLength(2)
    },
  )
})
