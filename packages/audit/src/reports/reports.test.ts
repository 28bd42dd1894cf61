import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import type { Finding } from '../model/finding.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import type { Repository } from '../repository/repository.ts'
import type { Rule } from '../rules/rule.ts'
import type { Scan } from '../scan.ts'
import { buildReport, gradeOf } from './build.ts'
import { renderHtml } from './html.ts'
import { parseReport, renderJson } from './json.ts'
import { escapeXml, renderJunit } from './junit.ts'
import { renderMarkdown } from './markdown.ts'
import type { Report } from './report.ts'
import { RESULTS_MAX, renderSarif } from './sarif.ts'

const HOSTILE = '</script><img src=x onerror=alert(1)>"\'`|\n# [x](https://evil.example) \u202E\u0000]]> &'
const RULE: Rule = {
  meta: {
    id: 'http-no-timeout',
    category: 'deadlines and retries',
    severity: 'high',
    title: 'A call without a deadline',
    why: 'It waits for ever.',
    remedies: [{ priority: 'P1', text: 'Give it one.', effort: 'S', guarantee: 'link.call' }],
    sources: ['x'],
  },
  run: () => [],
}

function finding(index: number, more: Partial<Finding> = {}): Finding {
  const { id, severity, title, remedies } = RULE.meta
  const loc = { file: `api/src/a ${index}.ts`, line: index + 1, endLine: index + 2 }
  return {
    fingerprint: index.toString(16).padStart(24, '0'),
    rule: id,
    severity,
    tier: 'strong',
    status: 'suspected',
    title,
    symptom: 'It hangs.',
    rootCause: 'No deadline.',
    component: undefined,
    link: undefined,
    evidence: [{ provenance: 'static', loc, what: 'a call', value: 300, unit: 's' }],
    reproduction: undefined,
    remedies,
    owner: undefined,
    suppressed: undefined,
    ...more,
  }
}

const SYSTEM = {
  'compose.yml': `services:
  api:
    build: ./api
    ports: ['80:80']
    depends_on: { db: { condition: service_healthy } }
  db: { image: 'postgres:16' }
`,
  'api/src/main.ts': 'export const a = 1\n',
}

function reportOf(findings: readonly Finding[], texts: Readonly<Record<string, string>> = SYSTEM): Report {
  const repository: Repository = {
    ...repositoryOf(texts),
    root: '/home/someone/audited',
    unread: [{ path: 'big.ts', why: 'too large', detail: '9 bytes' }],
  }
  const scanned: Scan = {
    repository,
    rules: [RULE],
    wallMs: Date.parse('2026-11-22T12:00:00Z'),
    findings,
    suppressionProblems: [],
    brokenRules: [],
    brokenParts: [],
    reads: new Map(),
  }
  return buildReport(scanned, '1.2.3')
}

const hostile = reportOf([
  finding(0, { title: HOSTILE, symptom: HOSTILE, rootCause: HOSTILE, owner: HOSTILE, component: HOSTILE }),
  finding(1, { evidence: [{ provenance: 'static', loc: { file: HOSTILE, line: 1, endLine: 1 }, what: HOSTILE }] }),
  finding(2, {
    suppressed: { reason: HOSTILE, until: undefined },
    reproduction: { demonstration: HOSTILE, through: HOSTILE, steps: [HOSTILE], expected: HOSTILE, mended: HOSTILE },
  }),
])

