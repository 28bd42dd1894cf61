import { expect, test } from 'vitest'
import type { Finding } from '../model/finding.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { RULES } from '../rules/index.ts'
import { buildReport } from './build.ts'
import { renderHtml } from './html.ts'
import { renderMarkdown } from './markdown.ts'

const SHOP = {
  'compose.yml': 'services:\n  shop: { build: . }\n  payments: { image: pay }\n',
  'src/main.ts': `import express from 'express'
const app = express()
app.post('/orders', async (request, response) => {
  response.json(await fetch('http://payments/charge'))
})
`,
}

function finding(rule: string, line: number): Finding {
  return {
    ...{ fingerprint: `${rule}${line}`, rule, severity: 'high', tier: 'strong', status: 'suspected', title: rule },
    ...{ symptom: 'It hangs.', rootCause: 'No deadline.', component: undefined, link: undefined },
    evidence: [{ provenance: 'static', loc: { file: 'src/main.ts', line, endLine: line }, what: 'seen' }],
    ...{ reproduction: undefined, remedies: [], owner: undefined, suppressed: undefined },
  }
}

const report = buildReport(
  {
    repository: repositoryOf(SHOP),
    rules: RULES,
    wallMs: 0,
    findings: [finding('http-no-timeout', 4), finding('http-no-timeout', 3), finding('hardcoded-secret', 2)],
    ...{ suppressionProblems: [], brokenRules: [], brokenParts: [], reads: new Map() },
  },
  '1.0.0',
)

test('QS16: Markdown has the recipe once, and each finding names it with its way in and its link', () => {
  const text = renderMarkdown(report)
  expect(text.match(/^- To see it: .*$/gm)).toEqual([
    expect.stringMatching(/silent-dependency.*, by .*POST \/orders.*, over .*shop -&#62; payments/),
    expect.stringMatching(/silent-dependency.*, by .*POST \/orders/),
  ])
  expect(text.match(/^### .*DEPENDENCY takes connections/gm)).toHaveLength(1)
  expect(text).toContain('nothing of them was run')
  expect(text).not.toContain('foreign-origin')
})

test('QS16: the page has it filled in at each finding, as commands and words, and none where reading is enough', () => {
  const page = renderHtml(report)
  expect(page.match(/Cause this and wait a minute: POST \/orders\./g)).toHaveLength(2)
  expect(page).toContain('put a proxy before payments, and point shop to localhost:21000')
  expect(page.match(/not run/g)?.length).toBeGreaterThanOrEqual(2)
  const json = JSON.parse(JSON.stringify(report.findings)) as readonly { rule: string; reproduction?: object }[]
  expect(json.map(({ rule, reproduction }) => [rule, reproduction !== undefined])).toContainEqual([
    'hardcoded-secret',
    false,
  ])
})
