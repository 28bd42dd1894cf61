// Which functions answer with a promise, and whether it can come to reject: what their handlers let through.
//   QJ1. Text from elsewhere that is parsed outside of a handler rejects the promise of an asynchronous function.

import type { Block, Call, FileFacts } from '../../facts/facts.ts'
import type { BlockRef, CallSite, Program } from '../../program/index.ts'
import { contentsOf } from '../contents.ts'
import { libraryPromise } from './library-promises.ts'

/** The function that a call means, also one that is defined in a function around it. */
export function calledFunction(program: Program, site: CallSite): BlockRef | undefined {
  return program.target(site) ?? localFunction(program, site)
}

function localFunction(program: Program, { file: path, call }: CallSite): BlockRef | undefined {
  const { callee } = call
  const facts = program.file(path)?.facts
  if (facts === undefined || callee.root !== 'local' || callee.isOwn || callee.text.includes('.')) return undefined
  const found = namedFunctions(facts).get(callee.text)
  // Two of one name: which of them is not told.
  return found?.length === 1 ? { file: path, block: found[0] as number } : undefined
}

const NAMED = new WeakMap<FileFacts, ReadonlyMap<string, readonly number[]>>()

function namedFunctions(facts: FileFacts): ReadonlyMap<string, readonly number[]> {
  const kept = NAMED.get(facts)
  if (kept !== undefined) return kept
  const names = new Map<string, number[]>()
  for (const [block, { kind, name }] of facts.blocks.entries()) {
    if (kind !== 'function' || name === '') continue
    const list = names.get(name)
    if (list === undefined) names.set(name, [block])
    else list.push(block)
  }
  NAMED.set(facts, names)
  return names
}

export function functionAt(program: Program, { file, block }: BlockRef): Block | undefined {
  return program.file(file)?.facts.blocks[block]
}

export function isAsync(program: Program, ref: BlockRef): boolean {
  const fn = functionAt(program, ref)?.fn
  return fn?.isAsync === true && !fn.isGenerator
}

export interface Rejection {
  readonly line: number
}

const KEPT = new WeakMap<Program, Map<string, Rejection | null>>()
const DEPTH_MAX = 4

/** The first thing in a function that waits or throws and that no handler on the way keeps from its caller; undefined: nothing does. */
export function rejectsAt(program: Program, ref: BlockRef, depth = 0): Rejection | undefined {
  const kept = KEPT.get(program) ?? new Map<string, Rejection | null>()
  KEPT.set(program, kept)
  const key = `${ref.file}\n${ref.block}`
  const known = kept.get(key)
  if (known !== undefined) return known ?? undefined
  // Whatever calls itself is judged by the rest of it.
  kept.set(key, null)
  const found = findRejection(program, ref, depth)
  if (depth === 0 || found === undefined) kept.set(key, found ?? null)
  else kept.delete(key)
  return found
}

function findRejection(program: Program, ref: BlockRef, depth: number): Rejection | undefined {
  const facts = program.file(ref.file)?.facts
  if (facts === undefined) return undefined
  const { calls, exits } = contentsOf(facts, ref.block)
  const thrown = exits.find(({ kind, block }) => kind === 'throw' && !isCaught(facts, block, ref.block))
  const call = calls.find(
    (each) =>
      (thrown === undefined || each.line < thrown.line) &&
      (mayReject(program, { file: ref.file, call: each }, depth) || throwsOnBadText(facts, each)) &&
      !isCaught(facts, each.block, ref.block),
  )
  return call ?? thrown
}

/** QJ1. `JSON.parse(message.content)`: what comes from elsewhere may be no JSON; a copy of what was just written always is. */
function throwsOnBadText(facts: FileFacts, { callee, args }: Call): boolean {
  const [text] = args
  const written = text?.kind === 'call' ? facts.calls[text.call]?.callee.text : undefined
  return callee.text === 'JSON.parse' && text !== undefined && text.kind !== 'string' && written !== 'JSON.stringify'
}

