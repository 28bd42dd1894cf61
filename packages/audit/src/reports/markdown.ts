// The report as Markdown: what a team reads on a code host. The executive page first and short: grade, top ten, phases, service levels; then, behind their
// headings, everything: findings with evidence, failure propagation, states that nothing leaves, the checklist, recipes, and what was not read.
//   RW6. Short first: before the first heading that is folded stand the grade, the top ten and the phases; what is long is folded, and no table is wider than six
//        columns but the checklist and the matrix.

import { brokenIn, NOTHING_READ, unreadGroups } from './coverage.ts'
import { NOT_MEASURABLE, showFigure } from './figure.ts'
import { diagnostics } from './markdown-findings.ts'
import { checklist, criticalPaths, permanent, propagation, startOrder } from './markdown-propagation.ts'
import { recipes } from './markdown-recipes.ts'
import { code, few, folded, type Links, placeOf, plain, table } from './markdown-text.ts'
import { briefly, effortOf, priorityOf } from './plan.ts'
import type { Report } from './report.ts'

const UNREAD_MAX = 40
const PATHS_MAX = 5

/** `links`: where the audited folder lies, seen from the report; undefined: places are no links. */
export function renderMarkdown(report: Report, links?: Links): string {
  if (report.grade === null) return `${[executive(report), coverage(report)].join('\n\n')}\n`
  const parts = [
    executive(report),
    topTen(report, links),
    phases(report),
    serviceLevels(report),
    categories(report),
    plan(report),
    diagnostics(report, links),
    propagation(report),
    criticalPaths(report, links),
    permanent(report, links),
    startOrder(report),
    checklist(report),
    recipes(report),
    coverage(report),
  ]
  return `${parts.join('\n\n')}\n`
}

function executive({ name, grade, gradeBecause, figures }: Report): string {
  const counts = `For review: ${showFigure(figures.review)}. Suppressed: ${showFigure(figures.suppressed)}. Applied: ${showFigure(figures.rules)}.`
  return [
    `# Audit of ${plain(name)}`,
    `**Grade: ${grade ?? NOT_MEASURABLE}** · ${plain(gradeBecause)}`,
    ...(grade === null ? [] : [counts]),
  ].join('\n\n')
}

function topTen({ findings, topTen: prints }: Report, links: Links | undefined): string {
  const byPrint = new Map(findings.map((finding) => [finding.fingerprint, finding]))
  const rows = prints
    .flatMap((print) => byPrint.get(print) ?? [])
    .map((finding, index) => [
      `${index + 1}`,
      `${finding.severity}${finding.tier === 'review' ? ', for review' : ''}`,
      `${plain(finding.title)}<br>${placeOf(finding.evidence[0], links)}`,
      plain(briefly(finding.remedies[0]?.text ?? '')),
      `${priorityOf(finding)} ${effortOf(finding)}`,
    ])
  return [
    '## Top ten',
    rows.length === 0
      ? 'Nothing was found.'
      : `${table(['', 'severity', 'finding', 'what to do', 'when'], rows)}\n\nWhen: priority, and effort from XS to XL (assumed).`,
  ].join('\n\n')
}

function phases({ plan: all }: Report): string {
  if (all.length === 0) return '## What to do, in order\n\nNothing strong was found: there is nothing to plan.'
  const rows = all.map(({ priority, title, after, fingerprints, effort }) => [
    `**${priority}** ${title}`,
    `${fingerprints.length} (static)`,
    showFigure(effort),
    after.length === 0 ? 'starts at once' : `after ${after.join(', ')}`,
  ])
  return ['## What to do, in order', table(['phase', 'findings', 'effort', 'when'], rows)].join('\n\n')
}

function serviceLevels({ serviceLevels: levels }: Report): string {
  const rows = levels.map(({ name, target, actual, needs }) => [
    name,
    target === null ? 'none is stated' : showFigure(target),
    actual === null ? NOT_MEASURABLE : showFigure(actual),
    needs,
  ])
  const isBlind = levels.every(({ target, actual }) => target === null && actual === null)
  const all = table(['level', 'target', 'actual', 'what would have to be measured'], rows)
  return [
    '## Service levels',
    `Target against actual. An audit that only reads measures nothing${isBlind ? `: all ${levels.length} (static) are ${NOT_MEASURABLE}` : ''}.`,
    isBlind ? folded('What would have to be measured', all) : all,
  ].join('\n\n')
}

function categories({ categories: states }: Report): string {
  const rows = states.map(({ category, state, lookedAt, strong, review }) => [
    category,
    state,
    `${strong.value}`,
    `${review.value}`,
    showFigure(lookedAt),
  ])
  return [
    '## Where it tears',
    'A category without a rule, or with nothing to look at, is not counted as good; that nothing was found is no proof.',
    table(['category', 'state', 'strong (static)', 'for review (static)', 'looked at'], rows),
  ].join('\n\n')
}

function plan({ plan: all }: Report): string {
  const [first] = all
  if (first === undefined) return '## Plan\n\nNothing strong was found: there is nothing to plan.'
  const parts = all.map(({ priority, title, tasks, effort }) => {
    const rows = tasks.map((task) => [
      `${plain(task.text)}${task.after.length === 0 ? '' : ` Waits for ${task.after.map(code).join(', ')}.`}`,
      `${code(task.rule)}: ${task.fingerprints.length} (static)`,
      few(task.components, 4, 'static') || 'no component',
      showFigure(task.effort),
      task.owners.length === 0 ? 'unassigned' : few(task.owners, 3, 'config'),
    ])
    return folded(
      `<b>${priority}</b> ${title}: ${tasks.length} ${tasks.length === 1 ? 'task' : 'tasks'} (static), ${showFigure(effort)}`,
      table(['what', 'for', 'where', 'effort', 'owner'], rows),
    )
  })
  return ['## Plan', ...parts, `Effort rests on ${plain(first.effort.source)}.`].join('\n\n')
}

function coverage({
  coverage: { languages, configuration, leftOut, unread, suppressionProblems, ...broken },
  grade,
}: Report): string {
  const read = [
    ...languages.map(({ language, files, lines }) => `${language}: ${showFigure(files)}, ${showFigure(lines)}`),
    ...configuration.map(({ kind, files }) => `${kind}: ${showFigure(files)}`),
  ]
  const groups = unreadGroups(unread)
  const lines = [
    read.length === 0 ? NOTHING_READ[grade === null ? 'nothing known' : 'a mesh'] : `Read: ${read.join('; ')}.`,
    ...(leftOut.length === 0
      ? []
      : [`Left out on purpose: ${leftOut.map(({ role, files }) => `${role} code ${showFigure(files)}`).join('; ')}.`]),
    ...(unread.length > 0
      ? ['', `Not read: ${unread.length} (static).`, '']
      : read.length > 0
        ? ['', 'Everything that could matter was read.']
        : []),
    ...groups.slice(0, UNREAD_MAX).map(({ why, paths }) => {
      const names = paths.slice(0, PATHS_MAX).map(code).join(', ')
      return `- ${plain(why)}: ${paths.length === 1 ? names : `${paths.length} (static): ${names}${paths.length > PATHS_MAX ? ' …' : ''}`}`
    }),
    ...(groups.length > UNREAD_MAX ? [`- and ${groups.length - UNREAD_MAX} more reasons (static)`] : []),
    ...brokenIn(broken).map((what) => `- **${plain(what)}**`),
    ...suppressionProblems.map(
      ({ file, line, problem }) => `- suppression at ${code(`${file}:${line}`)}: ${plain(problem)}`,
    ),
  ]
  return ['## What was read, and what was not', '', ...lines].join('\n')
}
