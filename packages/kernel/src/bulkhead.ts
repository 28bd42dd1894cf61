// Bulkhead. At most `concurrent` calls at the peer, at most `queue` waiting for a place. The newest waiter is served
// first and the oldest is turned away when the queue is full: under overload the newest is the one that can still meet
// its deadline, while a first-in queue serves only calls that are about to give up (Maurer, "Fail at Scale", ACM Queue
// 2015, "adaptive LIFO").
// Invariants:
//   K1. Never more than `concurrent` permits out; a permit given back is given at most once to a waiter, in a loop: waiters
//       that give theirs back at once (an open breaker refuses them all) must not pile up on the stack.
//   K2. Never more than `queue` waiters; a new one displaces the oldest.

export interface BulkheadLimits {
  readonly concurrent: number
  readonly queue: number
}

export interface Waiter {
  /** A permit is yours. */
  permitted(): void
  /** A newer call took your place in the queue. */
  displaced(): void
}

export class Bulkhead {
  readonly #limits: BulkheadLimits
  readonly #waiters: Waiter[] = [] // oldest first
  #inUse = 0
  #handingOver = false

  constructor(limits: BulkheadLimits) {
    this.#limits = limits
  }

  get inUse(): number {
    return this.#inUse
  }

  get waiting(): number {
    return this.#waiters.length
  }

  /** True: you hold a permit and must `release` it once. */
  tryAcquire(): boolean {
    // While places are handed over one may look free: it is not, nobody overtakes those who wait.
    if (this.#inUse >= this.#limits.concurrent || this.#handingOver) return false
    this.#inUse++
    return true
  }

  /** Waits for a permit. With no queue at all the waiter is displaced at once. */
  enqueue(waiter: Waiter): void {
    if (this.#limits.queue === 0) return waiter.displaced()
    this.#waiters.push(waiter)
    if (this.#waiters.length > this.#limits.queue) this.#waiters.shift()?.displaced()
  }

  /** The waiter gave up. */
  leave(waiter: Waiter): void {
    const index = this.#waiters.lastIndexOf(waiter)
    if (index >= 0) this.#waiters.splice(index, 1)
  }

  release(): void {
    this.#inUse--
    if (this.#handingOver || this.#waiters.length === 0) return
    this.#handingOver = true
    try {
      while (this.#inUse < this.#limits.concurrent) {
        const waiter = this.#waiters.pop()
        if (waiter === undefined) return
        this.#inUse++
        waiter.permitted()
      }
    } finally {
      this.#handingOver = false
    }
  }
}
