// Reads of the environment: what a path or a call must look like to be one.

import type { Call, Path, Value } from '../../facts/facts.ts'
import type { Reader } from './reader.ts'

const NAME = /^[A-Za-z_]\w*$/
const UPPER = /^[A-Z][A-Z0-9_]{2,}$/

function rootOf(reader: Reader, text: string): string {
  const dot = text.indexOf('.')
  return reader.scopes.rootOf(dot === -1 ? text : text.slice(0, dot))
}

/** X of `os.environ['X']`. */
export function environmentOfPath(reader: Reader, { text, isOwn }: Path): string | undefined {
  const at = text.lastIndexOf('environ.')
  if (at === -1 || isOwn) return undefined
  const name = text.slice(at + 'environ.'.length)
  if (!NAME.test(name) || !UPPER.test(name.toUpperCase())) return undefined
  return isEnvironment(reader, text.slice(0, at + 'environ'.length)) && !METHODS.has(name) ? name : undefined
}

const METHODS = new Set(['get', 'items', 'keys', 'values', 'pop', 'copy', 'update', 'setdefault'])

function isEnvironment(reader: Reader, text: string): boolean {
  const root = rootOf(reader, text)
  return (root === 'import:os' && text.endsWith('.environ')) || root === 'import:os#environ'
}

/** `os.getenv('X', y)`, `os.environ.get('X', y)`, `config('X', default=y)`, `env.str('X')`, `env.get('X')`. */
export function environmentOfCall(
  reader: Reader,
  call: Call,
): { readonly name: string; readonly fallback: Value | undefined } | undefined {
  const [first, second] = call.args
  if (first?.kind !== 'string' || !NAME.test(first.value)) return undefined
  const { text, isOwn } = call.callee
  if (!isReader(reader, text, isOwn, first.value)) return undefined
  const named = call.named.find(([name]) => name === 'default')?.[1]
  return { name: first.value, fallback: named ?? second }
}

function isReader(reader: Reader, text: string, isOwn: boolean, name: string): boolean {
  const dot = text.lastIndexOf('.')
  const object = dot === -1 ? text : text.slice(0, dot)
  const method = dot === -1 ? '' : text.slice(dot + 1)
  if (reader.environments.has(object)) return true
  const root = isOwn ? '' : rootOf(reader, text)
  if (root === 'import:decouple#config' && method === '') return true
  if (root === 'import:os#getenv') return method === ''
  if (root === 'import:os' && method === 'getenv') return true
  if (method !== 'get' && method !== 'pop' && method !== 'setdefault') return false
  if (isEnvironment(reader, object)) return true
  // An object that hands the environment on is called so, and asked for names that are written so.
  return method === 'get' && UPPER.test(name) && /(?:^|\.|_)(?:env|environ|environment)$/.test(object)
}
