// Environment files: NAME=value, `export`, quotes over lines, comments. Values are kept as written, without their quotes.
//   CX3. Every name has the line that it is set on; the last one counts.

import type { Located } from '../repository/configuration.ts'

const VALUES_MAX = 5_000

export function readDotenv(file: string, text: string): ReadonlyMap<string, Located<string>> {
  const found = new Map<string, Located<string>>()
  const lines = text.split(/\r?\n/)
  for (let index = 0; index < lines.length && found.size < VALUES_MAX; index += 1) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$/.exec(lines[index] ?? '')
    if (match === null) continue
    const start = index
    let value = match[2] ?? ''
    const quote = value[0]
    if (quote === '"' || quote === "'") {
      while (value.indexOf(quote, 1) === -1 && index < lines.length - 1 && index - start < 200) {
        index += 1
        value += `\n${lines[index]}`
      }
      const end = value.indexOf(quote, 1)
      value = end === -1 ? value.slice(1) : value.slice(1, end)
    } else value = value.replace(/\s+#.*$/, '').trim()
    found.set(match[1] ?? '', { value, loc: { file, line: start + 1, endLine: index + 1 } })
  }
  return found
}
