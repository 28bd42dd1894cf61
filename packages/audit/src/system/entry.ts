// What an entry is, and what its finders share: where a value leads, and what a place without a call of its own stands for.
//   QJ18. A handler that a function of the repository makes is what it returns.

import type { Block, Call, Path, Value } from '../facts/facts.ts'
import { UNWRITTEN } from '../facts/values.ts'
import type { BlockRef, CallSite, IndexedFile, Program } from '../program/index.ts'

export interface Entry {
  readonly kind:
    | 'route'
    | 'middleware'
    | 'consumer'
    | 'interval'
    | 'schedule'
    | 'signal'
    | 'startup'
    | 'shutdown'
    | 'listener'
  /** Routes: `GET /orders/:id`; signals: `SIGTERM`; consumers: their queue or topic; listeners: the event. '' where it is not known. */
  readonly name: string
  /** Of the library or framework: 'express', 'fastapi', 'node' … */
  readonly framework: string
  /** What says so. Where a framework goes by names of files or methods there is no call: an unnamed one at the function's own place. */
  readonly site: CallSite
  /** Undefined: it is not a function of the repository. */
  readonly handler: BlockRef | undefined
  /** Routes: what stands before the handler, and what its router or application uses. Of other files only names, since indices of calls and blocks are a file's own. */
  readonly before: readonly Value[]
}

/** A file while its entries are looked for. */
export interface Surroundings {
  readonly program: Program
  readonly path: string
  readonly file: IndexedFile
}

const HOPS_MAX = 5
const NO_PATH: Path = { text: '', isOwn: false, root: '' }

export function textOf(value: Value | undefined): string | undefined {
  if (value?.kind === 'string') return value.value
  if (value?.kind !== 'template') return undefined
  return value.parts.join('*')
}

/** The same of a constant in a table of them, here or imported: `EVENTS.JOINED`. */
export function namedTextOf({ program, path }: Surroundings, value: Value | undefined): string | undefined {
  if (value?.kind !== 'path' || value.path.isOwn) return textOf(value)
  const [table = '', member, ...more] = value.path.text.split('.')
  if (member === undefined || more.length > 0) return undefined
  const at = program.definition(path, { ...value.path, text: table })
  const own = at === undefined ? undefined : program.file(at.file)
  const [only, ...others] = at === undefined ? [] : (own?.writes(-1, at.name) ?? [])
  if (only === undefined || others.length > 0) return undefined
  const frozen = only.value.kind === 'call' ? own?.facts.calls[only.value.call] : undefined
  return textOf(entryOf(frozen?.callee.text === 'Object.freeze' ? frozen.args[0] : only.value, member))
}

export function namedOf({ named }: Call, ...names: readonly string[]): Value | undefined {
  return named.find(([name]) => names.includes(name))?.[1]
}

export function entryOf(value: Value | undefined, ...names: readonly string[]): Value | undefined {
  return value?.kind === 'object' ? value.entries.find(([name]) => names.includes(name))?.[1] : undefined
}

/** The module that a path's first name was imported from; undefined: it was not. */
export function moduleOf({ root }: Path): string | undefined {
  return root.startsWith('import:') ? root.slice('import:'.length).split('#', 1)[0] : undefined
}

export function isOfModule(path: Path, modules: RegExp): boolean {
  const module = moduleOf(path)
  return module !== undefined && modules.test(module)
}

/** For entries that no call declares. */
export function siteOf(path: string, { line, endLine }: Block, block: number): CallSite {
  return { file: path, call: { ...UNWRITTEN, line, endLine, block, callee: NO_PATH } }
}

const NESTED = new WeakMap<IndexedFile, ReadonlyMap<string, readonly number[]>>()

/** Functions that lie in others, by name. */
function nestedOf(file: IndexedFile): ReadonlyMap<string, readonly number[]> {
  const kept = NESTED.get(file)
  if (kept !== undefined) return kept
  const found = new Map<string, number[]>()
  for (const [index, { kind, name, parent }] of file.facts.blocks.entries())
    if (kind === 'function' && name !== '' && file.functionOf(parent) !== -1)
      found.set(name, [...(found.get(name) ?? []), index])
  NESTED.set(file, found)
  return found
}

