// What bounds a call from around it: `Promise.race`, `asyncio.wait_for`, `async with timeout(5)`, a wrapper with such a name, or what is chained to it.
//   OU3. A call is bounded where it, its promise, or the function that makes it is handed to something that gives up after a time.

import type { Call, Value } from '../facts/facts.ts'
import type { IndexedFile } from '../program/index.ts'

const BOUNDING = /^(?:race|wait_for|fail_after|move_on_after|fail_at|move_on_at|any)$|timeout|deadline/i
/** Named alike, and no bound of what they are given. */
const NOT_BOUNDING =
  /^(?:setTimeout|clearTimeout|sleep|settimeout|gettimeout|setdefaulttimeout|on_?timeout|Timeout|ClientTimeout|isTimeout\w*|is_timeout\w*|\w*TimeoutError|\w*TimeoutException|\w*DeadlineExceeded\w*|waitForTimeout|setRequestTimeout|resetTimeout\w*)$/
const HOLDING = /(?:^|\.)(?:timeout|timeout_at|fail_after|move_on_after|fail_at|move_on_at|async_timeout|Timeout)$/

interface Bounds {
  readonly calls: ReadonlySet<number>
  readonly blocks: ReadonlySet<number>
  /** Calls on the result of a call. */
  readonly chained: ReadonlyMap<number, readonly number[]>
  readonly indexes: ReadonlyMap<Call, number>
}

const KEPT = new WeakMap<IndexedFile, Bounds>()

function boundsOf(file: IndexedFile): Bounds {
  const kept = KEPT.get(file) ?? findBounds(file)
  KEPT.set(file, kept)
  return kept
}

function lastOf(text: string): string {
  return text.slice(text.lastIndexOf('.') + 1)
}

function findBounds(file: IndexedFile): Bounds {
  const { calls: all } = file.facts
  const calls = new Set<number>()
  const blocks = new Set<number>()
  const chained = new Map<number, number[]>()
  const names = new Map<string, number[]>()
  for (const [index, call] of all.entries()) {
    if (call.on !== -1) chained.set(call.on, [...(chained.get(call.on) ?? []), index])
    if (call.target !== undefined) {
      const key = `${file.functionOf(call.block)} ${call.target.text}`
      names.set(key, [...(names.get(key) ?? []), index])
    }
  }
  const mark = (value: Value, block: number, depth: number): void => {
    if (depth > 6) return
    switch (value.kind) {
      case 'call': {
        for (let at = value.call; at !== -1 && !calls.has(at); at = all[at]?.on ?? -1) {
          calls.add(at)
          for (const arg of all[at]?.args ?? []) mark(arg, block, depth + 1)
        }
        return
      }
      case 'function':
        blocks.add(value.block)
        return
      case 'await':
        return mark(value.value, block, depth + 1)
      case 'list':
        for (const item of value.items) mark(item, block, depth + 1)
        return
      case 'path':
        for (const index of names.get(`${file.functionOf(block)} ${value.path.text}`) ?? []) calls.add(index)
        return
      default:
    }
  }
  for (const { callee, args, named, block } of all) {
    const last = lastOf(callee.text)
    if (!BOUNDING.test(last) || NOT_BOUNDING.test(last)) continue
    if (last === 'any' && callee.text !== 'Promise.any') continue
    for (const arg of args) mark(arg, block, 0)
    for (const [, value] of named) mark(value, block, 0)
  }
  return { calls, blocks, chained, indexes: new Map(all.map((call, index) => [call, index])) }
}

/** OU3. `chained`: names of what bounds a call when it is called on its result, or on what it is kept in. */
export function isBounded(file: IndexedFile, call: Call, chained: readonly string[] = []): boolean {
  const bounds = boundsOf(file)
  const index = bounds.indexes.get(call) ?? -1
  if (bounds.calls.has(index)) return true
  const { blocks } = file.facts
  for (let at = call.block; at > 0; at = blocks[at]?.parent ?? -1) {
    if (bounds.blocks.has(at)) return true
    const block = blocks[at]
    const held = block?.kind === 'with' && block.test?.kind === 'call' ? file.facts.calls[block.test.call] : undefined
    if (held !== undefined && HOLDING.test(held.callee.text)) return true
  }
  return isChained(file, bounds, index, chained, 0) || isSetLater(file, call, chained)
}

function isChained(file: IndexedFile, bounds: Bounds, index: number, names: readonly string[], depth: number): boolean {
  if (names.length === 0 || depth > 12) return false
  return (bounds.chained.get(index) ?? []).some((at) => {
    const call = file.facts.calls[at]
    if (call === undefined) return false
    if (names.includes(lastOf(call.callee.text))) return true
    // `.pipe(timeout(5000))` of RxJS.
    const isPiped = call.args.some(
      (arg) => arg.kind === 'call' && names.includes(lastOf(file.facts.calls[arg.call]?.callee.text ?? '')),
    )
    return isPiped || isChained(file, bounds, at, names, depth + 1)
  })
}

function isSetLater(file: IndexedFile, { target, block }: Call, names: readonly string[]): boolean {
  if (target === undefined || names.length === 0) return false
  const fn = file.functionOf(block)
  return file.facts.calls.some(
    ({ callee, block: where }) =>
      callee.isOwn === target.isOwn &&
      callee.text.startsWith(`${target.text}.`) &&
      names.includes(lastOf(callee.text)) &&
      file.functionOf(where) === fn,
  )
}
