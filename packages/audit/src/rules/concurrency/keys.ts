// What a value is, as text that can be compared: `session:${id}` is the same key in a read and in a write of one function, also through a name that is bound
// once, and through a parameter of an own function that was called with it.

import type { Assignment, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { bodyOf } from './flow.ts'

/** Names that stand for something else: parameters of a function for what it was called with. */
export type Names = ReadonlyMap<string, string>

const NONE: Names = new Map()
const DEPTH_MAX = 6
const TEXT_MAX = 300

export function keyOf(file: IndexedFile, fn: number, value: Value | undefined, names: Names = NONE): string {
  return value === undefined ? '' : textOf(file, fn, value, names, 0).slice(0, TEXT_MAX)
}

function textOf(file: IndexedFile, fn: number, value: Value, names: Names, depth: number): string {
  if (depth > DEPTH_MAX) return '…'
  const inner = (each: Value): string => textOf(file, fn, each, names, depth + 1)
  switch (value.kind) {
    case 'string':
    case 'number':
    case 'boolean':
      return String(value.value)
    case 'null':
      return 'null'
    case 'path': {
      const { text, isOwn } = value.path
      const given = isOwn ? undefined : names.get(text)
      if (given !== undefined) return given
      const only = isOwn || text.includes('.') ? undefined : boundOnce(file, fn, text)
      return only === undefined ? `${isOwn ? 'this.' : ''}${text}` : inner(only)
    }
    case 'template':
      return value.parts
        .map((part, index) => part + (value.values[index] ? `{${inner(value.values[index])}}` : ''))
        .join('')
    case 'await':
      return inner(value.value)
    case 'operation':
      return value.operator === '+'
        ? `${bare(inner(value.left), value.left)}${bare(inner(value.right), value.right)}`
        : `${inner(value.left)} ${value.operator} ${inner(value.right)}`
    case 'call': {
      const call = file.facts.calls[value.call]
      if (call === undefined) return '…'
      const base = call.on === -1 ? '' : inner({ kind: 'call', call: call.on })
      return `${base}${call.callee.isOwn ? 'this.' : ''}${call.callee.text}(${call.args.map(inner).join(',')})`
    }
    case 'list':
      return `[${value.items.map(inner).join(',')}]`
    case 'other':
      return value.text
    default:
      return `{${value.kind}}`
  }
}

/** `'session:' + id` reads as `session:${id}` does. */
function bare(text: string, value: Value): string {
  return value.kind === 'string' || value.kind === 'number' || value.kind === 'operation' ? text : `{${text}}`
}

/** What a local or a constant of the module is bound to, where that is said once. */
export function boundOnce(file: IndexedFile, fn: number, name: string): Value | undefined {
  const own = bodyOf(file, fn).assignments.filter(({ target }) => target.text === name && !target.isOwn)
  if (own.length === 1) return isPlain(own[0]) ? own[0]?.value : undefined
  if (own.length > 1) return undefined
  const [only, ...more] = file.writes(-1, name)
  return only !== undefined && more.length === 0 && isPlain(only) ? only.value : undefined
}

/** A parameter's default is none: the caller may say otherwise. */
function isPlain(write: Assignment | undefined): boolean {
  return write?.operator === '=' && write.target.root !== 'param' && write.value.kind !== 'null'
}

/** Does a value come from chance or the clock: nobody else has the same. */
export function isFresh(text: string): boolean {
  return /uuid|random|nanoid|ulid|cuid|ObjectId|snowflake|token_hex|token_urlsafe|Date\.now|time\.time|generate\w*Id|createId|newId/i.test(
    text,
  )
}
