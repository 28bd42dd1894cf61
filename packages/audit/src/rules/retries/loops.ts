// Loops that try something again: the attempt stands in a `try`, success leaves the loop, and a failure goes round. A loop that goes on after success is a
// worker, and no retry.

import type { Call, Exit, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { contentsOf } from '../contents.ts'
import { catchesAny, handlersOf } from '../promises/rejections.ts'
import { isWait } from './delays.ts'

export interface RetryLoop {
  readonly loop: number
  readonly tried: number
  readonly handler: number
  /** What is tried. */
  readonly calls: readonly Call[]
  /** Waits of the whole loop. */
  readonly waits: readonly Call[]
  /** It has no end but success, or what its handler throws. */
  readonly isEndless: boolean
}

const COUNTED = /attempt|retr|tries|times|count|max|limit|deadline|until|elapsed|start|timeout|remaining|left|^i$|^n$/i

export function* retryLoops(file: IndexedFile): Iterable<RetryLoop> {
  const { facts } = file
  for (const [loop, block] of facts.blocks.entries()) {
    if (block.kind !== 'loop') continue
    const inside = contentsOf(facts, loop)
    for (const tried of inside.blocks) {
      if (facts.blocks[tried]?.kind !== 'try' || nearestLoop(file, tried) !== loop) continue
      const handler = handlersOf(facts, tried).find((each) => goesRound(file, each, loop))
      if (handler === undefined || !leavesOnSuccess(file, tried, loop)) continue
      const { calls } = contentsOf(facts, tried)
      if (calls.length === 0 || isOverItems(block.test, block.binds)) continue
      const waits = inside.calls.filter(isWait)
      yield { loop, tried, handler, calls, waits, isEndless: isEndless(file, loop) }
    }
  }
}

function nearestLoop({ facts: { blocks } }: IndexedFile, block: number): number {
  for (let at = blocks[block]?.parent ?? -1; at > 0; at = blocks[at]?.parent ?? -1) {
    const kind = blocks[at]?.kind
    if (kind === 'loop') return at
    // A try in a handler or in another try is a part of something larger.
    if (kind === 'function' || kind === 'handler' || kind === 'try') return -1
  }
  return -1
}

/** A handler that does not always leave: something in it, or after it, starts the next attempt. */
function goesRound({ facts }: IndexedFile, handler: number, loop: number): boolean {
  const block = facts.blocks[handler]
  if (block === undefined || !(catchesAny(block) || /error|timeout|exception/i.test(block.name))) return false
  const { exits } = contentsOf(facts, handler)
  const always = exits.some(({ kind, block: at }) => at === handler && kind !== 'continue' && kind !== 'yield')
  return !always && loop !== handler
}

/** `return` or `break` in the attempt itself, or right after it in the loop. */
function leavesOnSuccess(file: IndexedFile, tried: number, loop: number): boolean {
  const { facts } = file
  const leaves = ({ kind, block }: Exit): boolean =>
    (kind === 'return' || kind === 'break') && (block === tried || block === loop || isElse(file, block, tried))
  return contentsOf(facts, loop).exits.some(
    (exit) => leaves(exit) && (exit.block !== loop || exit.line > (facts.blocks[tried]?.endLine ?? 0)),
  )
}

/** A branch of the attempt: `if (ok) return answer`. */
function isElse({ facts: { blocks } }: IndexedFile, block: number, tried: number): boolean {
  for (let at = block; at > 0; at = blocks[at]?.parent ?? -1) {
    if (at === tried) return true
    const kind = blocks[at]?.kind
    if (kind !== 'branch' && kind !== 'otherwise' && kind !== 'with') return false
  }
  return false
}

/** `for url in urls`: another attempt is another thing. */
function isOverItems(test: Value | undefined, binds: string | undefined): boolean {
  if (binds === undefined || binds === '' || test === undefined) return false
  if (test.kind === 'call') return false
  return test.kind === 'path' || test.kind === 'list' || test.kind === 'other'
}

function isEndless(file: IndexedFile, loop: number): boolean {
  const { facts } = file
  const block = facts.blocks[loop]
  if (block === undefined) return false
  // What a loop tests may change; what ends it may be counted.
  if (block.test !== undefined) return false
  const { exits, blocks } = contentsOf(facts, loop)
  const isCounted = blocks.some((each) => {
    const inner = facts.blocks[each]
    return (
      inner?.kind === 'branch' &&
      inner.test !== undefined &&
      counts(inner.test) &&
      exits.some((exit) => leavesFrom(file, exit, each))
    )
  })
  return !isCounted
}

function leavesFrom(file: IndexedFile, { kind, block }: Exit, branch: number): boolean {
  return (kind === 'throw' || kind === 'return' || kind === 'break') && file.within(block, branch)
}

function counts(test: Value): boolean {
  if (test.kind === 'not') return counts(test.value)
  if (test.kind !== 'operation') return test.kind === 'path' && COUNTED.test(test.path.text)
  return [test.left, test.right].some((side) => counts(side) || (side.kind === 'path' && COUNTED.test(side.path.text)))
}
