// What a rule is about, for a terminal.

import { SEVERITIES } from '../model/finding.ts'
import { DEMONSTRATIONS, demonstrationOf, shownBy } from '../rules/demonstrations/index.ts'
import { CATEGORIES, type Rule } from '../rules/rule.ts'
import { wrap } from './words.ts'

export function explainRule({ meta }: Rule, columns?: number): string {
  const { id, title, category, severity, why, remedies, sources } = meta
  const lines = [
    `${id} · ${category} · ${severity}`,
    title,
    '',
    why,
    '',
    ...remedies.flatMap(({ priority, effort, text, guarantee }) => [
      `${priority} (${effort}): ${text}`,
      ...(guarantee === undefined ? [] : [`    drop-in: ${guarantee}`]),
    ]),
    ...seeing(id),
    ...(sources.length === 0 ? [] : ['', ...sources.map((source) => `source: ${source}`)]),
    '',
    `to live with one: // ripstop-ignore ${id} until=YYYY-MM-DD: the reason`,
  ]
  return `${lines.map((line) => broken(line, columns)).join('\n')}\n`
}

function seeing(id: string): readonly string[] {
  const shown = demonstrationOf(id)
  if (shown === undefined)
    return shownBy(id) === 'reading' ? ['', 'to see it: read the place, nothing has to be run'] : []
  const { title, steps, expected, mended } = shown
  return [
    '',
    `to see it: ${title}`,
    ...steps.map((step) => `    ${step}`),
    `    expected: ${expected}`,
    `    mended: ${mended}`,
  ]
}

/** A command is left whole: it is copied. */
function broken(line: string, columns: number | undefined): string {
  return line.startsWith('$ ') ? line : wrap(line, columns, /^(P\d|\w+: )/.test(line) ? '    ' : '')
}

/** By category, the severe first. */
export function listRules(rules: readonly Rule[], columns?: number): string {
  const width = Math.max(...rules.map(({ meta }) => meta.id.length)) + 1
  const lines = CATEGORIES.flatMap((category) => {
    const own = rules.filter(({ meta }) => meta.category === category)
    const ranked = own.toSorted((a, b) => SEVERITIES.indexOf(a.meta.severity) - SEVERITIES.indexOf(b.meta.severity))
    const rows = ranked.map(({ meta }) => `  ${meta.id.padEnd(width)} ${meta.severity.padEnd(8)} ${meta.title}`)
    return rows.length === 0 ? [] : [category, ...rows, '']
  })
  return `${lines.map((line) => (columns === undefined ? line : line.slice(0, columns - 1))).join('\n')}\n`
}

/** All rules as a page, by category: what docs/audit-rules.md is. */
export function documentRules(rules: readonly Rule[]): string {
  const sections = CATEGORIES.flatMap((category) => {
    const own = rules.filter(({ meta }) => meta.category === category)
    if (own.length === 0) return []
    const rows = own.map(({ meta: { id, severity, title, remedies } }) => {
      const guarantee = remedies.find((remedy) => remedy.guarantee !== undefined)?.guarantee ?? ''
      return `| \`${id}\` | ${severity} | ${title} | ${shownBy(id)} | ${cell(guarantee)} |`
    })
    return [
      `## ${category}`,
      '',
      '| rule | severity | what it says | seen by | drop-in |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ]
  })
  return [
    '# Rules of the auditor',
    '',
    `${rules.length} rules, made from the code by \`node scripts/accept-docs.mjs\`. \`ripstop audit explain RULE\` says why each exists, what mends it and on what it rests.`,
    '',
    ...sections,
    '## How to see it happen',
    '',
    'Recipes. SERVICE, DEPENDENCY and REQUEST stand for what a finding knows of its place.',
    '',
    '| recipe | what is done | seen where the fault is there | seen once it is mended |',
    '|---|---|---|---|',
    ...Object.entries(DEMONSTRATIONS).map(
      ([name, { title, expected, mended }]) => `| \`${name}\` | ${title} | ${expected} | ${mended} |`,
    ),
    '',
  ]
    .join('\n')
    .replace(/\n+$/, '\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
