import { describe, expect, test } from 'vitest'
import type { Finding } from '../model/finding.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { CATEGORIES, type Category, type Rule } from '../rules/rule.ts'
import { buildReport } from './build.ts'
import { checklistOf } from './checklist.ts'
import type { Report } from './report.ts'

const SYSTEM = {
  'compose.yml': `services:
  web: { build: ./web, ports: ['80:80'], depends_on: [api] }
  api:
    build: ./api
    restart: always
    depends_on: { db: { condition: service_healthy } }
  db: { image: 'postgres:16', healthcheck: { test: pg_isready }, volumes: ['data:/var/lib/postgresql/data'] }
`,
  CODEOWNERS: '/api/ @team\n',
  'api/main.ts': `import axios from 'axios'
import { Pool } from 'pg'
const pool = new Pool()
export async function ask() {
  await axios.get('https://api.pay.io/x', { timeout: 500 })
  await pool.query('select 1')
}
`,
}

function rule(id: string, category: Category): Rule {
  const remedies = [{ priority: 'P1', text: 'Mend it.', effort: 'S', guarantee: 'link.call' }] as const
  return { meta: { id, category, severity: 'high', title: id, why: '', remedies, sources: [] }, run: () => [] }
}

const RULES = [
  rule('db-no-timeout', 'deadlines and retries'),
  rule('permanent-failure-state', 'permanent failure'),
  rule('hardcoded-secret', 'security'),
  rule('retry-no-jitter', 'deadlines and retries'),
  rule('missing-idempotency', 'messages and effects'),
]

function finding(id: string, line: number, more: Partial<Finding> = {}): Finding {
  const meta = RULES.find((one) => one.meta.id === id)?.meta
  return {
    fingerprint: `${id}${line}`,
    rule: id,
    severity: 'high',
    tier: 'strong',
    status: 'suspected',
    title: id,
    symptom: 'The connection stays down.',
    rootCause: 'Nothing connects again.',
    component: undefined,
    link: undefined,
    evidence: [{ provenance: 'static', loc: { file: 'api/main.ts', line, endLine: line }, what: 'seen' }],
    reproduction: undefined,
    remedies: meta?.remedies ?? [],
    owner: '@team',
    suppressed: undefined,
    ...more,
  }
}

function reportOf(findings: readonly Finding[], texts: Readonly<Record<string, string>> = SYSTEM): Report {
  const scanned = {
    findings,
    suppressionProblems: [],
    brokenRules: [],
    brokenParts: [],
    rules: RULES,
    wallMs: 0,
    reads: new Map(),
  }
  return buildReport({ ...scanned, repository: repositoryOf(texts) }, '1.0.0')
}

