// What a rule is about, for a terminal.

import type { Rule } from '../rules/rule.ts'

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
