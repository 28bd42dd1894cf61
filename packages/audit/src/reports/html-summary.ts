// What an executive needs: the grade with its counts, the first risks, the top ten, service levels, and how each category came out.

import { SEVERITIES } from '../model/finding.ts'
import { type Figure, NOT_MEASURABLE } from './figure.ts'
import { figureText, linkTo, section, severityTag, table, tableNote, whereOf } from './html-parts.ts'
import { escapeHtml } from './html-text.ts'
import { effectOf } from './matrix.ts'
import { effortOf, priorityOf } from './plan.ts'
import type { Report, ReportedFinding } from './report.ts'

const RISKS = 3

export function head(report: Report): string {
  const { name, grade, gradeBecause, figures, generatedAt, tool } = report
  const badge =
    grade === null
      ? `<div class="grade none">${NOT_MEASURABLE}</div>`
      : `<div class="grade g${grade}" role="img" aria-label="Grade ${grade}">${grade}</div>`
  const day = escapeHtml(generatedAt.slice(0, 16).replace('T', ' '))
  return [
    `<div id="summary"><header class="head">${badge}<div class="title"><h1>${escapeHtml(name)}</h1><p>${escapeHtml(gradeBecause)}</p>`,
    `<small>Audit by ${escapeHtml(tool.name)} ${escapeHtml(tool.version)} · ${day} UTC · ${figureText(figures.rules)} applied</small></div></header>`,
    '<div class="tiles">',
    ...SEVERITIES.map((severity) => tile(figures[severity], `${severity}, strong`, severity)),
    tile(figures.review, 'for review'),
    tile(figures.suppressed, 'suppressed'),
    '</div>',
    section('risks', 'Top risks', '', risks(topOf(report), report)),
    '</div>',
  ].join('')
}

function tile({ value, provenance }: Figure, name: string, kind = ''): string {
  return `<div class="tile${value === 0 ? ' zero' : ''}"><b${kind === '' ? '' : ` class="${kind}"`}>${value.toLocaleString('en')}</b>${escapeHtml(name)} <span>(${provenance})</span></div>`
}

function topOf({ findings, topTen: prints }: Report): readonly ReportedFinding[] {
  const byPrint = new Map(findings.map((finding) => [finding.fingerprint, finding]))
  return prints.flatMap((print) => byPrint.get(print) ?? [])
}

export function summary(report: Report): string {
  const top = topOf(report)
  return [
    section(
      'top',
      'Top ten',
      'Strong before review, severe before slight, each rule once before one comes twice, then what takes most down.',
      topTen(top),
    ),
    section(
      'levels',
      'Service levels',
      'Target against actual. An audit that only reads measures nothing: what would have to be measured is named.',
      levels(report),
    ),
    section(
      'categories',
      'Where it tears',
      'A category without a rule, or with nothing to look at, is not counted as good.',
      categories(report),
    ),
  ].join('\n')
}

function risks(top: readonly ReportedFinding[], { blastRadii }: Report): string {
  const shown = top.filter(({ tier }) => tier !== 'review').slice(0, RISKS)
  if (shown.length === 0) return '<p>Nothing strong was found.</p>'
  const items = shown.map((finding) => {
    const radius = blastRadii.find(({ component }) => component === finding.component)
    const down = radius?.takesDown ?? []
    const reach =
      down.length === 0 || effectOf(finding) !== 'stops'
        ? ''
        : ` <span class="reach">With ${escapeHtml(radius?.component ?? '')} goes down: ${down.slice(0, 6).map(escapeHtml).join(', ')}${down.length > 6 ? ' …' : ''} (${radius?.isAssumed === true ? 'assumed' : 'config'})</span>`
    return `<li class="risk ${finding.severity}">${severityTag(finding.severity)} <b>${linkTo(finding.fingerprint, finding.title)}</b>${escapeHtml(finding.symptom)} ${whereOf(finding)}${reach}</li>`
  })
  return `<ol class="risks">${items.join('')}</ol>`
}

function topTen(top: readonly ReportedFinding[]): string {
  if (top.length === 0) return '<p>Nothing was found.</p>'
  const rows = top.map((finding, index) => ({
    cells: [
      String(index + 1),
      severityTag(finding.severity),
      `${linkTo(finding.fingerprint, finding.title)}<br>${whereOf(finding)}`,
      escapeHtml(finding.component ?? ''),
      escapeHtml(finding.tier),
      priorityOf(finding),
      `${effortOf(finding)} <small>(assumed)</small>`,
      escapeHtml(finding.owner ?? 'unassigned'),
    ],
  }))
  return table(
    [{ name: '', isNumber: true }, 'severity', 'finding', 'component', 'tier', 'priority', 'effort', 'owner'],
    rows,
    'Top ten findings',
  )
}

function levels({ serviceLevels }: Report): string {
  const rows = serviceLevels.map(({ name, target, actual, needs }) => ({
    cells: [
      escapeHtml(name),
      target === null ? '<span class="dim">none is stated</span>' : figureText(target),
      actual === null ? `<b class="dim">${NOT_MEASURABLE}</b>` : figureText(actual),
      escapeHtml(needs),
    ],
  }))
  return table(['level', 'target', 'actual', 'what would have to be measured'], rows, 'Service levels')
}

const MARKS = { torn: '✗', 'to review': '?', 'nothing found': '✓', [NOT_MEASURABLE]: '·' } as const

function categories({ categories: states, findings }: Report): string {
  const open = findings.filter(({ suppressed }) => suppressed === undefined)
  const rows = states.map(({ category, state, because, rules, lookedAt, review }) => {
    const own = open.filter((finding) => finding.category === category && finding.tier !== 'review')
    const cells = SEVERITIES.map((severity) => {
      const count = own.filter((finding) => finding.severity === severity).length
      return count > 0 ? `<b class="${severity}">${count}</b>` : '<span class="dim">·</span>'
    })
    const kind = state.replaceAll(' ', '-')
    return {
      cells: [
        escapeHtml(category),
        `<span class="state ${kind}" title="${escapeHtml(because)}"><i aria-hidden="true">${MARKS[state]}</i>${state}</span>`,
        ...cells,
        review.value > 0 ? String(review.value) : '<span class="dim">·</span>',
        String(rules.value),
        `${lookedAt.value.toLocaleString('en')} <small class="dim">${escapeHtml(lookedAt.unit)}</small>`,
      ],
    }
  })
  const numbers = [...SEVERITIES, 'for review', 'rules'].map((name) => ({ name, isNumber: true }))
  return table(['category', 'state', ...numbers, 'looked at'], rows, 'Categories') + tableNote('Counts: static.')
}
