// The report as one page that people look at: grade, top ten, matrix, graph, plan, findings with filters. Nothing is loaded from anywhere; a policy in the page
// lets only its own style and script run, by their hashes.
//   RE14. The page names no other host and runs nothing but its own script; without script it says the same.

import { createHash } from 'node:crypto'
import { SEVERITIES, TIERS } from '../model/finding.ts'
import { CATEGORIES } from '../rules/rule.ts'
import { type Figure, NOT_MEASURABLE, showFigure, showPlace, showValue } from './figure.ts'
import { renderGraph } from './html-graph.ts'
import { SCRIPT } from './html-script.ts'
import { STYLE } from './html-style.ts'
import { escapeHtml } from './html-text.ts'
import { effortOf, priorityOf } from './plan.ts'
import type { Report, ReportedFinding } from './report.ts'

const FINDINGS_MAX = 1_000
const PLACES_MAX = 25
const UNREAD_MAX = 100

export function renderHtml(report: Report): string {
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const policy = `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; base-uri 'none'; form-action 'none'`
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">',
    `<title>Audit of ${escapeHtml(report.name)}</title><style>${STYLE}</style></head><body><main>`,
    head(report),
    topTen(report),
    '<h2>Where it tears</h2>',
    matrix(report),
    '<h2>Components and what goes down with them</h2>',
    renderGraph(report),
    plan(report),
    findings(report),
    coverage(report),
    `</main><script>${SCRIPT}</script></body></html>\n`,
  ].join('\n')
}

function tile(figure: Figure, name: string, kind = ''): string {
  const { value, provenance } = figure
  return `<div class="tile"><b${kind === '' ? '' : ` class="${kind}"`}>${value.toLocaleString('en')}</b>${escapeHtml(name)} <span>(${provenance})</span></div>`
}

function head({ name, grade, gradeBecause, figures, generatedAt, tool }: Report): string {
  const badge =
    grade === null
      ? `<div class="grade none">${NOT_MEASURABLE}</div>`
      : `<div class="grade g${grade}" role="img" aria-label="Grade ${grade}">${grade}</div>`
  const day = escapeHtml(generatedAt.slice(0, 16).replace('T', ' '))
  return [
    `<div class="head">${badge}<div><h1>Audit of ${escapeHtml(name)}</h1><p>${escapeHtml(gradeBecause)}</p>`,
    `<small>${escapeHtml(tool.name)} ${escapeHtml(tool.version)} · ${day} UTC · ${showFigure(figures.rules)} applied</small></div></div>`,
    '<div class="tiles">',
    ...SEVERITIES.map((severity) => tile(figures[severity], `${severity}, strong`, severity)),
    tile(figures.review, 'for review'),
    tile(figures.suppressed, 'suppressed'),
    '</div>',
    `<p>Service levels, target against actual: <b>${NOT_MEASURABLE}</b> <span class="dim">(no measurement was part of this audit)</span></p>`,
  ].join('')
}

function severityTag({ severity }: ReportedFinding): string {
  return `<span class="tag ${severity}">${severity}</span>`
}

