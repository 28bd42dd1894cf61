// The report as Markdown: what a team reads in a merge request. The executive page first, then diagnostics with evidence, failure propagation, states
// that nothing leaves, the checklist, and what was not read.

import { CATEGORIES } from '../rules/rule.ts'
import { NOT_MEASURABLE, showFigure, showPlace, showValue } from './figure.ts'
import { checklist, criticalPaths, permanent, propagation, startOrder } from './markdown-propagation.ts'
import { code, few, plain, table } from './markdown-text.ts'
import { effortOf, priorityOf } from './plan.ts'
import type { Report, ReportedFinding } from './report.ts'

const PLACES_MAX = 12
const FINDINGS_MAX = 500
const UNREAD_MAX = 40

export function renderMarkdown(report: Report): string {
  const parts = [
    executive(report),
    serviceLevels(report),
    categories(report),
    plan(report),
    diagnostics(report),
    propagation(report),
    criticalPaths(report),
    permanent(report),
    startOrder(report),
    checklist(report),
    coverage(report),
  ]
  return `${parts.join('\n\n')}\n`
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
    '## Top ten',
    rows.length === 0
      ? 'Nothing was found.'
      : table(['', 'severity', 'tier', 'finding', 'where', 'priority', 'effort'], rows),
  ].join('\n\n')
}

function serviceLevels({ serviceLevels: levels }: Report): string {
  const rows = levels.map(({ name, target, actual, needs }) => [
    name,
    target === null ? 'none is stated' : showFigure(target),
    actual === null ? NOT_MEASURABLE : showFigure(actual),
    needs,
  ])
  return [
    '## Service levels',
    'Target against actual. An audit that only reads measures nothing: what would have to be measured is named.',
    table(['level', 'target', 'actual', 'what would have to be measured'], rows),
  ].join('\n\n')
}

function categories({ categories: states }: Report): string {
  const rows = states.map(({ category, state, because, rules, lookedAt, strong, review }) => [
    category,
    `${state}: ${because}`,
    showFigure(rules),
    showFigure(lookedAt),
    showFigure(strong),
    showFigure(review),
  ])
  return [
    '## Where it tears',
    'A category without a rule, or with nothing to look at, is not counted as good.',
    table(['category', 'state', 'rules', 'looked at', 'strong', 'for review'], rows),
  ].join('\n\n')
}

function plan({ plan: phases }: Report): string {
  const [first] = phases
  if (first === undefined) return '## Plan\n\nNothing strong was found: there is nothing to plan.'
  const parts = phases.map(({ priority, title, after, fingerprints, effort, tasks }) => {
    const rows = tasks.map((task) => [
      plain(task.text),
      `${code(task.rule)}: ${task.fingerprints.length} (static)`,
      few(task.components, 4, 'static') || 'no component',
      showFigure(task.effort),
      task.owners.length === 0 ? 'unassigned' : few(task.owners, 3, 'config'),
      task.after.length === 0 ? 'nothing' : task.after.map(plain).join(', '),
    ])
    const waits = after.length === 0 ? 'starts at once' : `after ${after.join(', ')}`
    return [
      `### ${priority} ${title}: ${fingerprints.length} findings (static), ${showFigure(effort)}, ${waits}`,
      table(['what', 'for', 'where', 'effort', 'owner', 'waits for'], rows),
    ].join('\n\n')
  })
  return ['## Plan', ...parts, `Effort rests on ${plain(first.effort.source)}.`].join('\n\n')
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
