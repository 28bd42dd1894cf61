// Text in Markdown.
//   RE7. Names, paths and texts of the audited repository are text: no markup of theirs has an effect.

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

/** A few names, and how many more there are. */
export function few(names: readonly string[], max: number, provenance: string): string {
  const shown = names.slice(0, max).map(plain).join(', ')
  return names.length > max ? `${shown} and ${names.length - max} more (${provenance})` : shown
}