function wide(headings: readonly string[], rows: readonly string[], numeric: readonly string[] = []): string {
  return `<div class="wide"><table><thead><tr>${headings.map((one) => `<th scope="col"${numeric.includes(one) ? ' class="n"' : ''}>${one}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

function whereOf({ evidence: [first] }: ReportedFinding): string {
  return `<code>${escapeHtml(first === undefined ? '' : showPlace(first))}</code>`
}

function topTen({ findings, topTen: prints }: Report): string {
  const byPrint = new Map(findings.map((finding) => [finding.fingerprint, finding]))
  const rows = prints.flatMap((print, index) => {
    const finding = byPrint.get(print)
    if (finding === undefined) return []
    const cells = [
      severityTag(finding),
      `<a href="#f-${escapeHtml(print)}">${escapeHtml(finding.title)}</a><br>${whereOf(finding)}`,
      escapeHtml(finding.tier),
      priorityOf(finding),
      `${effortOf(finding)} <span class="dim">(assumed)</span>`,
      escapeHtml(finding.owner ?? 'unassigned'),
    ]
    return `<tr><td class="n">${index + 1}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`
  })
  if (rows.length === 0) return '<h2>Top ten</h2><p>Nothing was found.</p>'
  return `<h2>Top ten</h2>${wide(['', 'severity', 'finding', 'tier', 'priority', 'effort', 'owner'], rows)}`
}

function matrix({ findings, rules }: Report): string {
  const open = findings.filter(({ suppressed }) => suppressed === undefined)
  const rows = CATEGORIES.map((category) => {
    const applied = rules.filter((rule) => rule.category === category).length
    const own = open.filter((finding) => finding.category === category)
    const cells = SEVERITIES.map((severity) => {
      const count = own.filter((finding) => finding.severity === severity && finding.tier !== 'review').length
      return `<td class="n${count > 0 ? ` hot ${severity}` : ''}">${count > 0 ? count : '·'}</td>`
    })
    const review = own.filter(({ tier }) => tier === 'review').length
    const state =
      applied === 0
        ? `<td colspan="5" class="dim">${NOT_MEASURABLE}: no rule</td>`
        : `${cells.join('')}<td class="n">${review > 0 ? review : '·'}</td>`
    return `<tr><td>${category}</td><td class="n">${applied}</td>${state}</tr>`
  })
  const numeric = ['rules', ...SEVERITIES, 'for review']
  return `${wide(['category', ...numeric], rows, numeric)}<p class="dim">Counts of findings and rules: static.</p>`
}

function plan({ plan: phases }: Report): string {
  const rows = phases.map(
    ({ priority, title, after, fingerprints, effort }) =>
      `<tr><td>${priority}</td><td>${escapeHtml(title)}</td><td class="n">${fingerprints.length} (static)</td><td>${escapeHtml(showFigure(effort))}</td><td>${after.join(', ') || 'at once'}</td></tr>`,
  )
  const [first] = phases
  if (first === undefined) return '<h2>Plan</h2><p>Nothing strong was found: there is nothing to plan.</p>'
  return `<h2>Plan</h2>${wide(['phase', 'what', 'findings', 'effort', 'after'], rows, ['findings'])}<p class="dim">Effort rests on ${escapeHtml(first.effort.source)}.</p>`
}

function findings({ findings: all }: Report): string {
  const shown = all.slice(0, FINDINGS_MAX)
  const select = (by: string, name: string, values: readonly string[]): string =>
    `<select data-by="${by}" aria-label="${name}"><option value="">${name}: all</option>${values.map((value) => `<option>${escapeHtml(value)}</option>`).join('')}</select>`
  const used = CATEGORIES.filter((category) => shown.some((finding) => finding.category === category))
  const rest = all.length - shown.length
  return [
    '<h2>Findings</h2>',
    `<div class="filters"><input data-by="text" type="search" placeholder="text, file, rule …" aria-label="Text">${select('severity', 'severity', SEVERITIES)}${select('tier', 'tier', TIERS)}${select('category', 'category', used)}<span class="dim" id="count"></span></div>`,
    ...shown.map(detail),
    rest > 0
      ? `<p><b>${rest} more findings (static) are not on this page</b>, the least of them; the JSON report has all.</p>`
      : '',
    all.length === 0 ? '<p>None.</p>' : '',
  ].join('\n')
}

function detail(finding: ReportedFinding): string {
  const { fingerprint, severity, tier, category, title, evidence, suppressed, reproduction } = finding
  const places = evidence.slice(0, PLACES_MAX).map((seen) => {
    const value = showValue(seen)
    return `<li><code>${escapeHtml(showPlace(seen))}</code> ${escapeHtml(seen.what)}${value === '' ? '' : `: ${escapeHtml(value)}`} <span class="dim">${seen.provenance}</span></li>`
  })
  const rest = evidence.length - places.length
  if (rest > 0) places.push(`<li class="dim">and ${rest} more (static)</li>`)
  const remedies = finding.remedies.map(
    ({ priority, effort, text, guarantee }) =>
      `<li><b>${priority}</b> (${effort}) ${escapeHtml(text)}${guarantee === undefined ? '' : `<br><span class="dim">drop-in:</span> <code>${escapeHtml(guarantee)}</code>`}</li>`,
  )
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['symptom', escapeHtml(finding.symptom)],
    ['root cause', escapeHtml(finding.rootCause)],
    ['evidence', `<ul>${places.join('')}</ul>`],
    [
      'to see it',
      reproduction &&
        `${reproduction.steps.map((step) => `<code>${escapeHtml(step)}</code>`).join('<br>')}<br>expected: ${escapeHtml(reproduction.expected)}`,
    ],
    ['remedy', remedies.length === 0 ? undefined : `<ul>${remedies.join('')}</ul>`],
    ['component', finding.component && escapeHtml(finding.component)],
    ['owner', escapeHtml(finding.owner ?? 'unassigned')],
    [
      'suppressed',
      suppressed &&
        escapeHtml(`${suppressed.reason}${suppressed.until === undefined ? '' : ` (until ${suppressed.until})`}`),
    ],
    ['rule', `<code>${escapeHtml(finding.rule)}</code> <span class="dim">${escapeHtml(fingerprint)}</span>`],
  ]
  const list = rows.flatMap(([name, value]) => (value === undefined ? [] : `<dt>${name}</dt><dd>${value}</dd>`))
  return `<details class="finding" id="f-${escapeHtml(fingerprint)}" data-severity="${severity}" data-tier="${tier}" data-category="${escapeHtml(category)}"><summary>${severityTag(finding)}<span>${escapeHtml(title)}</span><span class="dim">${tier}${suppressed === undefined ? '' : ', suppressed'}${evidence.length > 1 ? `, ${evidence.length} places (static)` : ''}</span><span class="where">${whereOf(finding)}</span></summary><dl>${list.join('')}</dl></details>`
}

