// Token bucket. Refills with time, in exact arithmetic on the monotonic clock; refuses without waiting.
// Invariants:
//   R1. In any window of t seconds at most burst + perSecond * t are let through.

export interface RateLimit {
  readonly perSecond: number
  readonly burst: number
}

export class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #refilledMs: number

  constructor(limit: RateLimit, nowMs: number) {
    this.#perMs = limit.perSecond / 1000
    this.#burst = limit.burst
    this.#tokens = limit.burst
    this.#refilledMs = nowMs
  }

  /** Takes a token. Returns 0 if it was there, else how many ms until there is one. */
  take(nowMs: number): number {
    this.#refill(nowMs)
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return 0
    }
    return (1 - this.#tokens) / this.#perMs
  }

  /** Whole tokens that could be taken now. */
  available(nowMs: number): number {
    this.#refill(nowMs)
    return Math.floor(this.#tokens)
  }

  #refill(nowMs: number): void {
    if (nowMs <= this.#refilledMs) return
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#refilledMs) * this.#perMs)
    this.#refilledMs = nowMs
  }
}
