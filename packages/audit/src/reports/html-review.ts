// Readiness by start order, the architecture review's checklist, the plan, and what was read.

import { CHECKS } from './checklist.ts'
import { brokenIn, NOTHING_READ, unreadGroups } from './coverage.ts'
import { NOT_MEASURABLE, showPlace } from './figure.ts'
import { few, figureText, type Row, section, table, tableNote } from './html-parts.ts'
import { escapeHtml } from './html-text.ts'
import type { Task } from './plan.ts'
import { PROPOSALS } from './proposals.ts'
import type { Report } from './report.ts'

const COMPONENTS_MAX = 60
const LINKS_MAX = 20
const UNREAD_MAX = 40
const PATHS_MAX = 5

export function review(report: Report): string {
  return [
    section(
      'start',
      'Start order and readiness',
      'Who starts before whom, and what is only hoped for. A verdict by category needs the results of the system’s own tests: <code>ripstop-audit readiness RESULTS</code>.',
      startOrder(report),
    ),
    section(
      'checklist',
      'Architecture review',
      'Each component, each guarantee: yes, no, or not seen. Not seen is never yes.',
      checklist(report),
    ),
    section('plan', 'Plan', '', plan(report)),
  ].join('\n')
}

function startOrder({ startOrder: { waves, circle, weak, unordered } }: Report): string {
  if (waves.length + circle.length === 0) return `<p>No start order is declared: ${NOT_MEASURABLE}.</p>`
  const columns = waves.map(
    (names, index) =>
      `<li><small class="dim">${index === 0 ? 'first' : index === 1 ? 'then' : 'after that'}</small>${names.map((name) => `<span>${escapeHtml(name)}</span>`).join('')}</li>`,
  )
  const list = (title: string, names: readonly string[], good: string): string =>
    names.length === 0
      ? `<h3>${title} (config)</h3><p class="ok">✓ ${good}</p>`
      : `<h3>${title} (config)</h3><ul class="pairs">${names
          .slice(0, LINKS_MAX)
          .map((name) => `<li>${escapeHtml(name).replace(' -&#62; ', ' → ')}</li>`)
          .join(
            '',
          )}${names.length > LINKS_MAX ? `<li class="dim">and ${names.length - LINKS_MAX} more (config)</li>` : ''}</ul>`
  return [
    `<ol class="waves">${columns.join('')}</ol>`,
    circle.length === 0
      ? ''
      : `<p class="critical"><b>No order can start these, each waits for another of them:</b> ${circle.map(escapeHtml).join(', ')}</p>`,
    '<div class="halves"><div>',
    list('Waits, and not for health', weak, 'Every wait is for health.'),
    '</div><div>',
    list('Uses the other without waiting for it', unordered, 'Whatever is used is waited for.'),
    '</div></div>',
  ].join('')
}

function checklist({ checklist: rows, graph, findings }: Report): string {
  if (rows.length === 0) return `<p>No components were recognised: ${NOT_MEASURABLE}.</p>`
  const count = (name: string): number => findings.filter(({ component }) => component === name).length
  const links = (name: string): number => graph.links.filter(({ from, to }) => from === name || to === name).length
  const weight = new Map(rows.map(({ component }) => [component, count(component) + links(component)]))
  const ranked = rows.toSorted((a, b) => (weight.get(b.component) ?? 0) - (weight.get(a.component) ?? 0))
  const shown = ranked.slice(0, COMPONENTS_MAX).map(({ component, checks }) => ({
    attributes: `data-component="${escapeHtml(component)}"`,
    cells: [
      `<b>${escapeHtml(component)}</b>`,
      ...CHECKS.map((kind) => {
        const check = checks.find((one) => one.kind === kind)
        if (check === undefined) return ''
        const [mark, word] =
          check.state === 'yes' ? ['✓', 'yes'] : check.state === 'no' ? ['✗', check.word || 'no'] : ['·', 'not seen']
        const places = check.evidence.map((seen) => `${showPlace(seen)} ${seen.what} (${seen.provenance})`).join('\n')
        const title = escapeHtml(`${PROPOSALS[kind].label}: ${word}${places === '' ? '' : `\n${places}`}`)
        return `<span class="check ${check.state.replace(' ', '-')}" title="${title}"><i aria-hidden="true">${mark}</i><span class="${check.word === '' ? 'hidden' : 'word'}">${word}</span></span>`
      }),
    ],
  }))
  const heads = CHECKS.map((kind) => ({ name: `<span>${PROPOSALS[kind].label}</span>` }))
  const rest = rows.length - shown.length
  const note = `✓ yes, ✗ no, · not seen, empty: does not apply. Evidence on pointing, and in the JSON report: config and static.${rest > 0 ? ` <b>${rest} more components (config)</b> are there.` : ''}`
  return `<div class="checks">${table(['component', ...heads], shown, 'Checklist')}</div>${tableNote(note)}`
}