/** The function that a value is, names, or wraps: `asyncHandler(list)`, `this.list.bind(this)`, `View.as_view()`. */
export function functionOf(
  around: Surroundings,
  value: Value | undefined,
  block: number,
  hops = 0,
): BlockRef | undefined {
  const { program, path, file } = around
  if (value === undefined || hops > HOPS_MAX) return undefined
  if (value.kind === 'function') return { file: path, block: value.block }
  if (value.kind === 'await' || value.kind === 'not') return functionOf(around, value.value, block, hops + 1)
  if (value.kind === 'list') return functionOf(around, value.items.at(-1), block, hops + 1)
  if (value.kind === 'call') {
    const call = file.facts.calls[value.call]
    return call === undefined ? undefined : functionOfCall(around, call, hops)
  }
  if (value.kind !== 'path') return undefined
  const call: Call = { ...siteOf(path, file.facts.blocks[0] as Block, block).call, callee: value.path }
  const found = program.target({ file: path, call }) ?? nestedFunction(around, value.path, block)
  if (found !== undefined) return found
  const made = creationOf(around, value.path, block)
  const of = made === undefined ? undefined : program.file(made.file)
  return made === undefined || of === undefined
    ? undefined
    : functionOfCall({ program, path: made.file, file: of }, made.call, hops + 1)
}

function functionOfCall(around: Surroundings, call: Call, hops: number): BlockRef | undefined {
  const { callee } = call
  const bound = /\.(?:bind|as_view)$/.exec(callee.text)
  if (bound !== null) {
    const path: Path = { ...callee, text: callee.text.slice(0, bound.index) }
    return functionOf(around, { kind: 'path', path }, call.block, hops + 1)
  }
  const returned = returnedBy(around, call)
  if (returned !== undefined) return returned
  for (const arg of call.args.toReversed()) {
    const found = arg.kind === 'object' ? undefined : functionOf(around, arg, call.block, hops + 1)
    if (found !== undefined) return found
  }
  return undefined
}

/** QJ18. What a function of the repository makes and returns, where it is given nothing that could handle anything: `check(() => router)`. */
function returnedBy({ program, path, file }: Surroundings, call: Call): BlockRef | undefined {
  const mayHandle = call.args.some(
    (arg) => arg.kind !== 'function' || file.facts.blocks[arg.block]?.fn?.params.length !== 0,
  )
  if (mayHandle || call.args.length === 0) return undefined
  const fn = program.target({ file: path, call })
  const own = fn === undefined ? undefined : program.file(fn.file)
  if (fn === undefined || own === undefined) return undefined
  for (const { kind, value, block } of own.facts.exits)
    if (kind === 'return' && value?.kind === 'function' && own.functionOf(block) === fn.block)
      return { file: fn.file, block: value.block }
  return undefined
}

function nestedFunction({ path, file }: Surroundings, { text, isOwn }: Path, block: number): BlockRef | undefined {
  if (isOwn || text.includes('.')) return undefined
  const found = nestedOf(file)
    .get(text)
    ?.find((index) => file.within(block, file.facts.blocks[index]?.parent ?? -1))
  return found === undefined ? undefined : { file: path, block: found }
}

/** What created the object that a path means: in this function, in those around it, in the class, in the module, or where it is imported from. */
export function creationOf({ program, path, file }: Surroundings, name: Path, block: number): CallSite | undefined {
  for (let at = block; ; ) {
    const made = program.created(path, name, at)
    if (made !== undefined) return made
    const fn = file.functionOf(at)
    if (fn === -1 || name.root !== 'local') return undefined
    at = file.facts.blocks[fn]?.parent ?? 0
  }
}

/** What a constant of the same file holds; the value itself where it is none. */
export function constantValue({ file }: Surroundings, value: Value): Value {
  if (value.kind !== 'path' || value.path.isOwn || value.path.text.includes('.')) return value
  const writes = file.writes(-1, value.path.text)
  const [only] = writes
  return value.path.root === 'module' && writes.length === 1 && only?.isDeclaration === true ? only.value : value
}
