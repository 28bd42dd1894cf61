// Rate limiter. Without Redis each process counts for itself. With it, a process leases a few requests of a client's quota
// at a time and spends them without asking: a busy client costs one round trip for up to a fiftieth of its limit, an
// occasional one a round trip each time. Leases begin with one request and double while they are used up in time, so
// that nothing is set aside for a client that sends little.
// Accuracy with Redis: requests are charged before they are let through, so all processes together grant what one table
// would; leased requests may be spent up to `leaseMs` later, which adds at most processes * count / 50 to any window.
// A client that uses half of its limit or more loses nothing to leases that end unspent.
// A link that is down refuses at once; without an answer in 50 ms the local share decides, which counts what this process
// let through before. After either, Redis is left alone for a while: no request waits for a Redis that is known to be gone.
// Invariants:
//   RL1. With Redis, all processes together never grant more than the quota and what flows back to it.
//   RL2. Redis gone or slow: a request waits at most 50 ms once, then the local share decides, at once.

import type { Ctx } from '@ripstop/kernel'
import { BoundedTable } from './bounded-table.ts'
import { type Grant, type RateScripts, takeShared } from './rate-script.ts'
import { type Quota, RateTable, type RateVerdict } from './rate-table.ts'

/** What is needed of the Redis link. Its guarantees should name the fallback `local-rate-limit`. */
export interface RateLink {
  callOr<T>(
    ctx: Ctx,
    run: (redis: RateScripts, ctx: Ctx) => PromiseLike<T>,
    fallback: () => T,
    options: { readonly deadlineMs: number },
  ): Promise<T>
}

export interface RateLimiterDeps {
  readonly ctx: Ctx
  readonly redis: RateLink | undefined
  /** Processes that share the traffic: while Redis is away each grants its part. */
  readonly processes: number
  readonly entriesMax: number
  /** Longest wait for Redis [50], ms. */
  readonly deadlineMs?: number
}

const REDIS_DEADLINE_MS = 50
/** After a failure Redis is not asked for this long. */
const PAUSE_MS = 250
/** One is enough for all who wait; a second if a lease was spent in between. */
const ROUNDS_MAX = 4
/** Batches of this size are fetched before the last one is used up, so that nobody waits for them. */
const PREFETCH_BATCH_MIN = 4

interface Lease {
  tokens: number
  batch: number
  endsMs: number
  /** The quota is spent until then. */
  blockedUntilMs: number
  left: number
  resetMs: number
  waiting: number
  asking: Promise<void> | undefined
}

export class RateLimiter {
  readonly #deps: RateLimiterDeps
  readonly #local: RateTable
  readonly #leases: BoundedTable<Lease>
  #pausedUntilMs = 0

  constructor(deps: RateLimiterDeps) {
    this.#deps = deps
    this.#local = new RateTable(deps.entriesMax)
    this.#leases = new BoundedTable(
      deps.entriesMax,
      (lease, nowMs) => lease.asking === undefined && lease.endsMs <= nowMs && lease.blockedUntilMs <= nowMs,
    )
  }

  /** `client` names the client and what its limit is for. A promise only where Redis has to be asked. */
  take(client: string, quota: Quota): RateVerdict | Promise<RateVerdict> {
    const { ctx, redis } = this.#deps
    const nowMs = ctx.env.clock.monoMs()
    if (redis === undefined) return this.#local.take(client, quota, nowMs)
    const name = this.#leases.nameFor(client, nowMs)
    const lease = this.#leaseOf(name)
    const verdict = this.#spend(name, lease, quota, nowMs)
    if (verdict === undefined) return this.#ask(redis, name, lease, quota)
    const runsLow = lease.batch >= PREFETCH_BATCH_MIN && lease.tokens <= lease.batch / 4 && lease.left > 0
    if (verdict.allowed && runsLow && this.#mayAsk(nowMs)) void this.#refillOnce(redis, name, lease, quota)
    return verdict
  }

  #leaseOf(name: string): Lease {
    const known = this.#leases.get(name)
    if (known !== undefined) return known
    const lease: Lease = {
      tokens: 0,
      batch: 0,
      endsMs: 0,
      blockedUntilMs: 0,
      left: 0,
      resetMs: 0,
      waiting: 0,
      asking: undefined,
    }
    this.#leases.set(name, lease)
    return lease
  }

  #spend(name: string, lease: Lease, quota: Quota, nowMs: number): RateVerdict | undefined {
    if (lease.tokens > 0 && lease.endsMs > nowMs) {
      lease.tokens--
      this.#local.charge(name, this.#shareOf(quota), nowMs)
      return { allowed: true, remaining: lease.left + lease.tokens, resetMs: lease.resetMs, retryAfterMs: 0 }
    }
    if (lease.blockedUntilMs <= nowMs) return undefined
    return { allowed: false, remaining: 0, resetMs: lease.resetMs, retryAfterMs: lease.blockedUntilMs - nowMs }
  }

  async #ask(redis: RateLink, name: string, lease: Lease, quota: Quota): Promise<RateVerdict> {
    const { clock } = this.#deps.ctx.env
    lease.waiting++
    try {
      for (let round = 0; round < ROUNDS_MAX && this.#mayAsk(clock.monoMs()); round++) {
        await this.#refillOnce(redis, name, lease, quota)
        const verdict = this.#spend(name, lease, quota, clock.monoMs())
        if (verdict !== undefined) return verdict
      }
    } finally {
      lease.waiting--
    }
    return this.#local.take(name, this.#shareOf(quota), clock.monoMs())
  }

  #shareOf({ count, windowMs }: Quota): Quota {
    return { count: Math.max(1, count / this.#deps.processes), windowMs }
  }

  #mayAsk(nowMs: number): boolean {
    return nowMs >= this.#pausedUntilMs
  }

  #refillOnce(redis: RateLink, name: string, lease: Lease, quota: Quota): Promise<void> {
    lease.asking ??= this.#refill(redis, name, lease, quota).finally(() => {
      lease.asking = undefined
    })
    return lease.asking
  }

  async #refill(redis: RateLink, name: string, lease: Lease, quota: Quota): Promise<void> {
    const { ctx } = this.#deps
    const { count, windowMs } = quota
    const batchMax = Math.max(1, Math.floor(count / 50))
    const isUsedInTime = lease.tokens <= lease.batch / 4 && lease.endsMs > ctx.env.clock.monoMs()
    lease.batch = isUsedInTime ? Math.min(batchMax, lease.batch * 2) : 1
    const wanted = Math.min(Math.ceil(count), Math.max(lease.batch, lease.waiting))
    const grant = await redis
      .callOr<Grant | undefined>(
        ctx,
        (scripts) => takeShared(scripts, `ripstop:rate:${name}`, quota, wanted),
        () => undefined,
        { deadlineMs: this.#deps.deadlineMs ?? REDIS_DEADLINE_MS },
      )
      .catch(() => undefined) // an answer that is an error: no reason to turn clients away
    const nowMs = ctx.env.clock.monoMs()
    if (grant === undefined) {
      this.#pausedUntilMs = nowMs + PAUSE_MS
      return
    }
    lease.tokens = (lease.endsMs > nowMs ? lease.tokens : 0) + grant.granted
    lease.left = grant.left
    lease.resetMs = grant.resetMs
    lease.blockedUntilMs = nowMs + grant.waitMs
    if (grant.granted > 0) lease.endsMs = nowMs + Math.max(1_000, 2 * lease.batch * (windowMs / count))
  }
}
