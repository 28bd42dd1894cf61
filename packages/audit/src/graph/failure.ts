// Where the failure of a call goes: through to whoever asked, or no further than a handler, which may return something instead. Followed up to the callers of
// the function that it is in.
//   GR5. A call is caught only where every way up from it ends in a handler that keeps it: one that throws again, answers with 5xx or ends the process lets it
//        through, and so does a way that was not seen. It is replaced only where every such handler returns something.

import type { Call, FileFacts } from '../facts/facts.ts'
import type { CallSite, Program } from '../program/index.ts'

const DEPTH_MAX = 3
const CALLERS_MAX = 12
const ENDS = /(^|\.)(exit|_exit|abort|reject|next|fail|destroy|captureAndThrow)$/
const STATUS =
  /(^|\.)(status|sendStatus|code|writeHead|send_error|JSONResponse|Response|abort|HTTPException|make_response)$/

export type Reach = 'through' | 'caught' | 'replaced'

export function reachOf(program: Program, { file, call }: CallSite, depth = 0): Reach {
  const own = program.file(file)
  if (own === undefined || depth > DEPTH_MAX) return 'through'
  const { facts } = own
  const handlers = handlersOf(facts)
  const fn = own.functionOf(call.block)
  for (let at = call.block; at !== fn && at >= 0; at = facts.blocks[at]?.parent ?? -1) {
    const found = facts.blocks[at]?.kind === 'try' ? (handlers.get(at) ?? []) : []
    if (found.length > 0) return worst(found.map((handler) => reachOfHandler(facts, handler)))
  }
  const chained = catchOf(facts, call)
  if (chained !== undefined) return reachOfHandler(facts, chained)
  const callers = fn < 0 ? [] : program.callers({ file, block: fn })
  if (callers.length === 0 || callers.length > CALLERS_MAX) return 'through'
  return worst(callers.map((site) => reachOf(program, site, depth + 1)))
}

export function worst(reaches: readonly Reach[]): Reach {
  return reaches.includes('through') ? 'through' : reaches.includes('caught') ? 'caught' : 'replaced'
}

const HANDLERS = new WeakMap<FileFacts, ReadonlyMap<number, readonly number[]>>()

/** By the `try` that they belong to. */
function handlersOf(facts: FileFacts): ReadonlyMap<number, readonly number[]> {
  const kept = HANDLERS.get(facts)
  if (kept !== undefined) return kept
  const all = new Map<number, number[]>()
  for (const [index, { kind, of }] of facts.blocks.entries()) {
    if (kind !== 'handler' || of === undefined) continue
    all.set(of, [...(all.get(of) ?? []), index])
  }
  HANDLERS.set(facts, all)
  return all
}

const CHAINS = new WeakMap<FileFacts, ReadonlyMap<number, number>>()
const INDEXES = new WeakMap<FileFacts, ReadonlyMap<Call, number>>()

/** The function that is given to `.catch(…)` of a call. */
function catchOf(facts: FileFacts, call: Call): number | undefined {
  const indexes = INDEXES.get(facts) ?? new Map(facts.calls.map((one, index) => [one, index]))
  INDEXES.set(facts, indexes)
  const chains = CHAINS.get(facts) ?? new Map(facts.calls.map(({ on }, index) => [on, index]))
  CHAINS.set(facts, chains)
  let index = indexes.get(call) ?? -1
  for (let hops = 0; hops < 6 && index >= 0; hops++) {
    index = chains.get(index) ?? -1
    const next = facts.calls[index]
    const [first] = next?.args ?? []
    if (next?.callee.text.endsWith('catch') === true && first?.kind === 'function') return first.block
  }
  return undefined
}

function reachOfHandler(facts: FileFacts, handler: number): Reach {
  const isIn = (block: number): boolean => {
    for (let at = block; at >= 0; at = facts.blocks[at]?.parent ?? -1) if (at === handler) return true
    return false
  }
  const exits = facts.exits.filter(({ block }) => isIn(block))
  if (exits.some(({ kind }) => kind === 'throw')) return 'through'
  if (facts.calls.some((call) => isFailing(call) && isIn(call.block))) return 'through'
  return exits.some(({ kind, value }) => kind === 'return' && value !== undefined) ? 'replaced' : 'caught'
}

function isFailing({ callee, args, named }: Call): boolean {
  if (ENDS.test(callee.text)) return true
  if (!STATUS.test(callee.text)) return false
  const given = [...args, ...named.map(([, value]) => value)]
  return given.some((value) => value.kind === 'number' && value.value >= 500 && value.value < 600)
}
