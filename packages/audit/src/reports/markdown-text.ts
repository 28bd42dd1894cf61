// Text in Markdown.
//   RE7. Names, paths and texts of the audited repository are text: no markup of theirs has an effect.

import type { Evidence } from '../model/evidence.ts'
import { showPlace } from './figure.ts'

/** RE7. */
export function plain(text: string): string {
  return text
    .replace(/[\r\n\t]+/g, ' ')
    .replace(/[\\`*{}[\]<>|~#!$@]|(?<!\w)_|_(?!\w)/g, (char) => `&#${char.codePointAt(0)};`)
    .replace(/(https?|ftp):\/\//gi, '$1&#58;//')
}

/** RE7: as code, whatever it holds. */
export function code(text: string): string {
  return `<code>${plain(text)}</code>`
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** From the report to the audited folder: '' beside it, or `../..`. */
export type Links = string

/** A place as code; with `links` it leads to its lines, as code hosts number them. */
export function placeOf(seen: Evidence | undefined, links: Links | undefined): string {
  const text = seen === undefined ? '' : showPlace(seen)
  if (seen?.loc === undefined || links === undefined) return text === '' ? '' : code(text)
  const { file, line, endLine } = seen.loc
  const path = [...links.split('/'), ...file.split('/')]
    .filter((part) => part !== '')
    .map(inAddress)
    .join('/')
  return `[${code(text)}](${path}#L${line}${endLine > line ? `-L${endLine}` : ''})`
}

/** RE7: in the address of a link, where brackets would end it. */
function inAddress(part: string): string {
  return encodeURIComponent(part.toWellFormed()).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
}

/** Behind a line that says what it is. Blank lines around: inside is Markdown again. */
export function folded(summary: string, inner: string): string {
  return `<details><summary>${summary}</summary>\n\n${inner}\n\n</details>`
}

/** A few names, and how many more there are. */
export function few(names: readonly string[], max: number, provenance: string): string {
  const shown = names.slice(0, max).map(plain).join(', ')
  return names.length > max ? `${shown} and ${names.length - max} more (${provenance})` : shown
}
