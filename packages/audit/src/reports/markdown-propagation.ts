// How failure travels, in Markdown: the matrix, critical paths, single points of failure, states that nothing leaves, start order, the checklist.

import { CHECKS } from './checklist.ts'
import { NOT_MEASURABLE } from './figure.ts'
import { code, few, folded, type Links, placeOf, plain, table } from './markdown-text.ts'
import { joinRows, NOTHING_ELSE } from './matrix.ts'
import { briefly } from './plan.ts'
import { PROPOSALS } from './proposals.ts'
import type { Report } from './report.ts'

const ROWS_MAX = 60
const NAMES_MAX = 6
const COMPONENTS_MAX = 60
const LINKS_MAX = 20

function known(isAssumed: boolean): string {
  return isAssumed ? 'assumed' : 'config'
}

export function propagation({ matrix, graph }: Report): string {
  if (graph.components.length === 0)
    return `## Failure propagation\n\nNo components were recognised: ${NOT_MEASURABLE}.`
  const joined = joinRows(matrix)
  if (joined.length === 0)
    return '## Failure propagation\n\nNo way was seen in which one of them fails and takes another down.'
  const rows = joined
    .slice(0, ROWS_MAX)
    .map((row) => [
      few(row.components, NAMES_MAX, 'config'),
      `${plain(row.mode)}${row.fingerprints.length === 0 ? '' : ` (${row.fingerprints.length} ${row.fingerprints.length === 1 ? 'finding' : 'findings'}, static)`}`,
      row.takesDown.length === 0
        ? NOTHING_ELSE[row.effect]
        : `${few(row.takesDown, NAMES_MAX, known(row.isAssumed))} (${known(row.isAssumed)})`,
      row.current.length === 0
        ? 'nothing was seen'
        : row.current.map(({ kind, state }) => `${PROPOSALS[kind].label}: ${state}`).join(', '),
      `${plain(briefly(row.proposed.text))}${row.proposed.guarantee === undefined ? '' : ` ${code(row.proposed.guarantee.split(' of @')[0] ?? '')}`}`,
      `${row.priority} ${row.effort}`,
    ])
  const rest = joined.length - rows.length
  return [
    '## Failure propagation',
    'Each component, how it may fail, what goes down with it, what holds today, what would. Guarantees: config and static; effort: assumed.',
    folded(
      `The matrix: ${rows.length} ${rows.length === 1 ? 'row' : 'rows'} (static)`,
      table(['component', 'how it fails', 'takes down', 'holds today', 'would hold', 'when'], rows),
    ),
    ...(rest > 0 ? [`${rest} more rows (static) are in the JSON report.`] : []),
  ].join('\n\n')
}

export function criticalPaths({ cascades, hasMoreCascades, singlePoints }: Report, links: Links | undefined): string {
  const paths = cascades.map(({ components, isAssumed, steps }) => {
    const list = steps.map(({ text, loc, provenance }, index) => {
      const place = loc === undefined ? '' : ` ${placeOf({ loc, provenance, what: '' }, links)}`
      return `${index + 1}. ${plain(text)}${place} · ${provenance}`
    })
    return folded(`<b>${components.map(plain).join(' → ')}</b> (${known(isAssumed)})`, list.join('\n'))
  })
  const points = singlePoints
    .slice(0, ROWS_MAX)
    .map(({ component, takesDown, isAssumed }) => [
      plain(component),
      `${takesDown.length} (${known(isAssumed)})`,
      few(takesDown, 12, known(isAssumed)),
    ])
  return [
    '## Critical paths',
    'From where people come in to what it rests on, over links that nothing holds; what happens once the end is gone, from what the graph shows.',
    ...(paths.length === 0 ? ['No way was seen on which failure travels from one component to another.'] : paths),
    ...(hasMoreCascades ? ['There are more paths; these end in different places, or are the longest.'] : []),
    '### Single points of failure',
    points.length === 0
      ? 'Nothing that is said to run once was seen to take others down.'
      : table(['runs once (config)', 'takes down', 'which'], points),
  ].join('\n\n')
}

export function permanent({ permanentStates, categories }: Report, links: Links | undefined): string {
  const isBlind = categories.find(({ category }) => category === 'permanent failure')?.state === NOT_MEASURABLE
  const rows = permanentStates
    .slice(0, ROWS_MAX)
    .map((state) => [
      `${plain(state.component ?? '')} ${placeOf({ loc: state.loc, provenance: 'static', what: '' }, links)}`,
      `${plain(state.what)} ${plain(state.because)}`,
      `**${state.pattern}**: ${state.how}`,
      `${state.riskBefore} (static)`,
      `${state.riskAfter} (${state.riskAfterProvenance})`,
    ])
  const none = isBlind ? `${NOT_MEASURABLE}: nothing was looked at.` : 'None was found.'
  return [
    '## States that nothing leaves',
    rows.length === 0
      ? none
      : table(['where', 'what stays down', 'recovery pattern', 'risk before', 'risk after'], rows),
  ].join('\n\n')
}

export function startOrder({ startOrder: { waves, circle, weak, unordered } }: Report): string {
  if (waves.length + circle.length === 0)
    return `## Start order and readiness\n\nNo start order is declared: ${NOT_MEASURABLE}.`
  const list = (names: readonly string[], none: string): string =>
    names.length === 0
      ? none
      : names
          .slice(0, LINKS_MAX)
          .map((name) => `- ${plain(name)}`)
          .join('\n') + (names.length > LINKS_MAX ? `\n- and ${names.length - LINKS_MAX} more (config)` : '')
  return [
    '## Start order and readiness',
    waves.map((names, index) => `${index + 1}. ${names.map(plain).join(', ')}`).join('\n'),
    ...(circle.length === 0
      ? []
      : [`**No order can start these, each waits for another of them:** ${circle.map(plain).join(', ')}`]),
    'Waits, and not for health (config):',
    list(weak, 'nobody: every wait is for health.'),
    'Uses the other without waiting for it (config):',
    list(unordered, 'nobody: whatever is used is waited for.'),
    `A verdict by category needs the results of the system's own tests: ${code('ripstop-audit readiness RESULTS')}.`,
  ].join('\n\n')
}

const MARKS = { yes: 'yes', no: 'no', 'not seen': '·' } as const

export function checklist({ checklist: rows, findings }: Report): string {
  if (rows.length === 0) return `## Architecture review\n\nNo components were recognised: ${NOT_MEASURABLE}.`
  const counts = new Map<string, number>()
  for (const { component } of findings)
    if (component !== undefined) counts.set(component, (counts.get(component) ?? 0) + 1)
  const ranked = rows.toSorted((a, b) => (counts.get(b.component) ?? 0) - (counts.get(a.component) ?? 0))
  const shown = ranked.slice(0, COMPONENTS_MAX).map(({ component, checks }) => [
    plain(component),
    ...CHECKS.map((kind) => {
      const check = checks.find((one) => one.kind === kind)
      return check === undefined ? '' : check.word === '' ? MARKS[check.state] : check.word
    }),
  ])
  const rest = rows.length - shown.length
  return [
    '## Architecture review',
    'Yes, no, or · for not seen; empty: does not apply. The evidence of each is in the JSON report: config and static.',
    folded(
      `The checklist: ${shown.length} ${shown.length === 1 ? 'component' : 'components'} (config)`,
      table(['component', ...CHECKS.map((kind) => PROPOSALS[kind].label)], shown),
    ),
    ...(rest > 0 ? [`${rest} more components (config) are in the JSON report.`] : []),
  ].join('\n\n')
}