function coverage({
  coverage: { languages, configuration, leftOut, unread, brokenRules, suppressionProblems },
}: Report): string {
  const read = [
    ...languages.map(({ language, files, lines }) => `${language}: ${showFigure(files)}, ${showFigure(lines)}`),
    ...configuration.map(({ kind, files }) => `${kind}: ${showFigure(files)}`),
  ]
  const items = [
    ...brokenRules.map(({ rule, message }) => `<b>rule ${escapeHtml(rule)} broke: ${escapeHtml(message)}</b>`),
    ...suppressionProblems.map(
      ({ file, line, problem }) =>
        `suppression at <code>${escapeHtml(`${file}:${line}`)}</code>: ${escapeHtml(problem)}`,
    ),
    ...unread
      .slice(0, UNREAD_MAX)
      .map(
        ({ path, why, detail }) =>
          `<code>${escapeHtml(path)}</code>: ${why}${detail === undefined ? '' : ` (${escapeHtml(detail)})`}`,
      ),
    ...(unread.length > UNREAD_MAX ? [`and ${unread.length - UNREAD_MAX} more (static)`] : []),
  ]
  const left = leftOut.map(({ role, files }) => `${role} code ${showFigure(files)}`)
  return [
    '<h2>What was read, and what was not</h2>',
    `<p>${read.length === 0 ? 'Nothing was read.' : escapeHtml(`${read.join('; ')}.`)}</p>`,
    left.length === 0 ? '' : `<p>Left out on purpose: ${escapeHtml(left.join('; '))}.</p>`,
    unread.length === 0
      ? '<p>Everything that could matter was read.</p>'
      : `<p>Not read: ${unread.length} (static).</p>`,
    items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${item}</li>`).join('')}</ul>`,
  ].join('\n')
}
