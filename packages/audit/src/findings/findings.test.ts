import { describe, expect, test } from 'vitest'
import { indexOf } from '../folder.fixture.ts'
import type { Repository } from '../repository/repository.ts'
import type { Discovery, Rule } from '../rules/rule.ts'
import { compare } from './comparison.ts'
import { findAll } from './findings.ts'
import { readOwners } from './owners.ts'
import { readSuppressions, SUPPRESSION_FILE } from './suppression.ts'

const TODAY = Date.parse('2026-11-22T12:00:00Z')

function repositoryOf(files: Readonly<Record<string, string>>): Repository {
  return {
    root: '/audited',
    files: indexOf(files),
    facts: new Map(),
    configuration: {
      compose: [],
      kubernetes: [],
      dockerfiles: [],
      envFiles: new Map(),
      manifests: [],
      schemas: [],
      openapi: [],
      moduleNames: [],
    },
    graph: { components: [], links: [] },
    unread: [],
  }
}

function ruleOf(id: string, found: Iterable<Discovery>): Rule {
  const meta = { id, category: 'bounds', severity: 'high', title: id, why: '', remedies: [], sources: [] } as const
  return { meta, run: () => found }
}

function at(file: string, line: number, more: Partial<Discovery> = {}): Discovery {
  const evidence = [{ provenance: 'static', loc: { file, line, endLine: line }, what: 'seen' }] as const
  return { tier: 'strong', evidence, symbol: 'f', symptom: '', rootCause: '', ...more }
}

const found = (files: Readonly<Record<string, string>>, ...discoveries: readonly Discovery[]) =>
  findAll([ruleOf('r', discoveries)], repositoryOf(files), TODAY)
const prints = (files: Readonly<Record<string, string>>, ...discoveries: readonly Discovery[]) =>
  found(files, ...discoveries).findings.map(({ fingerprint }) => fingerprint)

describe('fingerprints', () => {
  test('FG2: layout, quotes and the line change nothing; rule, file, symbol and words do', () => {
    const [one] = prints({ 'a.ts': "call('x', 1)" }, at('a.ts', 1))
    expect(prints({ 'a.ts': '\n\n  call("x",  1)  ' }, at('a.ts', 3))).toEqual([one])
    expect(prints({ 'a.ts': "call('y', 1)" }, at('a.ts', 1))).not.toEqual([one])
    expect(prints({ 'b.ts': "call('x', 1)" }, at('b.ts', 1))).not.toEqual([one])
    expect(prints({ 'a.ts': "call('x', 1)" }, at('a.ts', 1, { symbol: 'g' }))).not.toEqual([one])
    const other = findAll([ruleOf('s', [at('a.ts', 1)])], repositoryOf({ 'a.ts': "call('x', 1)" }), TODAY)
    expect(other.findings[0]?.fingerprint).not.toBe(one)
  })

  test('FG3: the same text twice in one symbol is two findings', () => {
    const [one, two] = prints({ 'a.ts': 'call()\ncall()' }, at('a.ts', 1), at('a.ts', 2))
    expect(one).not.toBe(two)
    expect(prints({ 'a.ts': 'call()' }, at('a.ts', 1))).toEqual([one])
  })

  test('FG3: a group keeps its fingerprint when a place is added', () => {
    const files = { 'a.ts': 'one()\ntwo()', 'b.ts': 'three()' }
    const [before] = prints(files, at('a.ts', 2, { cause: 'c' }))
    expect(prints(files, at('b.ts', 1, { cause: 'c' }), at('a.ts', 2, { cause: 'c' }))).toEqual([before])
  })
})

describe('grouping', () => {
  test('FG8: one cause is one finding with all places; another tier is another finding, and the worst is first', () => {
    const files = { 'a.ts': 'a\nb\nc\nd' }
    const { findings } = found(
      files,
      at('a.ts', 1, { cause: 'c', tier: 'review' }),
      at('a.ts', 2, { cause: 'c' }),
      at('a.ts', 3, { cause: 'c' }),
      at('a.ts', 4, { severity: 'critical' }),
    )
    expect(findings.map(({ tier, severity, evidence }) => [tier, severity, evidence.length])).toEqual([
      ['strong', 'critical', 1],
      ['strong', 'high', 2],
      ['review', 'high', 1],
    ])
  })

  test('FG8: a suppressed place never hides one that is not', () => {
    const files = { 'a.ts': 'a // ripstop-ignore r: known\nb' }
    const { findings } = found(files, at('a.ts', 1, { cause: 'c' }), at('a.ts', 2, { cause: 'c' }))
    expect(findings.map(({ suppressed, evidence }) => [suppressed?.reason, evidence[0]?.loc?.line])).toEqual([
      ['known', 1],
      [undefined, 2],
    ])
    expect(new Set(findings.map(({ fingerprint }) => fingerprint)).size).toBe(2)
  })

  test('FG9: a rule that throws, or never ends, is told; others and what it had found stay', () => {
    function* breaks(): Iterable<Discovery> {
      yield at('a.ts', 1)
      throw new Error('no such field')
    }
    function* endless(): Iterable<Discovery> {
      for (;;) yield at('a.ts', 1, { cause: 'c' })
    }
    const rules = [ruleOf('breaks', breaks()), ruleOf('endless', endless()), ruleOf('fine', [at('a.ts', 1)])]
    const { findings, brokenRules } = findAll(rules, repositoryOf({ 'a.ts': 'x' }), TODAY)
    expect(brokenRules.map(({ rule }) => rule)).toEqual(['breaks', 'endless'])
    expect(brokenRules[0]?.message).toBe('no such field')
    expect(findings.map(({ rule }) => rule).sort()).toEqual(['breaks', 'endless', 'fine'])
  })
})

