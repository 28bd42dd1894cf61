// What an executive needs: the grade with its counts, the first risks and what to do, the phases of the plan, service levels, the top ten; and how each category came out.

import { SEVERITIES } from '../model/finding.ts'
import { type Figure, NOT_MEASURABLE } from './figure.ts'
import { figureText, linkTo, section, severityTag, table, tableNote, whereOf } from './html-parts.ts'
import { escapeHtml } from './html-text.ts'
import { effectOf } from './matrix.ts'
import { briefly, effortOf, priorityOf } from './plan.ts'
import type { Report, ReportedFinding } from './report.ts'

const RISKS = 3

export function head(report: Report): string {
  const { name, grade, gradeBecause, figures, generatedAt, tool } = report
  const badge =
    grade === null
      ? `<div class="grade none">${NOT_MEASURABLE}</div>`
      : `<div class="grade g${grade}" role="img" aria-label="Grade ${grade}">${grade}</div>`
  const day = escapeHtml(generatedAt.slice(0, 16).replace('T', ' '))
  const counts =
    grade === null
      ? ''
      : `<div class="tiles" role="group" aria-label="Findings (static)">${SEVERITIES.map((severity) => tile(figures[severity], severity, severity)).join('')}${tile(figures.review, 'for review')}${tile(figures.suppressed, 'suppressed')}<div class="tile how">(${figures.strong.provenance})</div></div>`
  return [
    `<header class="head">${badge}<div class="title"><h1>${escapeHtml(name)}</h1><p>${escapeHtml(gradeBecause)}</p>`,
    `<small>Audit by ${escapeHtml(tool.name)} ${escapeHtml(tool.version)} · ${day} UTC · ${figureText(figures.rules)} applied</small></div></header>`,
    counts,
  ].join('')
}

function tile({ value, provenance }: Figure, name: string, kind = ''): string {
  const title = `${name}${kind === '' ? '' : ', strong'} (${provenance})`
  return `<div class="tile${value === 0 ? ' zero' : ''}" title="${title}"><b${kind === '' ? '' : ` class="${kind}"`}>${value.toLocaleString('en')}</b> ${name}</div>`
}

function topOf({ findings, topTen: prints }: Report): readonly ReportedFinding[] {
  const byPrint = new Map(findings.map((finding) => [finding.fingerprint, finding]))
  return prints.flatMap((print) => byPrint.get(print) ?? [])
}

/** What fits on the first screen. */
export function opening(report: Report): string {
  return [
    `<div id="summary">${head(report)}`,
    section('risks', 'Top risks', '', risks(topOf(report), report)),
    `<div class="halves">${section('phases', 'What to do, in order', '', phases(report))}${section('levels', 'Service levels', '', levels(report))}</div>`,
    '</div>',
    section(
      'top',
      'Top ten',
      'Strong before review, severe before slight, each rule once before one comes twice, then what takes most down.',
      topTen(topOf(report)),
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
        : `<span class="reach">With ${escapeHtml(radius?.component ?? '')} goes down: ${down.slice(0, 6).map(escapeHtml).join(', ')}${down.length > 6 ? ' …' : ''} (${radius?.isAssumed === true ? 'assumed' : 'config'})</span>`
    const [remedy] = finding.remedies
    const doing =
      remedy === undefined
        ? ''
        : `<p><b>${remedy.priority}</b> ${escapeHtml(briefly(remedy.text))} <small class="dim">effort ${remedy.effort} (assumed)</small></p>`
    return `<li class="risk ${finding.severity}"><div><h3>${severityTag(finding.severity)} ${linkTo(finding.fingerprint, finding.title)}</h3><p>${escapeHtml(finding.symptom)}</p><p>${whereOf(finding)} ${reach}</p></div>${doing}</li>`
  })
  return `<ol class="risks">${items.join('')}</ol>`
}

function phases({ plan }: Report): string {
  if (plan.length === 0) return '<p>Nothing strong was found: there is nothing to plan.</p>'
  const rows = plan.map(({ priority, title, after, fingerprints, effort }) => ({
    cells: [
      `<b>${priority}</b>`,
      `<a href="#plan-${priority}">${escapeHtml(title)}</a><br><small class="dim">${after.length === 0 ? 'starts at once' : `after ${after.join(', ')}`}</small>`,
      String(fingerprints.length),
      `${effort.value} h`,
    ],
  }))
  const numbers = ['findings<br>(static)', 'at most<br>(assumed)'].map((name) => ({ name, isNumber: true }))
  return table(['', 'phase', ...numbers], rows, 'Phases of the plan')
}

function topTen(top: readonly ReportedFinding[]): string {
  if (top.length === 0) return '<p>Nothing was found.</p>'
  const isOwned = top.some(({ owner }) => owner !== undefined)
  const rows = top.map((finding, index) => ({
    cells: [
      String(index + 1),
      `${severityTag(finding.severity)}${finding.tier === 'review' ? '<br><small class="dim">review</small>' : ''}`,
      `${linkTo(finding.fingerprint, finding.title)}<br>${whereOf(finding)}`,
      escapeHtml(finding.component ?? ''),
      escapeHtml(briefly(finding.remedies[0]?.text ?? '')),
      `${priorityOf(finding)} <small class="dim">${effortOf(finding)}</small>`,
      ...(isOwned ? [escapeHtml(finding.owner ?? 'unassigned')] : []),
    ],
  }))
  const columns = ['severity', 'finding', 'component', 'what to do', 'when', ...(isOwned ? ['owner'] : [])]
  const owners = isOwned ? '' : ' Owners: unassigned, no line of CODEOWNERS names them.'
  return (
    table([{ name: '', isNumber: true }, ...columns], rows, 'Top ten findings') +
    tableNote(`When: priority and effort, XS to XL (assumed).${owners}`)
  )
}

/** Target against actual: where nothing is stated and nothing measured, once for all. */
function levels({ serviceLevels }: Report): string {
  const isBlind = serviceLevels.every(({ target, actual }) => target === null && actual === null)
  const rows = serviceLevels.map(({ name, target, actual, needs }) => ({
    cells: [
      escapeHtml(name),
      ...(isBlind
        ? []
        : [
            target === null ? '<span class="dim">none is stated</span>' : figureText(target),
            actual === null ? `<b class="dim">${NOT_MEASURABLE}</b>` : figureText(actual),
          ]),
      `<small>${escapeHtml(needs)}</small>`,
    ],
  }))
  const columns = ['level', ...(isBlind ? [] : ['target', 'actual']), 'what would have to be measured']
  const lead = isBlind
    ? `<p class="lead">Target: none is stated. Actual: <b class="dim">${NOT_MEASURABLE}</b>, an audit that only reads measures nothing.</p>`
    : ''
  return `<div class="tight">${lead}${table(columns, rows, 'Service levels')}</div>`
}

const MARKS = { torn: '✗', 'to review': '?', 'nothing found': '✓', [NOT_MEASURABLE]: '·' } as const

export function categories({ categories: states, findings }: Report): string {
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
  return section(
    'categories',
    'Where it tears',
    'A category without a rule, or with nothing to look at, is not counted as good.',
    table(['category', 'state', ...numbers, 'looked at'], rows, 'Categories') + tableNote('Counts: static.'),
  )
}
