// Findings in Markdown, by category: a line for each, and behind it evidence, how to see it and what to do.

import type { Evidence } from '../model/evidence.ts'
import { CATEGORIES } from '../rules/rule.ts'
import { showPlace, showValue } from './figure.ts'
import { code, folded, type Links, placeOf, plain } from './markdown-text.ts'
import type { Report, ReportedFinding } from './report.ts'

const PLACES_MAX = 12
const FINDINGS_MAX = 500
const NOWHERE: Evidence = { provenance: 'static', loc: undefined, what: '' }

export function diagnostics({ findings }: Report, links: Links | undefined): string {
  const shown = findings.slice(0, FINDINGS_MAX)
  const parts = CATEGORIES.flatMap((category) => {
    const own = shown.filter((finding) => finding.category === category)
    return own.length === 0 ? [] : [`### ${category}`, ...own.map((finding) => diagnostic(finding, links))]
  })
  const rest = findings.length - shown.length
  if (rest > 0)
    parts.push(`**${rest} more findings (static) are not shown here**, the least of them; the JSON report has all.`)
  return ['## Findings', ...(parts.length === 0 ? ['None.'] : parts)].join('\n\n')
}

function diagnostic(finding: ReportedFinding, links: Links | undefined): string {
  const { evidence, remedies, reproduction, suppressed } = finding
  const places = evidence.slice(0, PLACES_MAX).map((seen) => {
    const value = showValue(seen)
    return `  - ${placeOf(seen, links)} ${plain(seen.what)}${value === '' ? '' : `: ${plain(value)}`} · ${seen.provenance}`
  })
  const rest = evidence.length - places.length
  if (rest > 0) places.push(`  - and ${rest} more (static); the JSON report has all`)
  const lines = [
    `- Symptom: ${plain(finding.symptom)}`,
    `- Root cause: ${plain(finding.rootCause)}`,
    '- Evidence:',
    ...places,
  ]
  if (reproduction !== undefined)
    lines.push(
      `- To see it: recipe ${code(reproduction.demonstration)}${reproduction.through === undefined ? '' : `, by ${code(reproduction.through)}`}` +
        (finding.link === undefined ? '' : `, over ${code(finding.link)}`),
    )
  for (const { priority, text, effort, guarantee } of remedies)
    lines.push(
      `- ${priority} (${effort}): ${plain(text)}${guarantee === undefined ? '' : ` Drop-in: ${code(guarantee)}`}`,
    )
  if (suppressed !== undefined)
    lines.push(
      `- Suppressed${suppressed.until === undefined ? '' : ` until ${plain(suppressed.until)}`}: ${plain(suppressed.reason)}`,
    )
  lines.push(
    `- Rule ${code(finding.rule)}, fingerprint ${code(finding.fingerprint)}, owner ${plain(finding.owner ?? 'unassigned')}` +
      (finding.component === undefined ? '' : `, component ${plain(finding.component)}`),
  )
  const marks = [
    finding.severity,
    ...(finding.tier === 'review' ? ['for review'] : []),
    ...(suppressed === undefined ? [] : ['suppressed']),
  ]
  return folded(
    `<b>${plain(finding.title)}</b> · ${marks.join(' · ')} · ${code(showPlace(evidence[0] ?? NOWHERE))}${evidence.length > 1 ? ` and ${evidence.length - 1} more (static)` : ''}`,
    lines.join('\n'),
  )
}
