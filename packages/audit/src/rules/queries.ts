// What every rule asks of facts: where a block is, what a call was given, what a name stands for. Pure and small; joins over files are the program's.

import type { Block, BlockKind, Call, FileFacts, Path, Place, Value } from '../facts/facts.ts'
import type { Evidence } from '../model/evidence.ts'
import type { CallNames, FoundCall, Program } from '../program/index.ts'

/** Names of the classes and functions around a block, itself included: `Store.get`; '' for the module's own code. */
export function symbolOf({ blocks }: FileFacts, block: number): string {
  const names: string[] = []
  for (let at = block; at !== -1; at = blocks[at]?.parent ?? -1) {
    const { kind, name } = blocks[at] as Block
    if ((kind === 'function' || kind === 'class') && name !== '') names.unshift(name)
  }
  return names.join('.')
}

export function isInside(blocks: readonly Block[], inner: number, outer: number): boolean {
  for (let at = inner; at !== -1; at = blocks[at]?.parent ?? -1) if (at === outer) return true
  return false
}

/** The nearest block of these kinds, this one included, within the same function; -1: none. */
export function enclosing({ blocks }: FileFacts, block: number, kinds: readonly BlockKind[]): number {
  for (let at = block; at !== -1; at = blocks[at]?.parent ?? -1) {
    const kind = blocks[at]?.kind as BlockKind
    if (kinds.includes(kind)) return at
    if (kind === 'function' || kind === 'class') return -1
  }
  return -1
}

/** `get` of `this.client.get`. */
export function lastName({ text }: Path): string {
  return text.slice(text.lastIndexOf('.') + 1)
}

/** A keyword argument, or an entry of an object that is given; undefined: not there (which is no answer where `mayHide`). */
export function optionOf({ args, named }: Call, name: string): Value | undefined {
  const given = named.find(([key]) => key === name)
  if (given !== undefined) return given[1]
  for (const arg of args) {
    const entry = arg.kind === 'object' ? arg.entries.find(([key]) => key === name) : undefined
    if (entry !== undefined) return entry[1]
  }
  return undefined
}

/** Options that are not seen may be among them: a spread, `**kwargs`, an object from elsewhere. */
export function mayHide({ args, hasSpread }: Call): boolean {
  return hasSpread || args.some((arg) => arg.kind === 'object' && arg.hasSpread)
}

const HOPS_MAX = 4

/** What a name was declared as, once and for all, in its own file; the value itself where it is none. */
export function constantOf(program: Program, file: string, value: Value, hops = 0): Value {
  if (value.kind === 'await') return constantOf(program, file, value.value, hops)
  if (value.kind !== 'path' || hops > HOPS_MAX) return value
  const { path } = value
  const own = program.file(file)
  if (own === undefined || path.isOwn || path.text.includes('.') || path.root.startsWith('import:')) return value
  const writes = own.facts.assignments.filter(({ target }) => target.text === path.text && !target.isOwn)
  const [only] = writes
  return writes.length === 1 && only?.isDeclaration === true ? constantOf(program, file, only.value, hops + 1) : value
}

/** Evidence of a place in source. */
export function seenAt(file: string, { line, endLine }: Pick<Place, 'line' | 'endLine'>, what: string): Evidence {
  return { provenance: 'static', loc: { file, line, endLine }, what }
}

/** Calls by what is called last: the quick way to those that a rule is about. `names` should be a constant. */
export function callsOf(program: Program, names: CallNames): readonly FoundCall[] {
  return program.calls(names)
}