describe('suppressions', () => {
  const find = (text: string, rule = 'r', line = 2) => {
    const suppressions = readSuppressions(indexOf({ 'a.ts': text }), TODAY)
    return [suppressions.find(rule, 'a.ts', line)?.reason, ...suppressions.problems().map(({ problem }) => problem)]
  }

  test('FG6: a comment on the line or right above it counts, for its rule, through its last day', () => {
    expect(find('// ripstop-ignore r: known\ncall()')).toEqual(['known'])
    expect(find('x()\ncall() /* ripstop-ignore r until=2026-11-22: known */')).toEqual(['known'])
    expect(find('# ripstop-ignore r: known\n# more words', 'r', 2)).toEqual(['known'])
    expect(find('// ripstop-ignore r: known\ncall()', 'other')).toEqual([undefined])
    expect(find('x() // ripstop-ignore r: known\ncall()')).toEqual([undefined])
    expect(find('// ripstop-ignore r: known\n\ncall()', 'r', 3)).toEqual([undefined])
    expect(find('x()\ncall("ripstop-ignore r: known")')).toEqual([undefined])
  })

  test('FG5: without a reason, with no day or past it, it does nothing and is told', () => {
    expect(find('// ripstop-ignore r\ncall()')).toEqual([undefined, expect.stringContaining('without a reason')])
    expect(find('// ripstop-ignore r until=soon: x\ncall()')).toEqual([undefined, expect.stringContaining('no day')])
    const expired = find('// ripstop-ignore r until=2026-11-21: x\ncall()')
    expect(expired).toEqual([undefined, 'expired after 2026-11-21: the finding is back'])
  })

  const fromFile = (yaml: string) => readSuppressions(indexOf({ [SUPPRESSION_FILE]: yaml }), TODAY)

  test('FG6, FG7: entries of the file suppress by pattern; one that fits nothing is told', () => {
    const suppressions = fromFile(
      'suppressions:\n- {rule: r, file: "src/cache/**", reason: a hint, until: 2027-01-31}\n- {rule: gone, file: "*", reason: x}\n',
    )
    expect(suppressions.find('r', 'src/cache/a.ts', 1)).toEqual({ reason: 'a hint', until: '2027-01-31' })
    expect(suppressions.find('r', 'src/a.ts', 1)).toBeUndefined()
    expect(suppressions.problems().map(({ problem }) => problem)).toEqual(['entry 2 (gone) fits nothing any more'])
  })

  test.each([
    ['a: [', 'is no YAML: it does nothing'],
    ['suppressions: 3', 'has no list `suppressions`: it does nothing'],
    ['suppressions: [{rule: r, file: "*"}]', 'entry 1: a suppression without a reason: it does nothing'],
    ['suppressions: [{rule: r, reason: x}]', 'entry 1: names no rule, or no file'],
    ['suppressions: [7]', 'entry 1: is no entry'],
  ])('FG5: %s', (yaml, problem) => {
    expect(fromFile(yaml).problems()).toEqual([{ file: SUPPRESSION_FILE, line: 1, problem }])
  })
})

test('FG4: the last line of CODEOWNERS that matches decides; what none matches is unassigned', () => {
  const text = '# who\n/src/ @org/core\n*.py @snakes # and more\n/src/pay/ @pay @org/core\n/src/free/\n'
  const ownerOf = readOwners(indexOf({ '.github/CODEOWNERS': text }))
  expect(ownerOf('src/a.ts')).toBe('@org/core')
  expect(ownerOf('src/pay/b.ts')).toBe('@pay @org/core')
  expect(ownerOf('x/a.py')).toBe('@snakes')
  expect(ownerOf('src/free/a.ts')).toBeUndefined()
  expect(ownerOf('lib/a.ts')).toBeUndefined()
  expect(readOwners(indexOf({}))('a.ts')).toBeUndefined()
})

test('FG10: new, worse, as before and gone, by fingerprint wherever it moved', () => {
  const before = found({ 'a.ts': 'one()\ntwo()\nthree()' }, at('a.ts', 1), at('a.ts', 2, { cause: 'c' }), at('a.ts', 3))
  const after = found(
    { 'a.ts': '\none()\ntwo()\nfour()' },
    at('a.ts', 2),
    at('a.ts', 3, { cause: 'c' }),
    at('a.ts', 4, { cause: 'c' }),
    at('a.ts', 4),
  )
  const { appeared, grown, same, gone } = compare(before.findings, after.findings)
  expect([appeared, grown, same, gone].map((list) => list.map(({ evidence }) => evidence[0]?.loc?.line))).toEqual([
    [4],
    [3],
    [2],
    [3],
  ])
  const [finding] = before.findings
  const suppressed = { ...finding, suppressed: { reason: 'x', until: undefined } } as never
  expect(compare([suppressed], [finding as never]).grown).toHaveLength(1)
  expect(compare([finding as never], [suppressed]).grown).toHaveLength(0)
  expect(compare([{ ...finding, tier: 'review' } as never], [finding as never]).grown).toHaveLength(1)
})
