// Readiness by start order, the architecture review's checklist, the plan, and what was read.

import { CHECKS } from './checklist.ts'
import { NOT_MEASURABLE, showPlace } from './figure.ts'
import { few, figureText, linkTo, section, table, tableNote } from './html-parts.ts'
import { escapeHtml } from './html-text.ts'
import { PROPOSALS } from './proposals.ts'
import type { Report } from './report.ts'

const COMPONENTS_MAX = 60
const LINKS_MAX = 20
const UNREAD_MAX = 60

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
      : `<h3>${title} (config)</h3><ul>${names
          .slice(0, LINKS_MAX)
          .map((name) => `<li>${escapeHtml(name)}</li>`)
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
  const parts = phases.map(({ priority, title, after, fingerprints, effort, tasks }) => {
    const rows = tasks.map((task) => ({
      cells: [
        `${escapeHtml(task.text)}${task.guarantee === undefined ? '' : `<br><small class="dim">drop-in</small> <code>${escapeHtml(task.guarantee)}</code>`}`,
        `${linkTo(task.fingerprints[0] ?? '', task.rule)}<br><small class="dim">${task.fingerprints.length} ${task.fingerprints.length === 1 ? 'finding' : 'findings'} (static)</small>`,
        few(task.components, 4, 'static') || '<span class="dim">no component</span>',
        figureText(task.effort),
        task.owners.length === 0 ? '<span class="dim">unassigned</span>' : few(task.owners, 3, 'config'),
        task.after.length === 0 ? '<span class="dim">nothing</span>' : task.after.map(escapeHtml).join(', '),
      ],
    }))
    const waits = after.length === 0 ? 'starts at once' : `after ${after.join(', ')}`
    return `<details class="phase" open><summary><b>${priority}</b> ${escapeHtml(title)} <span class="dim">${fingerprints.length} findings (static) · ${figureText(effort)} · ${waits}</span></summary>${table(['what', 'for', 'where', 'effort', 'owner', 'waits for'], rows, `Phase ${priority}`)}</details>`
  })
  return (
    parts.join('') +
    tableNote(
      `Effort rests on ${escapeHtml(first.effort.source)}. Findings for review are decided before anything is planned for them.`,
    )
  )
}

export function coverage({
  coverage: { languages, configuration, leftOut, unread, brokenRules, suppressionProblems },
}: Report): string {
  const read = [
    ...languages.map(({ language, files, lines }) => `${language}: ${figureText(files)}, ${figureText(lines)}`),
    ...configuration.map(({ kind, files }) => `${escapeHtml(kind)}: ${figureText(files)}`),
  ]
  const items = [
    ...brokenRules.map(({ rule, message }) => `<b>rule ${escapeHtml(rule)} broke: ${escapeHtml(message)}</b>`),
    ...suppressionProblems.map(
      ({ file, line, problem }) =>
        `suppression at <code>${escapeHtml(`${file}:${line}`)}</code>: ${escapeHtml(problem)}`,
    ),
    ...unread
      .slice(0, UNREAD_MAX)
      .map(
        ({ path, why, detail }) =>
          `<code>${escapeHtml(path)}</code>: ${why}${detail === undefined ? '' : ` (${escapeHtml(detail)})`}`,
      ),
    ...(unread.length > UNREAD_MAX ? [`and ${unread.length - UNREAD_MAX} more (static)`] : []),
  ]
  const left = leftOut.map(({ role, files }) => `${escapeHtml(role)} code ${figureText(files)}`)
  return section(
    'coverage',
    'What was read, and what was not',
    '',
    `<p>${read.length === 0 ? 'Nothing was read.' : `${read.join('; ')}.`}</p>`,
    left.length === 0 ? '' : `<p>Left out on purpose: ${left.join('; ')}.</p>`,
    unread.length === 0
      ? '<p>Everything that could matter was read.</p>'
      : `<p>Not read: ${unread.length} (static).</p>`,
    items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${item}</li>`).join('')}</ul>`,
  )
}
