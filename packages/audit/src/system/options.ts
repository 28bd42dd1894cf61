// Options of a call: where one of some names stands, through constants, nested objects, what is set on them later, and one level of wrapper functions.
//   QK3. Of a module of Nest what its factory returns are its options; a class that gives them hides them.
//   OU2. What could be there and is not seen (a spread, an object from elsewhere) is never taken for absent.

import type { Call, Path, Value } from '../facts/facts.ts'
import type { CallSite, Program } from '../program/index.ts'

/** hidden: it may be there. Undefined: it is not. */
export type Option = { readonly value: Value; readonly site: CallSite } | 'hidden' | undefined

const DEPTH_MAX = 4
const CALLERS_MAX = 50

export interface Asked {
  readonly program: Program
  readonly site: CallSite
  readonly names: readonly string[]
}

/** Of named arguments, and of positional ones from `from` on. */
export function findOption(asked: Asked, from: number): Option {
  const { args, named, hasSpread } = asked.site.call
  let isHidden = hasSpread
  for (const [name, value] of named) {
    if (asked.names.includes(name)) return { value, site: asked.site }
    if (value.kind !== 'object' && !HOLDERS.test(name)) continue
    const inner = inValue(asked, value, 1)
    if (inner === 'hidden') isHidden = true
    else if (inner !== undefined) return inner
  }
  for (const [index, value] of args.entries()) {
    // What stands before options is a body where options come third, and may be options where it is an object.
    if (index < from && (value.kind !== 'object' || from === 2)) continue
    const inner = inValue(asked, value, 0)
    if (inner === 'hidden') isHidden = true
    else if (inner !== undefined) return inner
  }
  return isHidden ? 'hidden' : undefined
}

/** Named arguments of Python that hold options of their own. */
const HOLDERS = /^(?:connect_args|config|options|http_client|pool|connection_pool|connection_kwargs|parameters)$/

export function inValue(asked: Asked, value: Value, depth: number): Option {
  if (depth > DEPTH_MAX) return undefined
  switch (value.kind) {
    case 'object':
      return inObject(asked, value, depth)
    case 'path':
      return inPath(asked, value.path, depth)
    case 'operation':
      return inEither(asked, [value.left, value.right], depth)
    case 'await':
      return inValue(asked, value.value, depth)
    case 'call':
      return inCall(asked, value.call, depth)
    case 'other':
      return value.text.startsWith('(') || value.text.includes('=>') ? undefined : 'hidden'
    default:
      return undefined
  }
}

function inObject(asked: Asked, value: Extract<Value, { kind: 'object' }>, depth: number): Option {
  let isHidden = false
  for (const [name, inner] of value.entries) {
    if (asked.names.includes(name)) return { value: inner, site: asked.site }
    if (inner.kind !== 'object' && !(inner.kind === 'function' && name === 'useFactory')) {
      if (/^use(?:Class|Existing|Factory)$/.test(name)) isHidden = true
      continue
    }
    const found = inner.kind === 'object' ? inValue(asked, inner, depth + 1) : inFactory(asked, inner.block, depth + 1)
    if (found === 'hidden') isHidden = true
    else if (found !== undefined) return found
  }
  if (!value.hasSpread) return isHidden ? 'hidden' : undefined
  const spread = value.spreads === undefined ? 'hidden' : inEither(asked, value.spreads, depth + 1)
  return spread ?? (isHidden ? 'hidden' : undefined)
}

/** QK3. `useFactory: () => ({ … })`: what it returns, where that is written out. */
function inFactory(asked: Asked, block: number, depth: number): Option {
  const own = asked.program.file(asked.site.file)
  let isHidden = true
  for (const exit of own?.facts.exits ?? []) {
    if (exit.kind !== 'return' || own?.functionOf(exit.block) !== block) continue
    const found = exit.value?.kind === 'object' ? inObject(asked, exit.value, depth) : 'hidden'
    if (found !== undefined) return found
    isHidden = false
  }
  return isHidden ? 'hidden' : undefined
}

function inEither(asked: Asked, values: readonly Value[], depth: number): Option {
  let isHidden = false
  for (const value of values) {
    const found = inValue(asked, value, depth)
    if (found === 'hidden') isHidden = true
    else if (found !== undefined) return found
  }
  return isHidden ? 'hidden' : undefined
}

