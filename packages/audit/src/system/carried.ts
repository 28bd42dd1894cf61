// What a function carries of its request: the names in it that hold something from outside, or something that was made up for this one request. A name is carried
// where it is a parameter that was given such a value, or was bound to an expression that has one in it.

import type { Call, Path, Value } from '../facts/facts.ts'
import { isOfPart } from '../facts/values.ts'
import type { IndexedFile } from '../program/index.ts'

/** Made anew each time: an id, a moment. */
const MADE_UP =
  /(?:^|[._])(?:uuid\d?|v[47]|randomUUID|nanoid|ulid|c?uid2?|createId|randomBytes|random|token_(?:hex|urlsafe|bytes)|ObjectId|perf_counter|monotonic|utcnow|hrtime)$|Date\.now$|^time\.time$|datetime\.now$/i
/** What adds its arguments to what it is called on. */
const ADDING = /\.(?:push|append|add|set|extend|update|unshift|insert|setdefault)$/
/** Parameters that are tools, not what is asked. */
export const TOOL =
  /^(?:res|resp|response|reply|next|db|session|settings|config|cfg|logger|log|background_?tasks|redis|cache|pool|client|conn|connection|repo|repository|service|self|cls|app|done|cb|callback|h)$/i

export type Names = ReadonlySet<string>

function firstOf({ text }: Path): string {
  const dot = text.indexOf('.')
  return dot === -1 ? text : text.slice(0, dot)
}

/** Whether anything in a value is carried. */
export function isCarried(file: IndexedFile, value: Value, names: Names, depth = 0): boolean {
  if (depth > 12) return false
  const inner = (each: Value): boolean => isCarried(file, each, names, depth + 1)
  switch (value.kind) {
    case 'path':
      return !value.path.isOwn && names.has(firstOf(value.path))
    case 'call': {
      const call = file.facts.calls[value.call]
      return call !== undefined && isCallCarried(file, call, names, depth)
    }
    case 'operation':
      // A comparison is one of two, whatever is compared.
      return !/^(?:[!=]==?|[<>]=?|is|is not|in|not in)$/.test(value.operator) && isOfPart(value, inner)
    case 'other':
      return isNamed(value.text, names)
    default:
      return isOfPart(value, inner)
  }
}

function isNamed(text: string, names: Names): boolean {
  for (const [word] of text.matchAll(/(?<![.\w"'])[A-Za-z_]\w*/g)) if (names.has(word)) return true
  return false
}

function isCallCarried(file: IndexedFile, call: Call, names: Names, depth: number): boolean {
  const { callee, args, named, on } = call
  if (MADE_UP.test(callee.text)) return true
  if (!callee.isOwn && callee.text.includes('.') && names.has(firstOf(callee))) return true
  const inner = (each: Value): boolean => each.kind !== 'function' && isCarried(file, each, names, depth + 1)
  if (args.some(inner) || named.some(([, each]) => inner(each))) return true
  const before = file.facts.calls[on]
  return before !== undefined && depth <= 12 && isCallCarried(file, before, names, depth + 1)
}

/** What happens directly in each function of a file, by its block; -1: the module. */
export interface Body {
  readonly calls: readonly Call[]
  /** Names bound to values, in their order. */
  readonly bound: readonly (readonly [names: readonly string[], Value])[]
  /** Functions that lie directly in it. */
  readonly nested: readonly number[]
}

const NOTHING: Body = { calls: [], bound: [], nested: [] }
const BODIES = new WeakMap<IndexedFile, ReadonlyMap<number, Body>>()

export function bodyOf(file: IndexedFile, fn: number): Body {
  const kept = BODIES.get(file) ?? readBodies(file)
  BODIES.set(file, kept)
  return kept.get(fn) ?? NOTHING
}

interface DraftBody {
  calls: Call[]
  bound: (readonly [readonly string[], Value])[]
  nested: number[]
}

function readBodies(file: IndexedFile): ReadonlyMap<number, Body> {
  const all = new Map<number, DraftBody>()
  const of = (block: number): DraftBody => {
    const fn = file.functionOf(block)
    const kept = all.get(fn) ?? { calls: [], bound: [], nested: [] }
    all.set(fn, kept)
    return kept
  }
  for (const call of file.facts.calls) of(call.block).calls.push(call)
  for (const { target, value, block } of file.facts.assignments)
    if (!target.isOwn && target.root !== 'module') of(block).bound.push([[firstOf(target)], value])
  for (const [index, { kind, parent, binds, test }] of file.facts.blocks.entries()) {
    if (kind === 'function' && parent >= 0) of(parent).nested.push(index)
    if (kind === 'loop' && binds !== undefined && test !== undefined) of(index).bound.push([binds.split(','), test])
  }
  return all
}

const PASSES = 3

/** Names of a function that are carried, given those that it began with. */
export function carriedIn(file: IndexedFile, fn: number, given: Names): Names {
  const names = new Set(given)
  const { bound, calls } = bodyOf(file, fn)
  for (let pass = 0; pass < PASSES; pass++) {
    const before = names.size
    for (const [targets, value] of bound)
      if (!targets.every((name) => names.has(name)) && isCarried(file, value, names))
        for (const name of targets) if (!TOOL.test(name)) names.add(name.trim())
    for (const { callee, args } of calls)
      if (ADDING.test(callee.text) && !callee.isOwn && callee.root === 'local' && !names.has(firstOf(callee)))
        if (args.some((arg) => isCarried(file, arg, names))) names.add(firstOf(callee))
    if (names.size === before) break
  }
  return names
}
