// Reads of sessions, a few at a time: when Redis comes back, or a thousand clients do, every channel asks at once.

import { Bulkhead, type Ctx, RipstopError } from '@ripstop/kernel'

/** Runs `read` under a deadline of its own when its turn comes. */
export type InTurn = <T>(read: (ctx: Ctx) => Promise<T>) => Promise<T>

const CONCURRENT = 32

export interface InTurnOptions {
  readonly root: Ctx
  /** Of each, from when its turn came. */
  readonly limitMs: number
  /** How many may wait; beyond, the oldest is refused with OVERLOADED. */
  readonly waitingMax: number
}

export function createInTurn({ root, limitMs, waitingMax }: InTurnOptions): InTurn {
  const places = new Bulkhead({ concurrent: CONCURRENT, queue: waitingMax })
  const enter = (): Promise<void> | undefined => {
    if (places.tryAcquire()) return undefined
    return new Promise((permitted, reject) => {
      const displaced = (): void => reject(new RipstopError('OVERLOADED', 'too many sessions are being read'))
      places.enqueue({ permitted, displaced })
    })
  }
  return async (read) => {
    await enter()
    try {
      using ctx = root.within(limitMs)
      return await read(ctx)
    } finally {
      places.release()
    }
  }
}
