// Circuit breaker by failure rate. Closed, it counts calls in a sliding window of slices. Open, it refuses at once.
// Half-open, it lends a few calls through as probes: a lend is a lease that ends with the call's deadline, so a probe
// that hangs can't hold the breaker for ever (cockatiel 4, opossum 10, resilience4j and Polly 8 all can be; measured or
// read in their source, 2026-11). What a connection failure means is the link's business and is not counted here.
// Invariants:
//   L8. A half-open probe is a lease: when it expires it counts as failed, and its place is free.
//   B3. A link that comes up again from down finds it closed: the outage was the link's to tell, and is over.
//   B4. What our own queues refuse is not held against the peer.
//   B1. Open lasts at most `openMsMax`; then a call is let through.
//   B2. The window forgets a call `windowMs` after it, however rarely it is asked.

import type { Random } from './ids.ts'

export interface BreakerLimits {
  /** Opens at this share of failures, 0 to 1. */
  readonly failureRate: number
  /** ... among at least so many calls in the window. */
  readonly minimumCalls: number
  readonly windowMs: number
  /** First pause; doubles with every failed half-open up to `openMsMax`. */
  readonly openMs: number
  readonly openMsMax: number
  /** Probes let through at once while half-open; as many successes close it. */
  readonly probes: number
}

export type BreakerStateName = 'closed' | 'open' | 'half_open'

type BreakerState =
  | { readonly name: 'closed' }
  | { readonly name: 'open'; readonly untilMs: number; readonly openMs: number }
  | { readonly name: 'half_open'; readonly openMs: number; readonly leases: Map<Lease, number>; passed: number }

/** What `admit` hands out and `settle` takes back: the number of a closed period, or of one half-open probe. */
export type Lease = number
export const REFUSED: Lease = -1

const SLICES = 10
const CLOSED: BreakerState = { name: 'closed' }

export class Breaker {
  readonly #limits: BreakerLimits
  readonly #random: Random
  readonly #sliceMs: number
  readonly #onChange: (to: BreakerStateName) => void
  readonly #passed = new Uint32Array(SLICES)
  readonly #failed = new Uint32Array(SLICES)
  #slice = 0
  #sliceEndsMs: number
  #state: BreakerState = CLOSED
  #lastLease = 0
  /** The lease of every call of this closed period: those of an earlier one are about a peer that has changed since. */
  #closedLease: Lease = 0

  constructor(limits: BreakerLimits, nowMs: number, random: Random, onChange: (to: BreakerStateName) => void) {
    this.#limits = limits
    this.#random = random
    this.#onChange = onChange
    this.#sliceMs = limits.windowMs / SLICES
    this.#sliceEndsMs = nowMs + this.#sliceMs
  }

  state(nowMs: number): BreakerStateName {
    this.#elapse(nowMs)
    return this.#state.name
  }

  /** May a call go? REFUSED, or a lease that must be settled or forgotten; a probe's lease ends at `deadlineMs`. */
  admit(nowMs: number, deadlineMs: number): Lease {
    if (this.#state.name !== 'closed') this.#elapse(nowMs)
    const state = this.#state
    if (state.name === 'closed') return this.#closedLease
    if (state.name === 'open' || state.leases.size >= this.#limits.probes) return REFUSED
    const lease = ++this.#lastLease
    state.leases.set(lease, deadlineMs)
    return lease
  }

  /** When it makes sense to ask again, in ms. */
  retryAfterMs(nowMs: number): number {
    return this.#state.name === 'open' ? Math.max(1, this.#state.untilMs - nowMs) : this.#limits.openMs
  }

  settle(lease: Lease, passed: boolean, nowMs: number): void {
    if (this.#state.name === 'closed') {
      if (lease === this.#closedLease) this.#count(passed, nowMs)
      return
    }
    this.#elapse(nowMs)
    const state = this.#state
    // A call that was admitted before the breaker opened, or a lease that has expired, has no say any more.
    if (state.name !== 'half_open' || !state.leases.delete(lease)) return
    if (!passed) return this.#open(Math.min(this.#limits.openMsMax, state.openMs * 2), nowMs)
    state.passed++
    if (state.passed >= this.#limits.probes) this.#close(nowMs)
  }

  /** The call ended without telling anything about the peer (the caller cancelled, the link was down). */
  forget(lease: Lease): void {
    if (this.#state.name === 'half_open') this.#state.leases.delete(lease)
  }

  /** The peer is another one, or back: what the old one did is no reason to refuse. */
  reset(nowMs: number): void {
    if (this.#state.name !== 'closed') this.#close(nowMs)
  }

  /** Lets time act: open ends, leases expire. */
  #elapse(nowMs: number): void {
    const state = this.#state
    if (state.name === 'open' && nowMs >= state.untilMs) {
      this.#become({ name: 'half_open', openMs: state.openMs, leases: new Map(), passed: 0 })
    } else if (state.name === 'half_open') {
      for (const expiresMs of state.leases.values()) {
        if (nowMs > expiresMs) return this.#open(Math.min(this.#limits.openMsMax, state.openMs * 2), nowMs)
      }
    }
  }

  #count(passed: boolean, nowMs: number): void {
    if (nowMs >= this.#sliceEndsMs) this.#turn(nowMs)
    const slice = this.#slice
    if (passed) {
      this.#passed[slice] = (this.#passed[slice] as number) + 1
      return
    }
    this.#failed[slice] = (this.#failed[slice] as number) + 1
    if (this.#tooManyFailed()) this.#open(this.#limits.openMs, nowMs)
  }

  #tooManyFailed(): boolean {
    let passed = 0
    let failed = 0
    for (let slice = 0; slice < SLICES; slice++) {
      passed += this.#passed[slice] as number
      failed += this.#failed[slice] as number
    }
    return passed + failed >= this.#limits.minimumCalls && failed >= (passed + failed) * this.#limits.failureRate
  }

  /** Moves on by every slice that has passed, not by one: else old failures would linger after a pause (B2). */
  #turn(nowMs: number): void {
    const slices = Math.floor((nowMs - this.#sliceEndsMs) / this.#sliceMs) + 1
    for (let step = 0; step < Math.min(slices, SLICES); step++) {
      this.#slice = (this.#slice + 1) % SLICES
      this.#passed[this.#slice] = 0
      this.#failed[this.#slice] = 0
    }
    this.#sliceEndsMs += slices * this.#sliceMs
  }

  #open(openMs: number, nowMs: number): void {
    // Up to a tenth less: breakers of many processes must not probe in step, and B1 still holds.
    this.#become({ name: 'open', openMs, untilMs: nowMs + openMs * (1 - 0.1 * this.#random()) })
  }

  #close(nowMs: number): void {
    this.#passed.fill(0)
    this.#failed.fill(0)
    this.#sliceEndsMs = nowMs + this.#sliceMs
    this.#closedLease = ++this.#lastLease
    this.#become(CLOSED)
  }

  #become(state: BreakerState): void {
    this.#state = state
    this.#onChange(state.name)
  }
}