describe('sections of the report', () => {
  const report = reportOf([
    finding('db-no-timeout', 6),
    finding('permanent-failure-state', 3),
    finding('hardcoded-secret', 1),
    finding('retry-no-jitter', 5),
    finding('missing-idempotency', 5),
  ])

  test('RR1, RR8: a row of the matrix rests on the graph or a finding, and only what stops a component takes others down', () => {
    const row = (mode: string) => report.matrix.find((one) => one.mode.startsWith(mode))
    expect(row('db-no-timeout')).toMatchObject({
      component: 'api',
      effect: 'stops',
      takesDown: ['web'],
      current: [{ kind: 'deadline', state: 'absent', links: ['api -> db'] }],
    })
    expect(row('hardcoded-secret')).toMatchObject({ effect: 'exposed', takesDown: [] })
    expect(row('missing-idempotency')).toMatchObject({ effect: 'wrong', takesDown: [] })
    expect(row('retry-no-jitter')).toMatchObject({ effect: 'unguarded', takesDown: [] })
    expect(
      report.matrix.find(({ component, mode }) => component === 'db' && mode.startsWith('it is there')),
    ).toMatchObject({
      takesDown: ['api', 'web'],
      fingerprints: [],
      current: [{ kind: 'deadline', state: 'absent' }],
    })
    const suppressed = { reason: 'x', until: undefined }
    const weak = [finding('db-no-timeout', 6, { tier: 'review' }), finding('db-no-timeout', 6, { suppressed })]
    expect(reportOf(weak).matrix.some(({ fingerprints }) => fingerprints.length > 0)).toBe(false)
    const names = new Set(report.graph.components.map(({ name }) => name))
    expect(
      report.matrix.every(({ component, takesDown }) => [component, ...takesDown].every((one) => names.has(one))),
    ).toBe(true)
  })

  test('RR2: a cascade tells each step with what it rests on, and no number but one that code sets', () => {
    const toDb = report.cascades.find(({ components }) => components.at(-1) === 'db')
    expect(toDb?.components).toEqual(['web', 'api', 'db'])
    expect(
      toDb?.steps.map(({ component, text, provenance }) => [component, text.split(/[.:]/)[0], provenance]),
    ).toEqual([
      ['db', 'db stops', 'config'],
      ['api', 'api waits', 'static'],
      ['web', 'web is without api', 'config'],
      ['web', 'web is where people come in', 'config'],
      ['api', 'Once the rest is back, api stays as it is until it is started again (api/main', 'static'],
    ])
    const pay = report.cascades.find(({ components }) => components.at(-1) === 'api.pay.io')
    const digits = (pay?.steps ?? []).flatMap(({ text }) => text.match(/\d+/g) ?? [])
    expect(pay?.steps[1]?.text).toContain('after 500 ms (static)')
    expect(digits).toEqual(['500', '1', '1'])
  })

  test('RR3: a permanent state has its pattern, the risk of its finding before and an assumed one after', () => {
    expect(report.permanentStates).toMatchObject([
      {
        component: 'api',
        pattern: 'reconnect for ever',
        riskBefore: 'high',
        riskAfter: 'low',
        riskAfterProvenance: 'assumed',
      },
    ])
  })

  test('RR4: the checklist says yes only with evidence, and not seen where nothing says anything', () => {
    const checks = new Map(
      report.checklist.find(({ component }) => component === 'api')?.checks.map((one) => [one.kind, one]),
    )
    expect(['restart', 'health', 'deadline', 'breaker'].map((kind) => checks.get(kind as 'retry')?.state)).toEqual([
      'yes',
      'no',
      'no',
      'not seen',
    ])
    // Of several links the worst is said, whatever their order.
    const links = report.graph.links.map((link) => ({
      ...link,
      guarantees: link.guarantees.map((one) => ({
        ...one,
        state: link.to === 'db' ? ('present' as const) : ('bypassed' as const),
      })),
    }))
    const turned = checklistOf({ ...report.graph, links: links.filter(({ from }) => from === 'api').toReversed() })
    const mixed = checklistOf({ ...report.graph, links: links.filter(({ from }) => from === 'api') })
    for (const rows of [turned, mixed])
      expect(
        rows.find(({ component }) => component === 'api')?.checks.find(({ kind }) => kind === 'deadline'),
      ).toMatchObject({ state: 'no', word: 'bypassed', evidence: [{ value: 500 }] })
    const all = report.checklist.flatMap((one) => one.checks)
    expect(all.every(({ state, evidence }) => state === 'not seen' || evidence.length > 0)).toBe(true)
    const ofStore = report.checklist.find(({ component }) => component === 'db')?.checks.map(({ kind }) => kind)
    expect(ofStore).toEqual(['restart', 'health', 'replicas', 'durability'])
  })

  test('RR5: a category without rule, or with nothing to look at, is not measurable here, and never good', () => {
    const state = (one: Report, category: Category) => one.categories.find((row) => row.category === category)?.state
    expect(state(report, 'security')).toBe('torn')
    expect(state(report, 'documents')).toBe('not measurable here')
    expect(state(reportOf([]), 'security')).toBe('nothing found')
    expect(state(reportOf([], { 'notes.md': 'x' }), 'deadlines and retries')).toBe('not measurable here')
    expect(state(reportOf([finding('db-no-timeout', 6, { tier: 'review' })]), 'deadlines and retries')).toBe(
      'to review',
    )
    expect(report.categories.map(({ category }) => category)).toEqual(CATEGORIES)
    expect(reportOf([]).gradeBecause).toContain('not looked at: error handling')
  })

  test('RR6: a service level has an actual value only from measured evidence', () => {
    expect(report.serviceLevels.every(({ actual }) => actual === null)).toBe(true)
    const evidence = [
      {
        provenance: 'measured' as const,
        loc: undefined,
        what: 'availability at the entry',
        value: 99.2,
        unit: '%',
        source: 'run 1',
      },
    ]
    const [first] = reportOf([finding('db-no-timeout', 6, { evidence })]).serviceLevels
    const read = evidence.map((one) => ({ ...one, provenance: 'static' as const }))
    expect(reportOf([finding('db-no-timeout', 6, { evidence: read })]).serviceLevels[0]?.actual).toBeNull()
    expect(first?.actual).toEqual({ value: 99.2, unit: '%', provenance: 'measured', source: 'run 1' })
  })

  test('RR7: the plan has a task of each rule, with owners and components, and a task waits for what it builds on', () => {
    const tasks = report.plan.flatMap((phase) => phase.tasks)
    expect(tasks.map(({ rule: id, after }) => [id, after])).toEqual([
      ['db-no-timeout', []],
      ['permanent-failure-state', []],
      ['hardcoded-secret', []],
      ['retry-no-jitter', ['missing-idempotency']],
      ['missing-idempotency', []],
    ])
    expect(tasks[0]).toMatchObject({
      owners: ['@team'],
      components: ['api'],
      effort: { value: 4, provenance: 'assumed' },
    })
    expect(reportOf([finding('db-no-timeout', 6, { owner: undefined })]).plan[0]?.tasks[0]?.owners).toEqual([])
  })
})
