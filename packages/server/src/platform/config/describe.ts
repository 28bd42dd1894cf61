// Description. Every effective setting and where it came from, for `ripstop config check`. Secrets are left out.

import type { Config } from './config.ts'
import { isMapping } from './schema-reading.ts'

/** Lines of `path  value  (source)`: a default, a place in the file, or a variable's name. */
export function describeConfig(config: Config): string {
  const { sources, warnings: _warnings, file: _file, upstreams, routes, ...sections } = config
  const rows: (readonly [path: string, value: string, source: string])[] = []
  const visit = (value: unknown, path: string): void => {
    const shown = shownValue(value)
    if (shown !== undefined) rows.push([path, shown, sources[path] ?? 'default'])
    else
      for (const [key, entry] of Object.entries(value as object))
        visit(entry, path === '' ? toSnake(key) : `${path}.${toSnake(key)}`)
  }
  visit(sections, '')
  for (const { name, ...upstream } of upstreams) visit(upstream, `upstreams.${name}`)
  for (const [index, route] of routes.entries()) visit(route, `routes[${index}]`)
  const widths = [0, 1].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map(([path, value, source]) => `${path.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  (${source})`)
    .join('\n')
}

/** What is printed for a leaf; undefined for a section. */
function shownValue(value: unknown): string | undefined {
  if (value === undefined) return '-'
  if (Array.isArray(value)) return value.length === 0 ? '[]' : value.join(', ')
  if (!isMapping(value)) return String(value)
  return typeof value.redacted === 'string' ? value.redacted : undefined
}

function toSnake(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
