// Findings with their evidence and remedies, and the filters above them.

import { SEVERITIES, TIERS } from '../model/finding.ts'
import { CATEGORIES } from '../rules/rule.ts'
import { showPlace, showValue } from './figure.ts'
import { section, severityTag, whereOf } from './html-parts.ts'
import { escapeHtml } from './html-text.ts'
import type { Report, ReportedFinding } from './report.ts'

const FINDINGS_MAX = 1_000
const PLACES_MAX = 20

export function findings({ findings: all }: Report): string {
  const shown = all.slice(0, FINDINGS_MAX)
  const rest = all.length - shown.length
  const categories = CATEGORIES.filter((category) => shown.some((finding) => finding.category === category))
  const components = [...new Set(shown.flatMap(({ component }) => component ?? []))].sort()
  return section(
    'findings',
    'Findings',
    '',
    '<div class="filters" hidden>',
    '<input data-by="text" type="search" placeholder="text, file, rule …" aria-label="Text">',
    select('severity', SEVERITIES),
    select('tier', TIERS),
    select('category', categories),
    select('component', components),
    '<span class="dim" id="count" role="status"></span><button type="button" id="clear">clear</button></div>',
    ...shown.map(detail),
    rest > 0
      ? `<p><b>${rest} more findings (static) are not on this page</b>, the least of them; the JSON report has all.</p>`
      : '',
    all.length === 0 ? '<p>None.</p>' : '',
  )
}

function select(by: string, values: readonly string[]): string {
  const options = values.map((value) => `<option>${escapeHtml(value)}</option>`).join('')
  return `<select data-by="${by}" aria-label="${by}"><option value="">${by}: all</option>${options}</select>`
}

function detail(finding: ReportedFinding): string {
  const { fingerprint, severity, tier, category, title, evidence, suppressed, component } = finding
  const places = evidence.length > 1 ? `, ${evidence.length} places (static)` : ''
  const list = rowsOf(finding).flatMap(([name, value]) =>
    value === undefined ? [] : `<dt>${name}</dt><dd>${value}</dd>`,
  )
  const data = `data-severity="${severity}" data-tier="${tier}" data-category="${category}" data-component="${escapeHtml(component ?? '')}"`
  return `<details class="finding" id="f-${escapeHtml(fingerprint)}" ${data}><summary>${severityTag(severity)}<span class="what">${escapeHtml(title)}</span><span class="dim">${tier}${suppressed === undefined ? '' : ', suppressed'}${places}</span><span class="where">${whereOf(finding)}</span></summary><dl>${list.join('')}</dl></details>`
}

function rowsOf(finding: ReportedFinding): readonly (readonly [name: string, value: string | undefined])[] {
  const { fingerprint, suppressed, reproduction, component, link } = finding
  return [
    ['symptom', escapeHtml(finding.symptom)],
    ['root cause', escapeHtml(finding.rootCause)],
    ['evidence', evidenceOf(finding)],
    [
      'to see it',
      reproduction &&
        `${reproduction.steps.map((step) => `<code>${escapeHtml(step)}</code>`).join('<br>')}<br>expected: ${escapeHtml(reproduction.expected)}`,
    ],
    ['remedy', remediesOf(finding)],
    ['component', component && escapeHtml(link === undefined ? component : `${component}, link ${link}`)],
    ['owner', escapeHtml(finding.owner ?? 'unassigned')],
    [
      'suppressed',
      suppressed &&
        escapeHtml(`${suppressed.reason}${suppressed.until === undefined ? '' : ` (until ${suppressed.until})`}`),
    ],
    ['rule', `<code>${escapeHtml(finding.rule)}</code> <small class="dim">${escapeHtml(fingerprint)}</small>`],
  ]
}

function evidenceOf({ evidence }: ReportedFinding): string {
  const places = evidence.slice(0, PLACES_MAX).map((seen) => {
    const value = showValue(seen)
    return `<li><code>${escapeHtml(showPlace(seen))}</code> ${escapeHtml(seen.what)}${value === '' ? '' : `: ${escapeHtml(value)}`} <small class="dim">${seen.provenance}</small></li>`
  })
  const rest = evidence.length - places.length
  return `<ul>${places.join('')}${rest > 0 ? `<li class="dim">and ${rest} more (static)</li>` : ''}</ul>`
}

function remediesOf({ remedies }: ReportedFinding): string | undefined {
  const list = remedies.map(
    ({ priority, effort, text, guarantee }) =>
      `<li><b>${priority}</b> <small>${effort}</small> ${escapeHtml(text)}${guarantee === undefined ? '' : `<br><small class="dim">drop-in</small> <code>${escapeHtml(guarantee)}</code>`}</li>`,
  )
  return list.length === 0 ? undefined : `<ul>${list.join('')}</ul>`
}