function plan({ plan: phases }: Report): string {
  const [first] = phases
  if (first === undefined) return '<p>Nothing strong was found: there is nothing to plan.</p>'
  const isOwned = phases.some(({ tasks }) => tasks.some(({ owners }) => owners.length > 0))
  const parts = phases.map(({ priority, title, after, fingerprints, effort, tasks }) => {
    const waits = after.length === 0 ? 'starts at once' : `after ${after.join(', ')}`
    const columns = ['what', 'for', 'where', 'at most (assumed)', ...(isOwned ? ['owner'] : [])]
    const found = fingerprints.length === 1 ? 'finding' : 'findings'
    return `<details class="phase" id="plan-${priority}" open><summary><b>${priority}</b> ${escapeHtml(title)} <span class="dim">${fingerprints.length} ${found} (static) · ${figureText(effort)} · ${waits}</span></summary>${table(
      columns,
      tasks.map((task) => taskRow(task, isOwned)),
      `Phase ${priority}`,
    )}</details>`
  })
  const owners = isOwned ? '' : ' Owners: unassigned, no line of CODEOWNERS names them.'
  return (
    parts.join('') +
    tableNote(
      `Effort rests on ${escapeHtml(first.effort.source)}.${owners} Findings for review are decided before anything is planned for them.`,
    )
  )
}

function taskRow(task: Task, isOwned: boolean): Row {
  const dropIn =
    task.guarantee === undefined
      ? ''
      : `<br><small class="dim">drop-in</small> <code>${escapeHtml(task.guarantee)}</code>`
  const waits =
    task.after.length === 0
      ? ''
      : `<br><small class="dim">waits for</small> <code>${task.after.map(escapeHtml).join(', ')}</code>`
  return {
    cells: [
      `${escapeHtml(task.text)}${dropIn}${waits}`,
      `<a href="#f-${escapeHtml(task.fingerprints[0] ?? '')}"><code class="rule">${escapeHtml(task.rule)}</code></a><br><small class="dim">${task.fingerprints.length} ${task.fingerprints.length === 1 ? 'finding' : 'findings'} (static)</small>`,
      few(task.components, 4, 'static') || '<span class="dim">no component</span>',
      `${task.effort.value} h`,
      ...(isOwned
        ? [task.owners.length === 0 ? '<span class="dim">unassigned</span>' : few(task.owners, 3, 'config')]
        : []),
    ],
  }
}

export function coverage({
  coverage: { languages, configuration, leftOut, unread, suppressionProblems, ...broken },
  grade,
}: Report): string {
  const read = [
    ...languages.map(({ language, files, lines }) => `${language}: ${figureText(files)}, ${figureText(lines)}`),
    ...configuration.map(({ kind, files }) => `${escapeHtml(kind)}: ${figureText(files)}`),
  ]
  const groups = unreadGroups(unread)
  const items = [
    ...brokenIn(broken).map((what) => `<b>${escapeHtml(what)}</b>`),
    ...suppressionProblems.map(
      ({ file, line, problem }) =>
        `suppression at <code>${escapeHtml(`${file}:${line}`)}</code>: ${escapeHtml(problem)}`,
    ),
    ...groups.slice(0, UNREAD_MAX).map(({ why, paths }) => {
      const names = paths
        .slice(0, PATHS_MAX)
        .map((path) => `<code>${escapeHtml(path)}</code>`)
        .join(', ')
      return `${escapeHtml(why)}: ${paths.length === 1 ? names : `${paths.length} (static): ${names}${paths.length > PATHS_MAX ? ' …' : ''}`}`
    }),
    ...(groups.length > UNREAD_MAX ? [`and ${groups.length - UNREAD_MAX} more reasons (static)`] : []),
  ]
  const left = leftOut.map(({ role, files }) => `${escapeHtml(role)} code ${figureText(files)}`)
  return section(
    'coverage',
    'What was read, and what was not',
    '',
    `<p>${read.length === 0 ? NOTHING_READ[grade === null ? 'nothing known' : 'a mesh'] : `${read.join('; ')}.`}</p>`,
    left.length === 0 ? '' : `<p>Left out on purpose: ${left.join('; ')}.</p>`,
    unread.length > 0
      ? `<p>Not read: ${unread.length} (static).</p>`
      : read.length > 0
        ? '<p>Everything that could matter was read.</p>'
        : '',
    items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${item}</li>`).join('')}</ul>`,
  )
}
