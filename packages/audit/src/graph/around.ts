// What stands around a call: wrappers, decorators and held objects that retry, break, bound or limit, by what they are called.

import type { Call, FileFacts } from '../facts/facts.ts'
import type { GuaranteeKind } from '../model/graph.ts'
import type { CallSite, Program } from '../program/index.ts'

const NAMES: readonly (readonly [name: RegExp, kind: GuaranteeKind])[] = [
  [/circuit|breaker|opossum/i, 'breaker'],
  [/retry|retries|retrying|backoff|on_exception|tenacity/i, 'retry'],
  [/semaphore|bulkhead|p-?limit\b|bottleneck|withConcurrency/i, 'bulkhead'],
  [/rate_?limit|limiter|throttle/i, 'rate'],
]

export interface Guard {
  readonly kind: GuaranteeKind
  readonly name: string
  readonly file: string
  readonly line: number
}

/** Each kind once, the innermost first. */
export function guardsAround(program: Program, { file, call }: CallSite): readonly Guard[] {
  const own = program.file(file)
  if (own === undefined) return []
  const { facts } = own
  const found: Guard[] = []
  const add = (name: string, line: number): void => {
    const kind = NAMES.find(([pattern]) => pattern.test(name))?.[1]
    if (kind !== undefined && !found.some((one) => one.kind === kind)) found.push({ kind, name, file, line })
  }
  const takers = takersOf(facts)
  add(call.callee.text, call.line)
  for (let at = call.block; at >= 0; at = facts.blocks[at]?.parent ?? -1) {
    const block = facts.blocks[at]
    if (block?.kind === 'with' && block.test !== undefined) add(textOf(block.test, facts), block.line)
    if (block?.kind !== 'function') continue
    for (const decorator of block.fn?.decorators ?? []) add(decorator.callee.text, decorator.line)
    for (const taker of takers.get(at) ?? []) add(taker.callee.text, taker.line)
    for (const taker of takers.get(block.name) ?? []) add(taker.callee.text, taker.line)
  }
  return found
}

function textOf(value: NonNullable<FileFacts['blocks'][number]['test']>, { calls }: FileFacts): string {
  if (value.kind === 'path') return value.path.text
  if (value.kind === 'await') return textOf(value.value, { calls } as FileFacts)
  return value.kind === 'call' ? (calls[value.call]?.callee.text ?? '') : ''
}

const TAKERS = new WeakMap<FileFacts, ReadonlyMap<number | string, readonly Call[]>>()

/** Calls that are given a function, by its block; and, where they are given one by name and their own name is that of a guard, by that name. */
function takersOf(facts: FileFacts): ReadonlyMap<number | string, readonly Call[]> {
  const kept = TAKERS.get(facts)
  if (kept !== undefined) return kept
  const all = new Map<number | string, Call[]>()
  const put = (key: number | string, call: Call): void => {
    const known = all.get(key)
    if (known === undefined) all.set(key, [call])
    else known.push(call)
  }
  for (const call of facts.calls) {
    const isGuard = NAMES.some(([pattern]) => pattern.test(call.callee.text))
    for (const arg of call.args) {
      if (arg.kind === 'function') put(arg.block, call)
      else if (isGuard && arg.kind === 'path') put(arg.path.text.slice(arg.path.text.lastIndexOf('.') + 1), call)
    }
  }
  TAKERS.set(facts, all)
  return all
}
