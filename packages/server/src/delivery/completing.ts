// Group commit. What ended waits while a statement is under way, and goes together in the next: the slower the database, the larger
// the batches. A statement whose outcome is unknown is sent again as it was; what it settled the first time it finds settled (DC4).
// A batch that the server refuses for itself is halved, down to the one that is at fault, which is set aside and tried again later.
// Invariants:
//   DC5. What ended is settled, or its shard was lost, before its permit is free; while the database is away it waits, for ever.
//   DC6. One statement at a time, of at most `batchMax`; one delivery that can't be settled holds up no other.

import type { Ctx, Env } from '@ripstop/kernel'
import { pause } from '#platform/pause'

const ASIDE_MS = 30_000

export interface Failure {
  /** The server refused what is in the batch: others would go. */
  readonly isBatchAtFault: boolean
  readonly waitMs: number
}

export interface CompleterDeps<Ended> {
  readonly env: Env
  readonly settle: (ctx: Ctx, batch: readonly Ended[]) => Promise<void>
  readonly failed: (error: unknown, failures: number) => Failure
  readonly batchMax: number
}

export interface Completer<Ended> {
  readonly add: (ended: Ended) => void
  /** Ended and not settled. */
  readonly size: number
}

export function createCompleter<Ended>(ctx: Ctx, deps: CompleterDeps<Ended>): Completer<Ended> {
  let waiting: Ended[] = []
  let size = 0
  let isRunning = false

  const run = async (): Promise<void> => {
    // What ends in this turn of the event loop goes together.
    await Promise.resolve()
    while (waiting.length > 0 && ctx.reason === undefined) {
      const batch = waiting.length <= deps.batchMax ? waiting : waiting.slice(0, deps.batchMax)
      waiting = waiting.slice(batch.length)
      await settleAtLast(batch)
    }
    isRunning = false
  }

  const settleAtLast = async (batch: readonly Ended[]): Promise<void> => {
    for (let failures = 1; ctx.reason === undefined; failures++) {
      try {
        await deps.settle(ctx, batch)
        size -= batch.length
        return
      } catch (error) {
        const { isBatchAtFault, waitMs } = deps.failed(error, failures)
        if (isBatchAtFault) return batch.length === 1 ? setAside(batch) : settleHalves(batch)
        await pause(ctx, waitMs).catch(() => undefined) // it is over: the condition of the loop sees it
      }
    }
  }

  const settleHalves = async (batch: readonly Ended[]): Promise<void> => {
    const middle = Math.ceil(batch.length / 2)
    await settleAtLast(batch.slice(0, middle))
    await settleAtLast(batch.slice(middle))
  }

  const setAside = (batch: readonly Ended[]): void => {
    const cancel = deps.env.clock.schedule(ASIDE_MS, () => {
      ctx.signal.removeEventListener('abort', cancel)
      for (const ended of batch) enqueue(ended)
    })
    ctx.signal.addEventListener('abort', cancel, { once: true })
  }

  const enqueue = (ended: Ended): void => {
    waiting.push(ended)
    if (isRunning) return
    isRunning = true
    void run()
  }

  return {
    add: (ended) => {
      size++
      enqueue(ended)
    },
    get size() {
      return size
    },
  }
}