describe('the report', () => {
  test('RE1, RE2: it fits its published schema, every figure with its provenance, and names no path above the folder', () => {
    const schema = JSON.parse(readFileSync(new URL('../../report.schema.json', import.meta.url), 'utf8'))
    const validate = new Ajv2020({ allErrors: true }).compile(schema)
    for (const report of [hostile, reportOf([]), reportOf([], {})]) {
      const json = renderJson(report)
      expect(validate(JSON.parse(json)), JSON.stringify(validate.errors)).toBe(true)
      expect(json).not.toContain('/home/someone')
    }
    expect(validate({ ...JSON.parse(renderJson(hostile)), figures: { strong: 3 } })).toBe(false)
  })

  test('RE3: a finding is in one phase, a suppressed one and one for review in none, and phases wait for earlier ones', () => {
    const P0 = { remedies: [{ priority: 'P0', text: '', effort: 'XL' }] } as const
    const { plan } = reportOf([
      finding(0, P0),
      finding(1),
      finding(2, { tier: 'review' }),
      finding(3, { suppressed: { reason: 'x', until: undefined } }),
    ])
    expect(plan.map(({ priority, after, fingerprints }) => [priority, after, fingerprints.length])).toEqual([
      ['P0', [], 1],
      ['P1', ['P0'], 1],
    ])
    expect(plan[0]?.effort).toMatchObject({ value: 80, provenance: 'assumed' })
  })

  test('RE4: the grade counts what is strong and open; where nothing was read there is none', () => {
    const grade = (counts: Partial<Record<string, number>>) => gradeOf((severity) => counts[severity] ?? 0)
    expect([{}, { low: 9 }, { high: 1 }, { high: 5 }, { critical: 1 }, { critical: 3 }].map(grade)).toEqual([
      ...'ABCDDE',
    ])
    expect(
      reportOf([finding(0, { tier: 'review' }), finding(1, { suppressed: { reason: 'x', until: undefined } })]).grade,
    ).toBe('A')
    expect(reportOf([finding(0)]).grade).toBe('C')
    expect(reportOf([], {})).toMatchObject({
      grade: null,
      gradeBecause: expect.stringContaining('not measurable here'),
    })
  })

  test('RE5: the top ten are open, strong first, then severe, then each rule once, then what takes more down; a file belongs to the component of its folder', () => {
    const many = Array.from({ length: 12 }, (_, index) => finding(index + 10))
    const report = reportOf([
      ...many,
      finding(1, { tier: 'review', severity: 'critical' }),
      finding(2, { component: 'db' }),
      finding(3, { severity: 'critical' }),
      finding(5, { rule: 'another-rule' }),
      finding(4, { severity: 'critical', suppressed: { reason: 'x', until: undefined } }),
    ])
    expect(report.topTen).toHaveLength(10)
    expect(report.topTen.slice(0, 3).map((print) => Number.parseInt(print, 16))).toEqual([3, 5, 2])
    expect(report.findings[0]?.component).toBe('api')
  })

  test('RE6: what was written is read back; anything else is refused', () => {
    expect(parseReport(renderJson(hostile), 'x').findings.map(({ fingerprint }) => fingerprint)).toEqual(
      hostile.findings.map(({ fingerprint }) => fingerprint),
    )
    const refused = ['', 'null', '[]', '{"format":"ripstop-audit","version":2,"findings":[]}']
    refused.push('{"format":"ripstop-audit","version":1,"findings":[{}]}')
    for (const text of refused)
      expect(() => parseReport(text, 'x')).toThrow(expect.objectContaining({ code: 'AUDIT_REPORT_INVALID' }))
  })
})

