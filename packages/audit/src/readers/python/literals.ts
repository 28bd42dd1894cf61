// Strings and numbers as they are written in Python: prefixes, escapes, f-strings, and strings that stand beside each other.

import { STRING_MAX } from '../../facts/draft.ts'
import type { Value } from '../../facts/facts.ts'
import { DEPTH_MAX, type Reader } from './reader.ts'
import { STRING, Tokens } from './tokens.ts'
import { readTest } from './values.ts'

/** Longer ones are cut: they are data. */
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '0': '\0',
  '\n': '',
  a: '',
  b: '\b',
  f: '\f',
  v: '\v',
}

export function readNumber(text: string): Value {
  const plain = text.replaceAll('_', '').replace(/[lL]$/, '')
  const value = Number(/^0\d+$/.test(plain) ? Number.parseInt(plain, 8) : plain)
  return Number.isFinite(value) ? { kind: 'number', value } : { kind: 'other', text }
}

/** One or more strings beside each other, which are one. */
export function readStrings(reader: Reader): Value {
  const { tokens } = reader
  const parts: string[] = ['']
  const values: Value[] = []
  for (; tokens.kinds[tokens.at] === STRING; tokens.at++) {
    const written = tokens.source.slice(tokens.starts[tokens.at], tokens.ends[tokens.at])
    const prefix = /^[a-zA-Z]*/.exec(written)?.[0].toLowerCase() ?? ''
    const quotes = /^(?:"""|'''|["'])/.exec(written.slice(prefix.length))?.[0] ?? '"'
    const from = prefix.length + quotes.length
    const inner = written.slice(
      from,
      written.endsWith(quotes) ? Math.max(from, written.length - quotes.length) : written.length,
    )
    const isRaw = prefix.includes('r')
    if (prefix.includes('f') || prefix.includes('t')) readFormatted(reader, inner, isRaw, parts, values)
    else parts[parts.length - 1] += unescaped(inner, isRaw)
  }
  const cut = parts.map((part) => part.slice(0, STRING_MAX))
  return values.length === 0 ? { kind: 'string', value: cut.join('') } : { kind: 'template', parts: cut, values }
}

function unescaped(inner: string, isRaw: boolean): string {
  if (isRaw || !inner.includes('\\')) return inner
  return inner.replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|([\s\S]))/g, (_, hex, unicode, one: string) => {
    const code: string | undefined = hex ?? unicode
    return code !== undefined ? String.fromCharCode(Number.parseInt(code, 16)) : (ESCAPES[one] ?? one)
  })
}

function readFormatted(reader: Reader, inner: string, isRaw: boolean, parts: string[], values: Value[]): void {
  let fixed = ''
  for (let at = 0; at < inner.length; at++) {
    const char = inner[at]
    if ((char === '{' || char === '}') && inner[at + 1] === char) {
      fixed += char
      at++
    } else if (char === '{') {
      const end = endOfField(inner, at + 1)
      parts[parts.length - 1] += unescaped(fixed, isRaw)
      fixed = ''
      values.push(readField(reader, inner.slice(at + 1, end)))
      parts.push('')
      at = end
    } else fixed += char
  }
  parts[parts.length - 1] += unescaped(fixed, isRaw)
}

function endOfField(inner: string, from: number): number {
  let depth = 1
  for (let at = from; at < inner.length; at++) {
    if (inner[at] === '{') depth++
    else if (inner[at] === '}' && --depth === 0) return at
  }
  return inner.length
}

/** What stands between the braces; its format is of no interest. */
function readField(reader: Reader, field: string): Value {
  const outer = reader.tokens
  if (reader.depth >= DEPTH_MAX) return { kind: 'other', text: field.slice(0, 200) }
  reader.depth++
  reader.tokens = new Tokens(field, outer.lines[outer.at] ?? 1, true)
  const value = readTest(reader)
  reader.tokens = outer
  reader.depth--
  return value
}
