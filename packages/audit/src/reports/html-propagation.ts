// How failure travels: the matrix, cascades along critical paths, single points of failure, and states that nothing leaves.

import { NOT_MEASURABLE, showPlace } from './figure.ts'
import { few, folded, linkTo, section, severityTag, tableNote } from './html-parts.ts'
import { escapeHtml } from './html-text.ts'
import { type JoinedRow, joinRows, NOTHING_ELSE } from './matrix.ts'
import { briefly } from './plan.ts'
import type { Report } from './report.ts'

const ROWS_MAX = 80
/** More are behind a word. */
const ROWS_OPEN = 14
const NAMES_MAX = 5
const STATES_MAX = 60

export function propagation(report: Report): string {
  return [
    section(
      'matrix',
      'Failure propagation',
      'Each component, how it may fail, what goes down with it, what holds today, what would.',
      matrix(report),
    ),
    section(
      'cascades',
      'Critical paths',
      'From where people come in to what it rests on, over links that nothing holds; what happens once the end is gone, from what the graph shows.',
      cascades(report),
      singlePoints(report),
    ),
    section(
      'permanent',
      'States that nothing leaves',
      'What stays down once it failed, although the cause is gone.',
      permanent(report),
    ),
  ].join('\n')
}

function known(isAssumed: boolean): string {
  return isAssumed ? 'assumed' : 'config'
}

function matrix({ matrix: rows, graph }: Report): string {
  if (graph.components.length === 0) return `<p>No components were recognised: ${NOT_MEASURABLE}.</p>`
  const joined = joinRows(rows)
  if (joined.length === 0) return '<p>No way was seen in which one of them fails and takes another down.</p>'
  const shown = joined.slice(0, ROWS_MAX).map((row) => ({
    attributes: `data-component="${escapeHtml(row.components.join('|'))}"`,
    cells: [
      `<b>${few(row.components, NAMES_MAX, 'config')}</b>`,
      `${escapeHtml(row.mode)}${findingsOf(row.fingerprints)}`,
      row.takesDown.length === 0
        ? `<span class="dim">${NOTHING_ELSE[row.effect]}</span>`
        : `${few(row.takesDown, NAMES_MAX, known(row.isAssumed))} <small class="dim">(${known(row.isAssumed)})</small>`,
      currentOf(row),
      `${escapeHtml(briefly(row.proposed.text))}${row.proposed.guarantee === undefined ? '' : `<br><code>${escapeHtml(row.proposed.guarantee.split(' of @')[0] ?? '')}</code>`}`,
      `${row.priority} <small class="dim">${row.effort}</small>`,
    ],
  }))
  const rest = joined.length - shown.length
  const note = `Guarantees: config and static. Effort: assumed. In full: with the findings and in the plan.${rest > 0 ? ` <b>${rest} more rows (static)</b> are in the JSON report.` : ''}`
  const columns = ['component', 'how it fails', 'takes down', 'holds today', 'would hold', 'when']
  return folded(columns, shown, ROWS_OPEN, 'Failure propagation matrix') + tableNote(note)
}

function findingsOf(fingerprints: readonly string[]): string {
  const [first] = fingerprints
  if (first === undefined) return ''
  return ` <small>${linkTo(first, fingerprints.length === 1 ? 'finding' : `${fingerprints.length} findings (static)`)}</small>`
}

function currentOf({ current }: JoinedRow): string {
  if (current.length === 0) return `<span class="dim">${'nothing was seen'}</span>`
  return current
    .map(
      ({ kind, state, links }) =>
        `<span class="guard ${state}" title="${escapeHtml(links.join(', '))}">${kind.replaceAll('_', ' ')}: ${state}</span>`,
    )
    .join(' ')
}

function cascades({ cascades: all, hasMoreCascades }: Report): string {
  if (all.length === 0) return '<p>No way was seen on which failure travels from one component to another.</p>'
  const items = all.map(({ components, isAssumed, steps }, index) => {
    const way = components
      .map((name) => `<b>${escapeHtml(name)}</b>`)
      .join(' <span aria-hidden="true">→</span><span class="hidden">needs</span> ')
    const list = steps.map(({ text, loc, provenance }) => {
      const place = loc === undefined ? '' : ` <code>${escapeHtml(showPlace({ loc, provenance, what: '' }))}</code>`
      return `<li>${escapeHtml(text)}${place} <small class="dim">${provenance}</small></li>`
    })
    return `<details class="cascade"${index === 0 ? ' open' : ''}><summary>${way} <span class="dim">${isAssumed ? 'assumed' : 'config, static'}</span></summary><ol class="steps">${list.join('')}</ol></details>`
  })
  return (
    `<div class="list">${items.join('')}</div>` +
    (hasMoreCascades ? tableNote('There are more paths; these end in different places, or are the longest.') : '')
  )
}

function singlePoints({ singlePoints: points }: Report): string {
  if (points.length === 0)
    return '<h3>Single points of failure</h3><p>Nothing that is said to run once was seen to take others down.</p>'
  const rows = points.slice(0, ROWS_MAX).map(({ component, takesDown, isAssumed }) => ({
    attributes: `data-component="${escapeHtml(component)}"`,
    cells: [
      `<b>${escapeHtml(component)}</b>`,
      `${takesDown.length} <small class="dim">(${known(isAssumed)})</small>`,
      few(takesDown, 12, known(isAssumed)),
    ],
  }))
  return `<h3>Single points of failure</h3>${folded(['runs once (config)', 'takes down', 'which'], rows, ROWS_OPEN, 'Single points of failure')}`
}

function permanent({ permanentStates: states, categories }: Report): string {
  if (states.length === 0) {
    const isBlind = categories.find(({ category }) => category === 'permanent failure')?.state === NOT_MEASURABLE
    return `<p>${isBlind ? `${NOT_MEASURABLE}: nothing was looked at.` : 'None was found.'}</p>`
  }
  const rows = states
    .slice(0, STATES_MAX)
    .map(({ fingerprint, component, loc, what, because, pattern, how, riskBefore, riskAfter }) => ({
      attributes: `data-component="${escapeHtml(component ?? '')}"`,
      cells: [
        `${linkTo(fingerprint, component ?? 'no component')}${loc === undefined ? '' : `<br><code>${escapeHtml(`${loc.file}:${loc.line}`)}</code>`}`,
        `${escapeHtml(what)}<br><span class="dim">${escapeHtml(because)}</span>`,
        `<b>${escapeHtml(pattern)}</b><br>${escapeHtml(how)}`,
        `${severityTag(riskBefore)} <small class="dim">static</small>`,
        `${severityTag(riskAfter)} <small class="dim">assumed</small>`,
      ],
    }))
  const rest = states.length - rows.length
  const note = `The risk after is assumed until an experiment shows it.${rest > 0 ? ` <b>${rest} more (static)</b> are among the findings.` : ''}`
  const columns = ['where', 'what stays down', 'recovery pattern', 'risk before', 'risk after']
  return folded(columns, rows, ROWS_OPEN, 'Permanent failure states') + tableNote(note)
}