describe('formats', () => {
  test('RE1, RE7: in Markdown every number says how it is known, and hostile text stays text', () => {
    const text = renderMarkdown(hostile)
    expect(text).toContain('300 s (static)')
    expect(text).toContain('| availability | none is stated | not measurable here |')
    expect(text).not.toMatch(/<img|<\/script|\[x\]\(|https:\/\/evil/)
    expect(text.split('\n').filter((line) => line.startsWith('# '))).toHaveLength(1)
    expect(renderMarkdown(reportOf([], {}))).toContain('**Grade: not measurable here**')
  })

  test('RE8: SARIF knows a finding by its fingerprint, whatever its line', () => {
    const run = JSON.parse(renderSarif(reportOf([finding(7)])).text).runs[0]
    expect(run.results[0]).toMatchObject({
      ruleId: 'http-no-timeout',
      ruleIndex: 0,
      level: 'error',
      partialFingerprints: { 'ripstopFingerprint/v1': finding(7).fingerprint },
      locations: [
        { physicalLocation: { artifactLocation: { uri: 'api/src/a%207.ts' }, region: { startLine: 8, endLine: 9 } } },
      ],
    })
    expect(JSON.parse(renderSarif(hostile).text).runs[0].results[2].suppressions).toHaveLength(1)
  })

  test('RE9: beyond the limits the slight ones go, and it is said in the file and to the caller', () => {
    const many = Array.from({ length: RESULTS_MAX + 2 }, (_, index) =>
      finding(index, { severity: index < 2 ? 'low' : 'high' }),
    )
    const places = Array.from({ length: 130 }, () => finding(0).evidence[0] as never)
    const { text, truncated } = renderSarif(
      reportOf([...many, finding(9_999, { severity: 'critical', evidence: places })]),
    )
    const run = JSON.parse(text).runs[0]
    expect(run.results).toHaveLength(RESULTS_MAX)
    expect(run.results.some(({ level }: { level: string }) => level === 'note')).toBe(false)
    expect(truncated).toBe(
      `3 of ${RESULTS_MAX + 3} findings are left out, the least severe: GitHub shows ${RESULTS_MAX}; 30 places are left out: GitHub shows 100 of a finding`,
    )
    expect(run.invocations[0].toolExecutionNotifications[0].message.text).toBe(truncated)
    expect(renderSarif(hostile).truncated).toBeUndefined()
  })

  test('RE10: in JUnit a rule fails by what is strong and open, and is skipped for the rest', () => {
    expect(renderJunit(reportOf([finding(0)]))).toMatch(/tests="1" failures="1" errors="0" skipped="0"/)
    expect(renderJunit(reportOf([finding(0, { tier: 'review' })]))).toMatch(/failures="0" errors="0" skipped="1"/)
    expect(renderJunit(reportOf([]))).toMatch(/failures="0" errors="0" skipped="0"/)
    const broken = {
      ...reportOf([]),
      coverage: { ...reportOf([]).coverage, brokenRules: [{ rule: RULE.meta.id, message: 'x' }] },
    }
    expect(renderJunit(broken)).toMatch(/failures="0" errors="1"/)
  })

  test('RE11: JUnit is well-formed whatever it holds', () => {
    expect(escapeXml('a\u0000\u0008\uD800<&"\'>]]>\uFFFE')).toBe('a\uFFFD&#60;&#38;&#34;&#39;&#62;]]&#62;')
    expect(renderJunit(hostile)).not.toMatch(/<img/)
  })
})

describe('the page', () => {
  const page = renderHtml(hostile)

  test('RE13: hostile text is text, and marks of direction are shown', () => {
    expect(page).not.toContain('<img')
    expect(page.match(/<\/script>/g)).toHaveLength(1)
    expect(page).not.toContain('\u202E')
    expect(page).toContain('&#60;/script&#62;&#60;img src=x')
  })

  test('RE14: it loads nothing, and its policy allows its own script and style by their hashes only', () => {
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)?.[1] ?? ''
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-\S+'; script-src 'sha256-\S+'; base-uri 'none'; form-action 'none'$/,
    )
    expect(page).not.toMatch(/\s(src|href)="(?!#)|@import|url\((?!#)|\sstyle="|\son\w+="/)
  })

  test('RE1: a number has its provenance, and what is not measured says so', () => {
    expect(page).toContain('300 s (static)')
    expect(page).toContain('<b class="dim">not measurable here</b>')
    expect(page).toContain('(assumed)')
  })

  test('RE12: circles and crowds of components are drawn, each once, the rest named', () => {
    const services = Array.from(
      { length: 100 },
      (_, index) => `  s${index}: { image: x, depends_on: [s${(index + 1) % 3}] }`,
    )
    const crowd = renderHtml(reportOf([], { 'compose.yml': `services:\n${services.join('\n')}\n` }))
    expect(crowd.match(/<g class="node/g)).toHaveLength(60)
    expect(crowd).toContain('Not drawn (fewest links)')
    const places = [...crowd.matchAll(/<rect class="box" (x="[\d.]+" y="[\d.]+")/g)].map(([, place]) => place)
    expect(new Set(places).size).toBe(60)
  })
})
