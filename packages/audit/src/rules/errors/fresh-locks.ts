// Locks that shut nobody out: made in the moment that they are taken, so that everybody who comes has one of their own.
//   QW7. Found only where what is held is made in the `with` itself, and is a lock of the standard library or of anyio by its import.

import type { Block, FileFacts } from '../../facts/facts.ts'

const LOCKS =
  /^import:(?:asyncio|threading|multiprocessing|anyio)(?:#(?:Lock|RLock|Semaphore|BoundedSemaphore|Condition|CapacityLimiter))?$/
const MADE = /(?:^|\.)(?:Lock|RLock|Semaphore|BoundedSemaphore|Condition|CapacityLimiter)$/

export function* freshLocks(facts: FileFacts): Iterable<Block> {
  for (const block of facts.blocks) {
    if (block.kind !== 'with' || block.test?.kind !== 'call') continue
    const callee = facts.calls[block.test.call]?.callee
    if (callee !== undefined && LOCKS.test(callee.root) && MADE.test(callee.text)) yield block
  }
}
