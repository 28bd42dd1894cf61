// Retry budget. Retries are paid from a share of real traffic plus a small floor, so that a peer that is down meets
// little more load than a healthy one (Finagle's RetryBudget; AWS Builders' Library, "Timeouts, retries and backoff").
// Without one, three attempts multiply the load by three exactly when the peer can bear it least.
// Invariants:
//   L9. Retries <= share * calls + perSecond * t + the two small banks: <= 1.25x at 100 calls/s or more by default.

import { TokenBucket } from './rate.ts'

export interface RetryBudgetLimits {
  /** Retries earned by a call. */
  readonly share: number
  /** Retries a second that need no traffic. */
  readonly perSecond: number
}

/** A larger bank would let a burst of retries follow a long calm; 10 keeps 10 s at 100 calls/s under 1.25x. */
const BANK_MAX = 10

export class RetryBudget {
  readonly #share: number
  readonly #floor: TokenBucket
  #bank = 0

  constructor(limits: RetryBudgetLimits, nowMs: number) {
    this.#share = limits.share
    this.#floor = new TokenBucket({ perSecond: limits.perSecond, burst: Math.max(1, limits.perSecond) }, nowMs)
  }

  /** Every call pays in once, however often it is tried. */
  deposit(): void {
    this.#bank = Math.min(BANK_MAX, this.#bank + this.#share)
  }

  /** Pays for one retry; false: there is nothing to pay with. */
  spend(nowMs: number): boolean {
    if (this.#bank >= 1) {
      this.#bank -= 1
      return true
    }
    return this.#floor.take(nowMs) === 0
  }

  available(nowMs: number): number {
    return Math.floor(this.#bank) + this.#floor.available(nowMs)
  }
}
