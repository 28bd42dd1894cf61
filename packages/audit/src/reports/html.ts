// The report as one page that people look at: what an executive needs, the graph, how failure travels, the checklist, the plan, findings with filters. Nothing is
// loaded from anywhere; a policy in the page lets only its own style and script run, by their hashes.
//   RW4. Where nothing was read the page says so and what was left out, and shows no empty tables.
//   RE14. The page names no other host and runs nothing but its own script; without script it says the same.

import { createHash } from 'node:crypto'
import { findings } from './html-findings.ts'
import { renderGraph } from './html-graph.ts'
import { section } from './html-parts.ts'
import { propagation } from './html-propagation.ts'
import { coverage, review } from './html-review.ts'
import { SCRIPT } from './html-script.ts'
import { STYLE } from './html-style.ts'
import { categories, head, opening } from './html-summary.ts'
import { escapeHtml } from './html-text.ts'
import type { Report } from './report.ts'

const PARTS: readonly (readonly [id: string, name: string])[] = [
  ['risks', 'Risks'],
  ['top', 'Top ten'],
  ['system', 'System'],
  ['categories', 'Categories'],
  ['matrix', 'Propagation'],
  ['permanent', 'Permanent states'],
  ['start', 'Start order'],
  ['checklist', 'Checklist'],
  ['plan', 'Plan'],
  ['findings', 'Findings'],
  ['coverage', 'What was read'],
]

export function renderHtml(report: Report): string {
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const policy = `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; base-uri 'none'; form-action 'none'`
  const links = PARTS.map(([id, name]) => `<a href="#${id}">${name}</a>`).join('')
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">',
    `<title>Audit of ${escapeHtml(report.name)}</title><style>${STYLE}</style></head><body>`,
    `${report.grade === null ? '' : `<nav aria-label="Parts of the report">${links}</nav>`}<main>`,
    ...(report.grade === null ? [head(report)] : whole(report)),
    coverage(report),
    `</main><script>${SCRIPT}</script></body></html>\n`,
  ].join('\n')
}

function whole(report: Report): readonly string[] {
  return [
    opening(report),
    section('system', 'The system, and what goes down with what', '', renderGraph(report)),
    categories(report),
    propagation(report),
    review(report),
    findings(report),
  ]
}
