// Tests of a loop's count that can not hold, since the loop has ended by then: `while tries < most: … if tries == most: raise`.
//   QR9. Found only where the loop tests the count against a name or a number, the branch that leaves compares the same two for equality or for being beyond,
//        nothing of the loop's body above the branch changes either of them, and no loop within holds the branch.

import type { Block, FileFacts, Value } from '../../facts/facts.ts'
import { contentsOf } from '../contents.ts'

interface Counted {
  readonly count: string
  readonly most: string
}

export interface CountedOut extends Counted {
  readonly branch: Block
  readonly block: number
}

export function* countedOut(facts: FileFacts): Iterable<CountedOut> {
  for (const [loop, block] of facts.blocks.entries()) {
    const counted = block.kind === 'loop' ? countOf(facts, block) : undefined
    if (counted === undefined) continue
    const inside = contentsOf(facts, loop)
    for (const index of inside.blocks) {
      const branch = facts.blocks[index] as Block
      if (branch.kind !== 'branch' || nearestLoop(facts, index) !== loop || !isBeyond(branch.test, counted)) continue
      const isChanged = inside.assignments.some(
        ({ target, line }) => (target.text === counted.count || target.text === counted.most) && line <= branch.line,
      )
      const leaves = inside.exits.some(({ block: at, kind }) => at === index && (kind === 'throw' || kind === 'return'))
      if (!isChanged && leaves) yield { branch, block: index, ...counted }
    }
  }
}

/** `while x < most`, `for x in range(most)`. */
function countOf({ calls }: FileFacts, { test, binds }: Block): Counted | undefined {
  if (test?.kind === 'operation' && test.operator === '<') return pairOf(test.left, test.right)
  const call = test?.kind === 'call' ? calls[test.call] : undefined
  const [most, ...more] = call?.args ?? []
  if (call?.callee.text !== 'range' || more.length > 0 || binds === undefined || !/^\w+$/.test(binds)) return undefined
  const limit = nameOf(most)
  return limit === undefined ? undefined : { count: binds, most: limit }
}

function pairOf(left: Value, right: Value): Counted | undefined {
  const count = left.kind === 'path' ? nameOf(left) : undefined
  const most = nameOf(right)
  return count === undefined || most === undefined ? undefined : { count, most }
}

function nameOf(value: Value | undefined): string | undefined {
  if (value?.kind === 'number') return String(value.value)
  return value?.kind === 'path' && !value.path.isOwn ? value.path.text : undefined
}

function isBeyond(test: Value | undefined, { count, most }: Counted): boolean {
  if (test?.kind !== 'operation' || !/^(?:===?|>=|>)$/.test(test.operator)) return false
  return test.left.kind === 'path' && nameOf(test.left) === count && nameOf(test.right) === most
}

function nearestLoop({ blocks }: FileFacts, block: number): number {
  for (let at = blocks[block]?.parent ?? -1; at > 0; at = blocks[at]?.parent ?? -1) {
    if (blocks[at]?.kind === 'loop') return at
    if (blocks[at]?.kind === 'function') return -1
  }
  return -1
}
