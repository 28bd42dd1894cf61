// The queue of a session. What this process does to one session is done one after the other: two commands that were decided on the same state
// could not both be committed, so deciding them side by side would be work for nothing.
// Invariants:
//   EN1. Of the commands of a session that wait in a process the one that was received first is decided first; at most WAITING_MAX wait, and
//        whoever comes then is told SESSION_BUSY at once. Who stops waiting has done nothing.

import { type Ctx, RipstopError } from '@ripstop/kernel'

export const WAITING_MAX = 64
const RETRY_AFTER_MS = 100

interface Waiter {
  readonly receivedMs: number
  readonly begin: () => void
}

export class SessionQueue {
  /** A session that somebody works on, and who waits for it. */
  readonly #lanes = new Map<string, Waiter[] | undefined>()

  /** Sessions that somebody works on. */
  get size(): number {
    return this.#lanes.size
  }

  /** Resolves as `work` does, when it was this one's turn. Throws SESSION_BUSY, and the ctx's reason. */
  async run<T>(ctx: Ctx, key: string, receivedMs: number, work: () => Promise<T>): Promise<T> {
    if (this.#lanes.has(key)) await this.#wait(ctx, key, receivedMs)
    else this.#lanes.set(key, undefined)
    try {
      return await work()
    } finally {
      this.#next(key)
    }
  }

  #wait(ctx: Ctx, key: string, receivedMs: number): Promise<void> {
    const waiting = this.#lanes.get(key) ?? []
    if (waiting.length >= WAITING_MAX) throw busy(waiting.length)
    this.#lanes.set(key, waiting)
    return new Promise((resolve, reject) => {
      const { signal } = ctx
      if (signal.aborted) return reject(asUnsent(signal.reason))
      const over = (): void => {
        waiting.splice(waiting.indexOf(waiter), 1)
        reject(asUnsent(signal.reason))
      }
      const waiter: Waiter = {
        receivedMs,
        begin: () => {
          signal.removeEventListener('abort', over)
          resolve()
        },
      }
      signal.addEventListener('abort', over, { once: true })
      waiting.push(waiter)
    })
  }

  #next(key: string): void {
    const waiting = this.#lanes.get(key)
    if (waiting === undefined || waiting.length === 0) {
      this.#lanes.delete(key)
      return
    }
    let first = 0
    for (let at = 1; at < waiting.length; at++) {
      if ((waiting[at] as Waiter).receivedMs < (waiting[first] as Waiter).receivedMs) first = at
    }
    waiting.splice(first, 1)[0]?.begin()
  }
}

function busy(waiting: number): RipstopError {
  return new RipstopError('SESSION_BUSY', 'too many commands wait for this session', {
    details: { waiting },
    sent: 'no',
    retryAfterMs: RETRY_AFTER_MS,
  })
}

function asUnsent(reason: unknown): unknown {
  if (!(reason instanceof RipstopError)) return reason
  return new RipstopError(reason.code, reason.message, { cause: reason, details: reason.details, sent: 'no' })
}
