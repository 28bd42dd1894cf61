// Findings with their evidence and remedies, and the filters above them.

import { type Reproduction, SEVERITIES, TIERS } from '../model/finding.ts'
import { CATEGORIES } from '../rules/rule.ts'
import { showPlace, showValue } from './figure.ts'
import { section, severityTag, tableNote, whereOf } from './html-parts.ts'
import { escapeHtml, escapeText } from './html-text.ts'
import type { Report, ReportedFinding } from './report.ts'

const FINDINGS_MAX = 1_000
/** Of so many, those beyond the window are laid out when they come into it: 1,000 open in 450 ms, not 700 (two busy cores, 2026-11-22). */
const MANY = 200
const PLACES_MAX = 20

export function findings({ findings: all }: Report): string {
  if (all.length === 0) return section('findings', 'Findings', '', '<p>None.</p>')
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
    '<span class="dim" id="count" role="status"></span> <button type="button" id="clear">clear</button></div>',
    `<div class="list${shown.length > MANY ? ' many' : ''}">${shown.map(detail).join('')}</div>`,
    tableNote('Owners are from CODEOWNERS; where none is named it is unassigned.'),
    '<p class="note" id="none" hidden>Nothing fits these filters.</p>',
    rest > 0
      ? `<p><b>${rest} more findings (static) are not on this page</b>, the least of them; the JSON report has all.</p>`
      : '',
  )
}

function select(by: string, values: readonly string[]): string {
  const options = values.map((value) => `<option>${escapeHtml(value)}</option>`).join('')
  return `<select data-by="${by}" aria-label="${by}"><option value="">${by}: all</option>${options}</select>`
}

function detail(finding: ReportedFinding): string {
  const { fingerprint, severity, tier, category, title, evidence, suppressed, component } = finding
  const places = evidence.length > 1 ? [`${evidence.length} places (static)`] : []
  const notes = [
    ...(tier === 'review' ? ['for review'] : []),
    ...(suppressed === undefined ? [] : ['suppressed']),
    ...places,
  ]
  const list = rowsOf(finding).flatMap(([name, value]) =>
    value === undefined ? [] : `<dt>${name}</dt><dd>${value}</dd>`,
  )
  const data = `data-severity="${severity}" data-tier="${tier}" data-category="${category}" data-component="${escapeHtml(component ?? '')}"`
  return `<details class="finding" id="f-${escapeHtml(fingerprint)}" ${data}><summary>${severityTag(severity)}<span class="what">${escapeHtml(title)}${component === undefined ? '' : ` <small>${escapeHtml(component)}</small>`}</span><small class="dim">${notes.join(', ')}</small><span class="where">${whereOf(finding)}</span></summary><dl>${list.join('')}</dl></details>`
}

function rowsOf(finding: ReportedFinding): readonly (readonly [name: string, value: string | undefined])[] {
  const { fingerprint, suppressed, reproduction, link } = finding
  return [
    ['symptom', escapeHtml(finding.symptom)],
    ['root cause', escapeHtml(finding.rootCause)],
    ['evidence', evidenceOf(finding)],
    ['to see it (not run)', reproduction && recipeOf(reproduction)],
    ['remedy', remediesOf(finding)],
    ['link', link && escapeHtml(link)],
    ['owner', finding.owner && escapeHtml(finding.owner)],
    [
      'suppressed',
      suppressed &&
        escapeHtml(`${suppressed.reason}${suppressed.until === undefined ? '' : ` (until ${suppressed.until})`}`),
    ],
    ['rule', `<code>${escapeHtml(finding.rule)}</code> <small>${escapeHtml(fingerprint)}</small>`],
  ]
}

function recipeOf({ steps, expected, mended }: Reproduction): string {
  const list = steps.map((step) => {
    const text = escapeText(step)
    return `<li>${step.startsWith('$ ') ? `<code>${text.slice(2)}</code>` : text}</li>`
  })
  return `<ol>${list.join('')}</ol>Expected: ${escapeHtml(expected)}.<br>Mended: ${escapeHtml(mended)}.`
}

function evidenceOf({ evidence }: ReportedFinding): string {
  const places = evidence.slice(0, PLACES_MAX).map((seen) => {
    const value = showValue(seen)
    return `<li><code>${escapeHtml(showPlace(seen))}</code> ${escapeHtml(seen.what)}${value === '' ? '' : `: ${escapeHtml(value)}`} <small>${seen.provenance}</small></li>`
  })
  const rest = evidence.length - places.length
  return `<ul>${places.join('')}${rest > 0 ? `<li class="dim">and ${rest} more (static)</li>` : ''}</ul>`
}

function remediesOf({ remedies }: ReportedFinding): string | undefined {
  const list = remedies.map(
    ({ priority, effort, text, guarantee }) =>
      `<li><b>${priority}</b> <small>${effort}</small> ${escapeHtml(text)}${guarantee === undefined ? '' : `<br><small>drop-in</small> <code>${escapeHtml(guarantee)}</code>`}</li>`,
  )
  return list.length === 0 ? undefined : `<ul>${list.join('')}</ul>`
}