/** The asynchronous function that a function is, or whose promise it hands on: `() => save(order)`. */
export function promisedBy(program: Program, ref: BlockRef): BlockRef | undefined {
  if (isAsync(program, ref)) return ref
  const facts = program.file(ref.file)?.facts
  const fn = facts?.blocks[ref.block]?.fn
  if (facts === undefined || fn === undefined || fn.isGenerator) return undefined
  for (const { kind, value } of contentsOf(facts, ref.block).exits) {
    const call = kind === 'return' && value?.kind === 'call' ? facts.calls[value.call] : undefined
    const meant = call === undefined ? undefined : calledFunction(program, { file: ref.file, call })
    if (meant !== undefined && isAsync(program, meant)) return meant
  }
  return undefined
}

/** Waiting that only takes time, or that answers whatever happens. */
const HARMLESS = /(^|\.|_)(sleep|delay|wait|setTimeout|nextTick|allSettled|catch|hrtime|asyncio\.sleep)$/i

/** `new Promise((resolve) => setTimeout(resolve, 5))`: nothing in it can say no. */
function isOnlyResolved(program: Program, { file, call }: CallSite): boolean {
  const [executor] = call.args
  if (!call.isNew || call.callee.text !== 'Promise' || executor?.kind !== 'function') return false
  const facts = program.file(file)?.facts
  const fn = facts?.blocks[executor.block]?.fn
  if (facts === undefined || fn === undefined || fn.isAsync) return false
  const [, reject] = fn.params
  return reject === undefined || !isMentioned(facts, executor.block, reject)
}

/** Is a name called or handed on anywhere within a function? */
function isMentioned(facts: FileFacts, fn: number, name: string): boolean {
  return contentsOf(facts, fn).calls.some(
    ({ callee, args }) =>
      callee.text === name ||
      args.some(
        (arg) => (arg.kind === 'path' && arg.path.text === name) || arg.kind === 'object' || arg.kind === 'other',
      ),
  )
}

/** Of what is known of the repository only what lets something through; of anything else whatever is awaited. */
export function mayReject(program: Program, site: CallSite, depth = 0): boolean {
  const { callee, use } = site.call
  if ((use !== 'awaited' && use !== 'returned') || HARMLESS.test(callee.text)) return false
  if (isOnlyResolved(program, site)) return false
  const meant = depth < DEPTH_MAX ? calledFunction(program, site) : undefined
  const isKnown = meant !== undefined && isAsync(program, meant)
  if (!isKnown) return use === 'awaited' || (meant === undefined && handsOn(program, site))
  return rejectsAt(program, meant, depth + 1) !== undefined
}

const RUNS = /(?:^|\.)(?:exec|execute|save|query|run)$/

/** `return this.users.save(user)`: the promise of a library is handed on. */
function handsOn(program: Program, { file: path, call }: CallSite): boolean {
  const file = program.file(path)
  if (file === undefined || call.isNew) return false
  return RUNS.test(call.callee.text) || libraryPromise(program, file, call) !== undefined
}

/** Whether what is thrown in a block ends in a handler of the function that throws nothing itself. */
export function isCaught(facts: FileFacts, block: number, fn: number): boolean {
  const { blocks } = facts
  for (let at = block; at > 0 && at !== fn; at = blocks[at]?.parent ?? -1)
    if (blocks[at]?.kind === 'try' && swallows(facts, at)) return true
  return false
}

const ANY_ERROR = new Set(['', 'Exception', 'BaseException', 'Error'])
const HANDLERS = new WeakMap<FileFacts, ReadonlyMap<number, readonly number[]>>()

/** By the block of their `try`. */
export function handlersOf(facts: FileFacts, tried: number): readonly number[] {
  let kept = HANDLERS.get(facts)
  if (kept === undefined) {
    const found = new Map<number, number[]>()
    for (const [block, { kind, of = -1 }] of facts.blocks.entries()) {
      if (kind !== 'handler') continue
      const list = found.get(of)
      if (list === undefined) found.set(of, [block])
      else list.push(block)
    }
    kept = found
    HANDLERS.set(facts, kept)
  }
  return kept.get(tried) ?? []
}

export function catchesAny({ name }: Block): boolean {
  return ANY_ERROR.has(name)
}

function swallows(facts: FileFacts, tried: number): boolean {
  return handlersOf(facts, tried).some((handler) => {
    const block = facts.blocks[handler]
    return (
      block !== undefined && catchesAny(block) && !contentsOf(facts, handler).exits.some(({ kind }) => kind === 'throw')
    )
  })
}
