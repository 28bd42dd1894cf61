// What holds sends to one target back: its state, how many are under way, its rate, its breaker, and a pause that it asked for.
// Pure: time is handed in.
// Invariants:
//   LN1. To a target go at most `concurrency` at once and `ratePerSecond` a second, and none while it is parked or its breaker is open.

import { Breaker, type BreakerLimits, type Random, REFUSED, TokenBucket } from '@ripstop/kernel'
import type { Target } from './kind.ts'

/** Of the breaker. */
export type Lease = number

/** An open breaker is asked again at the latest after this: its half-open probe may have been another lane's. */
const ASK_AGAIN_MS_MAX = 5_000

/** Leave to send; or how long there is none: `permit` until one that is under way has ended, `parked` until the target is active. */
export type Leave =
  | { readonly is: 'given'; readonly lease: Lease }
  | { readonly is: 'later'; readonly inMs: number; readonly isLong: boolean }
  | { readonly is: 'permit' }
  | { readonly is: 'parked' }

const PERMIT: Leave = { is: 'permit' }
const PARKED: Leave = { is: 'parked' }
const LONG_MS = 250

export class Gate {
  readonly targetId: string
  underWay = 0
  readonly #random: Random
  #target: Target | undefined
  #breaker: Breaker | undefined
  #bucket: TokenBucket | undefined
  #holdUntilMs = 0
  #hasClosed = false

  constructor(targetId: string, random: Random) {
    this.targetId = targetId
    this.#random = random
  }

  /** Undefined: not known yet, or gone. */
  get target(): Target | undefined {
    return this.#target
  }

  get isActive(): boolean {
    return this.#target?.state === 'active'
  }

  /** Something holds it back that must not be forgotten, although nothing waits for it now. */
  isHeld(nowMs: number): boolean {
    return this.#holdUntilMs > nowMs || this.#breaker?.state(nowMs) === 'open'
  }

  /** Takes over what is known of the target now; counts go on where their limits did not change. */
  become(target: Target | undefined, nowMs: number): void {
    const before = this.#target
    this.#target = target
    if (target === undefined) return
    if (before === undefined || !areSame(before.breaker, target.breaker)) {
      this.#breaker = new Breaker(target.breaker, nowMs, this.#random, (to) => {
        this.#hasClosed = to === 'closed'
      })
    }
    // Whoever makes it active again says that it is well.
    if (before?.state === 'parked' && target.state === 'active') this.#breaker?.reset(nowMs)
    if (before?.ratePerSecond !== target.ratePerSecond) this.#bucket = bucketOf(target.ratePerSecond, nowMs)
  }

  /** `permitsMax`: what is left for this target of the process's own. */
  ask(nowMs: number, permitsMax: number): Leave {
    const target = this.#target
    if (target === undefined || target.state !== 'active') return PARKED
    if (this.underWay >= target.concurrency || this.underWay >= permitsMax) return PERMIT
    if (this.#holdUntilMs > nowMs) return later(this.#holdUntilMs - nowMs)
    if (this.#bucket !== undefined && this.#bucket.available(nowMs) < 1) {
      return { is: 'later', inMs: 1_000 / (target.ratePerSecond as number), isLong: false }
    }
    const breaker = this.#breaker as Breaker
    const lease = breaker.admit(nowMs, nowMs + target.deadlineMs)
    if (lease === REFUSED) return later(Math.min(ASK_AGAIN_MS_MAX, breaker.retryAfterMs(nowMs)))
    this.#bucket?.take(nowMs)
    this.underWay++
    return { is: 'given', lease }
  }

  /** One is no more under way; undefined: it tells nothing about the target. True: with it the breaker has closed. */
  answered(lease: Lease, passed: boolean | undefined, nowMs: number): boolean {
    this.underWay--
    this.#hasClosed = false
    if (passed === undefined) this.#breaker?.forget(lease)
    else this.#breaker?.settle(lease, passed, nowMs)
    return this.#hasClosed
  }

  hold(untilMs: number): void {
    if (untilMs > this.#holdUntilMs) this.#holdUntilMs = untilMs
  }
}

function later(inMs: number): Leave {
  return { is: 'later', inMs, isLong: inMs > LONG_MS }
}

function bucketOf(perSecond: number | undefined, nowMs: number): TokenBucket | undefined {
  // A tenth of a second's worth at once: what wakes us does not come at every ms.
  return perSecond === undefined
    ? undefined
    : new TokenBucket({ perSecond, burst: Math.max(1, Math.floor(perSecond / 10)) }, nowMs)
}

function areSame(one: BreakerLimits, other: BreakerLimits): boolean {
  return (Object.keys(one) as (keyof BreakerLimits)[]).every((limit) => one[limit] === other[limit])
}
