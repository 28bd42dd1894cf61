// The report as Markdown: what a team reads in a merge request. The executive page first, then diagnostics with evidence, failure propagation, states
// that nothing leaves, the checklist, and what was not read.
//   RE7. Names, paths and texts of the audited repository are text: no markup of theirs has an effect.

import { type BlastRadius, isHeld } from '../graph/blast-radius.ts'
import { CATEGORIES } from '../rules/rule.ts'
import { NOT_MEASURABLE, showFigure, showPlace, showValue } from './figure.ts'
import { effortOf, priorityOf } from './plan.ts'
import type { Report, ReportedFinding } from './report.ts'

const PLACES_MAX = 12
const FINDINGS_MAX = 500
const UNREAD_MAX = 40
const RADII_MAX = 40

export function renderMarkdown(report: Report): string {
  const parts = [
    executive(report),
    plan(report),
    diagnostics(report),
    propagation(report),
    permanent(report),
    checklist(report),
    coverage(report),
  ]
  return `${parts.join('\n\n')}\n`
}

/** RE7. */
export function plain(text: string): string {
  return text
    .replace(/[\r\n\t]+/g, ' ')
    .replace(/[\\`*{}[\]<>|~#!$@]|(?<!\w)_|_(?!\w)/g, (char) => `&#${char.codePointAt(0)};`)
    .replace(/(https?|ftp):\/\//gi, '$1&#58;//')
}

/** RE7: as code, whatever it holds. */
function code(text: string): string {
  return `<code>${plain(text)}</code>`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function executive(report: Report): string {
  const { figures, grade } = report
  const byPrint = new Map(report.findings.map((finding) => [finding.fingerprint, finding]))
  const top = report.topTen.flatMap((fingerprint) => byPrint.get(fingerprint) ?? [])
  const rows = top.map((finding, index) => [
    `${index + 1}`,
    finding.severity,
    finding.tier,
    `${plain(finding.title)} (${code(finding.rule)})`,
    code(showPlace(finding.evidence[0] as ReportedFinding['evidence'][number])),
    priorityOf(finding),
    effortOf(finding),
  ])
  return [
    `# Audit of ${plain(report.name)}`,
    `**Grade: ${grade ?? NOT_MEASURABLE}** · ${plain(report.gradeBecause)}`,
    `Strong: ${showFigure(figures.strong)}: critical ${showFigure(figures.critical)}, high ${showFigure(figures.high)}, ` +
      `medium ${showFigure(figures.medium)}, low ${showFigure(figures.low)}. For review: ${showFigure(figures.review)}. ` +
      `Suppressed: ${showFigure(figures.suppressed)}. Applied: ${showFigure(figures.rules)}.`,
    `Service levels, target against actual: ${NOT_MEASURABLE} (no measurement was part of this audit).`,
    '## Top ten',
    rows.length === 0
      ? 'Nothing was found.'
      : table(['', 'severity', 'tier', 'finding', 'where', 'priority', 'effort'], rows),
  ].join('\n\n')
}

function plan({ plan: phases }: Report): string {
  const rows = phases.map(({ priority, title, after, fingerprints, effort }) => [
    priority,
    title,
    `${fingerprints.length} findings (static)`,
    showFigure(effort),
    after.join(', '),
  ])
  const [first] = phases
  return [
    '## Plan',
    first === undefined
      ? 'Nothing strong was found: there is nothing to plan.'
      : `${table(['phase', 'what', 'findings', 'effort', 'after'], rows)}\n\nEffort rests on ${plain(first.effort.source)}.`,
  ].join('\n\n')
}

function diagnostics({ findings }: Report): string {
  const shown = findings.slice(0, FINDINGS_MAX)
  const parts = CATEGORIES.flatMap((category) => {
    const own = shown.filter((finding) => finding.category === category)
    return own.length === 0 ? [] : [`### ${category}`, ...own.map(diagnostic)]
  })
  const rest = findings.length - shown.length
  if (rest > 0)
    parts.push(`**${rest} more findings (static) are not shown here**, the least of them; the JSON report has all.`)
  return ['## Findings', ...(parts.length === 0 ? ['None.'] : parts)].join('\n\n')
}

function diagnostic(finding: ReportedFinding): string {
  const { evidence, remedies, reproduction, suppressed } = finding
  const places = evidence.slice(0, PLACES_MAX).map((seen) => {
    const value = showValue(seen)
    return `  - ${code(showPlace(seen))} ${plain(seen.what)}${value === '' ? '' : `: ${plain(value)}`} · ${seen.provenance}`
  })
  const rest = evidence.length - places.length
  if (rest > 0) places.push(`  - and ${rest} more (static); the JSON report has all`)
  const lines = [
    `#### ${plain(finding.title)} · ${finding.severity} · ${finding.tier}${suppressed === undefined ? '' : ' · suppressed'}`,
    `- Rule ${code(finding.rule)}, fingerprint ${code(finding.fingerprint)}, owner ${plain(finding.owner ?? 'unassigned')}` +
      (finding.component === undefined ? '' : `, component ${plain(finding.component)}`),
    `- Symptom: ${plain(finding.symptom)}`,
    `- Root cause: ${plain(finding.rootCause)}`,
    '- Evidence:',
    ...places,
  ]
  if (reproduction !== undefined)
    lines.push(`- To see it: ${reproduction.steps.map(code).join(' then ')}; expected: ${plain(reproduction.expected)}`)
  for (const { priority, text, effort, guarantee } of remedies)
    lines.push(
      `- ${priority} (${effort}): ${plain(text)}${guarantee === undefined ? '' : ` Drop-in: ${code(guarantee)}`}`,
    )
  if (suppressed !== undefined)
    lines.push(
      `- Suppressed${suppressed.until === undefined ? '' : ` until ${plain(suppressed.until)}`}: ${plain(suppressed.reason)}`,
    )
  return lines.join('\n')
}

function propagation({ graph, blastRadii, findings }: Report): string {
  const modes = (component: string): string => {
    const own = findings.filter((finding) => finding.component === component && finding.suppressed === undefined)
    const worst = own.slice(0, 3).map(({ rule, severity }) => `${code(rule)} (${severity})`)
    return worst.length === 0 ? 'none found' : worst.join(', ')
  }
  const guards = ({ component }: BlastRadius): string => {
    const into = graph.links.filter(({ to }) => to === component)
    return into.length === 0
      ? 'no link into it was seen'
      : `${into.filter(isHeld).length} of ${into.length} links hold (config)`
  }
  const rows = blastRadii
    .slice(0, RADII_MAX)
    .map((radius) => [
      plain(radius.component),
      modes(radius.component),
      radius.takesDown.length === 0 ? 'nothing' : plain(radius.takesDown.join(', ')),
      radius.isAssumed ? 'assumed' : 'config',
      guards(radius),
    ])
  return [
    '## Failure propagation',
    rows.length === 0
      ? `No components were recognised: ${NOT_MEASURABLE}.`
      : table(['when this fails', 'it may by', 'it takes down', 'known by', 'what holds'], rows),
    ...(blastRadii.length > RADII_MAX
      ? [`${blastRadii.length - RADII_MAX} more components (config) take down less.`]
      : []),
  ].join('\n\n')
}

function permanent({ findings, rules }: Report): string {
  const own = findings.filter(({ category }) => category === 'permanent failure')
  const applied = rules.filter(({ category }) => category === 'permanent failure').length
  const lines = own.map(
    (finding) =>
      `- ${code(showPlace(finding.evidence[0] as ReportedFinding['evidence'][number]))} ${plain(finding.rootCause)} Way back: ${plain(finding.remedies[0]?.text ?? 'none is known')}`,
  )
  const none = applied === 0 ? `${NOT_MEASURABLE}: no rule of this kind was applied.` : 'None was found.'
  return ['## States that nothing leaves', lines.length === 0 ? none : lines.join('\n')].join('\n\n')
}

function checklist({ findings, rules }: Report): string {
  const open = findings.filter(({ suppressed }) => suppressed === undefined)
  const rows = CATEGORIES.map((category) => {
    const applied = rules.filter((rule) => rule.category === category).length
    const strong = open.filter((finding) => finding.category === category && finding.tier !== 'review').length
    const review = open.filter((finding) => finding.category === category && finding.tier === 'review').length
    const mark = applied === 0 ? NOT_MEASURABLE : strong > 0 ? 'torn' : review > 0 ? 'to review' : 'nothing found'
    return [category, mark, `${applied} (static)`, `${strong} (static)`, `${review} (static)`]
  })
  return ['## Checklist', table(['category', 'state', 'rules', 'strong', 'for review'], rows)].join('\n\n')
}

function coverage({
  coverage: { languages, configuration, leftOut, unread, brokenRules, suppressionProblems },
}: Report): string {
  const read = [
    ...languages.map(({ language, files, lines }) => `${language}: ${showFigure(files)}, ${showFigure(lines)}`),
    ...configuration.map(({ kind, files }) => `${kind}: ${showFigure(files)}`),
  ]
  const lines = [
    `Read: ${read.length === 0 ? 'nothing' : read.join('; ')}.`,
    ...(leftOut.length === 0
      ? []
      : [`Left out on purpose: ${leftOut.map(({ role, files }) => `${role} code ${showFigure(files)}`).join('; ')}.`]),
    unread.length === 0 ? 'Everything that could matter was read.' : `Not read: ${unread.length} (static).`,
    ...unread
      .slice(0, UNREAD_MAX)
      .map(({ path, why, detail }) => `- ${code(path)}: ${why}${detail === undefined ? '' : ` (${plain(detail)})`}`),
    ...(unread.length > UNREAD_MAX ? [`- and ${unread.length - UNREAD_MAX} more (static)`] : []),
    ...brokenRules.map(({ rule, message }) => `- **rule ${code(rule)} broke: ${plain(message)}**`),
    ...suppressionProblems.map(
      ({ file, line, problem }) => `- suppression at ${code(`${file}:${line}`)}: ${plain(problem)}`,
    ),
  ]
  return ['## What was read, and what was not', ...lines].join('\n')
}
