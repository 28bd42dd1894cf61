// Rate table. The generic cell rate algorithm (ITU-T I.371, as "virtual scheduling"): one number a client, the time at
// which its quota would be whole again. A client that asks rarely is forgotten by itself a moment later, since a whole
// quota is what an unknown client has.
// Invariants:
//   RA1. In any t ms a client gets at most count * (1 + t / windowMs) requests: its quota, and what flows back.
//   RA2. The table holds at most `entriesMax` clients. When that many are known at once, newcomers share one quota; no
//        client that is known loses its count, so flooding the table with addresses resets nothing.

import { BoundedTable } from './bounded-table.ts'

export interface RateVerdict {
  readonly allowed: boolean
  /** Requests left at once. */
  readonly remaining: number
  /** Until the quota is whole again. */
  readonly resetMs: number
  /** 0 if it was allowed. */
  readonly retryAfterMs: number
}

/** So many requests in so long; all of them may come at once. */
export interface Quota {
  readonly count: number
  readonly windowMs: number
}

export function perMinute(count: number): Quota {
  return { count, windowMs: 60_000 }
}

export class RateTable {
  /** When the quota of each client would be whole again. */
  readonly #wholeAt: BoundedTable<number>

  constructor(entriesMax: number) {
    this.#wholeAt = new BoundedTable(entriesMax, (wholeAtMs, nowMs) => wholeAtMs <= nowMs)
  }

  get size(): number {
    return this.#wholeAt.size
  }

  /** Counts a request that somebody else let through. */
  charge(client: string, { count, windowMs }: Quota, nowMs: number): void {
    const name = this.#wholeAt.nameFor(client, nowMs)
    const wholeAtMs = Math.max(nowMs, this.#wholeAt.get(name) ?? 0) + windowMs / count
    this.#wholeAt.set(name, Math.min(wholeAtMs, nowMs + windowMs))
  }

  take(client: string, { count, windowMs }: Quota, nowMs: number): RateVerdict {
    const name = this.#wholeAt.nameFor(client, nowMs)
    const costMs = windowMs / count
    const wholeAtMs = Math.max(nowMs, this.#wholeAt.get(name) ?? 0) + costMs
    // A tenth of a ms for the rounding of 1 000 additions.
    const overMs = wholeAtMs - nowMs - windowMs - 0.1
    if (overMs > 0) return { allowed: false, remaining: 0, resetMs: wholeAtMs - costMs - nowMs, retryAfterMs: overMs }
    this.#wholeAt.set(name, wholeAtMs)
    const spentMs = wholeAtMs - nowMs
    const remaining = Math.max(0, Math.floor((windowMs - spentMs + 0.1) / costMs))
    return { allowed: true, remaining, resetMs: spentMs, retryAfterMs: 0 }
  }
}
