// What a rule is about, for a terminal.

import { CATEGORIES, type Rule } from '../rules/rule.ts'

export function explainRule({ meta }: Rule): string {
  const { id, title, category, severity, why, remedies, sources } = meta
  return `${[
    `${id} · ${category} · ${severity}`,
    title,
    '',
    why,
    '',
    ...remedies.map(({ priority, effort, text, guarantee }) => {
      return `${priority} (${effort}): ${text}${guarantee === undefined ? '' : `\n    drop-in: ${guarantee}`}`
    }),
    ...(sources.length === 0 ? [] : ['', ...sources.map((source) => `source: ${source}`)]),
  ].join('\n')}\n`
}

export function listRules(rules: readonly Rule[]): string {
  return rules.map(({ meta }) => `${meta.id.padEnd(36)} ${meta.severity.padEnd(9)} ${meta.title}\n`).join('')
}

/** All rules as a page, by category: what docs/audit-rules.md is. */
export function documentRules(rules: readonly Rule[]): string {
  const sections = CATEGORIES.flatMap((category) => {
    const own = rules.filter(({ meta }) => meta.category === category)
    if (own.length === 0) return []
    const rows = own.map(({ meta: { id, severity, title, remedies } }) => {
      const guarantee = remedies.find((remedy) => remedy.guarantee !== undefined)?.guarantee ?? ''
      return `| \`${id}\` | ${severity} | ${title} | ${cell(guarantee)} |`
    })
    return [`## ${category}`, '', '| rule | severity | what it says | drop-in |', '|---|---|---|---|', ...rows, '']
  })
  return [
    '# Rules of the auditor',
    '',
    `${rules.length} rules, made from the code by \`node scripts/accept-docs.mjs\`. \`ripstop audit explain RULE\` says why each exists, what mends it and on what it rests.`,
    '',
    ...sections,
  ]
    .join('\n')
    .replace(/\n+$/, '\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