/** `dict(timeout=5)`, `Object.assign({}, …)`, `Timeout(5)`: what is given there; of what else calls answer nothing is known. */
function inCall(asked: Asked, index: number, depth: number): Option {
  const call = asked.program.file(asked.site.file)?.facts.calls[index]
  if (call === undefined) return 'hidden'
  const inner = findOption({ ...asked, site: { ...asked.site, call } }, 0)
  if (inner !== undefined) return inner
  if (/(?:^|\.)(?:dict|assign|freeze|URL|String|parse\w*|format|f|getenv|get|bind)$/.test(call.callee.text))
    return call.args.some(({ kind }) => kind === 'path') && /assign$/.test(call.callee.text) ? 'hidden' : undefined
  return depth > 0 && call.isNew ? undefined : 'hidden'
}

/** Names of what is a text, never options. */
const ADDRESS =
  /(?:^process\.env\.|(?:^|[._])(?:\w*(?:url|uri|dsn|host|addr|port|href|endpoint|password|address|path|token|key|string|metadata|headers|callback|cb|done)|undefined)$)/i

function inPath(asked: Asked, path: Path, depth: number): Option {
  const own = asked.program.file(asked.site.file)
  if (own === undefined) return 'hidden'
  const { text, root, isOwn } = path
  if (ADDRESS.test(text)) return undefined
  if (root === 'param') return text.includes('.') ? 'hidden' : ofCallers(asked, text, depth)
  if (root === 'global') return 'hidden'
  const set = own.facts.assignments.find(
    ({ target }) =>
      target.isOwn === isOwn &&
      target.text.startsWith(`${text}.`) &&
      asked.names.includes(target.text.slice(target.text.lastIndexOf('.') + 1)),
  )
  if (set !== undefined) return { value: set.value, site: asked.site }
  const found = declared(asked, path)
  return found === undefined ? 'hidden' : inValue({ ...asked, site: found.site }, found.value, depth + 1)
}

/** What a name was declared as, once: in this file, or in the one that it is imported from. */
function declared(asked: Asked, path: Path): { readonly value: Value; readonly site: CallSite } | undefined {
  const { program, site } = asked
  if (path.text.includes('.')) return undefined
  const at = path.root.startsWith('import:')
    ? program.definition(site.file, path)
    : { file: site.file, name: path.text }
  const own = at === undefined ? undefined : program.file(at.file)
  if (own === undefined || at === undefined) return undefined
  const isLocal = path.root === 'local'
  const fn = own.functionOf(site.call.block)
  const writes = path.isOwn
    ? own.writes(own.classOf(site.call.block), at.name)
    : isLocal
      ? own.facts.assignments.filter(
          ({ target, block }) => target.text === at.name && !target.isOwn && own.functionOf(block) === fn,
        )
      : own.writes(-1, at.name)
  const [only] = writes
  if (writes.length !== 1 || only === undefined) return undefined
  return { value: only.value, site: { file: at.file, call: { ...site.call, block: only.block } } }
}

/** What is given for a parameter wherever its function is called. */
function ofCallers(asked: Asked, name: string, depth: number): Option {
  const { program, site } = asked
  const own = program.file(site.file)
  if (own === undefined || depth >= DEPTH_MAX - 1) return 'hidden'
  const block = own.functionOf(site.call.block)
  const fn = own.facts.blocks[block]?.fn
  const index = fn?.params.indexOf(name) ?? -1
  if (index === -1 || fn === undefined) return 'hidden'
  const callers = program.callers({ file: site.file, block })
  if (callers.length === 0 || callers.length > CALLERS_MAX) return 'hidden'
  let found: Option
  let lacking = 0
  for (const caller of callers) {
    const given = argumentOf(caller.call, index, name)
    const option =
      given === 'hidden'
        ? 'hidden'
        : given === undefined
          ? undefined
          : inValue({ ...asked, site: caller }, given, depth + 2)
    if (option === undefined) lacking++
    else if (option === 'hidden') return 'hidden'
    else found = option
  }
  // Some give it and some don't: which ones matter is not told here.
  return found !== undefined && lacking > 0 ? 'hidden' : found
}

function argumentOf({ args, named, hasSpread }: Call, index: number, name: string): Value | 'hidden' | undefined {
  const given = named.find(([key]) => key === name)?.[1] ?? args[index]
  return given ?? (hasSpread ? 'hidden' : undefined)
}
