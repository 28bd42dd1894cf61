// Redis as the authority sees it: a round trip at every beat, which tells that it answers commands (and not only holds a connection), which
// server it is, which epoch its scripts compare, and when sessions were served through it last. That moment is written there by everybody
// who serves, so that it is known also after Postgres was away and no beat could be kept.

import { type Ctx, type Env, isRipstopError, type Link } from '@ripstop/kernel'
import type { Redis } from 'ioredis'
import type { Log } from '#platform/telemetry'
import { INTERRUPTED_MS, type RedisSight, type RedisView } from './epoch-store.ts'
import { SHARD_KEYS } from './redis-keys.ts'
import { createRunIds } from './redis-run.ts'
import { runScript, SET_EPOCH } from './redis-scripts.ts'

const SERVED_KEY = 'ripstop:sessions:served'
const TOUCHED_KEY = 'ripstop:sessions:touched'
/**
 * More than a probe of the link may take (400): what the link holds to be up, and commands reach, is there. Less than a second: a look, a beat
 * and the pause between beats must fit into INTERRUPTED_MS, or looking in vain would itself pass for an interruption.
 */
const DEADLINE_MS = 600

export interface RedisSightingDeps {
  readonly env: Env
  readonly log: Log
  /** Undefined: there is no Redis. */
  readonly redis: Link<Redis> | undefined
}

export class RedisSighting {
  readonly #deps: RedisSightingDeps
  readonly #runIdOf = createRunIds()
  readonly #startedMs: number
  #sight: RedisSight | undefined
  #seenMs: number | undefined
  #steadySinceMs: number | undefined
  #servedMs: number | undefined
  #isUnseenTold = false

  constructor(deps: RedisSightingDeps) {
    this.#deps = deps
    this.#startedMs = deps.env.clock.monoMs()
  }

  /** Looks once, and writes that sessions are served at `servedMs`, if they are. Never throws. */
  async look(ctx: Ctx, servedMs: number | undefined): Promise<RedisView> {
    const { env, redis } = this.#deps
    const sentMs = env.clock.monoMs()
    const knownMs = this.#servedMs
    // Not over a moment that is so old that a beat has to tell of it first.
    const writesMs = servedMs !== undefined && servedMs - (knownMs ?? servedMs) <= INTERRUPTED_MS ? servedMs : undefined
    const before = this.#sight
    this.#sight = redis === undefined ? undefined : await this.#ask(redis, ctx, writesMs)
    if (this.#sight === undefined) this.#steadySinceMs = undefined
    else {
      this.#seenMs = sentMs
      if (before?.runId !== this.#sight.runId) this.#steadySinceMs = sentMs
      this.#steadySinceMs ??= sentMs
    }
    const beforeMs = this.#servedMs
    if (this.#sight !== undefined && writesMs !== undefined) this.#servedMs = Math.max(beforeMs ?? 0, writesMs)
    const nowMs = env.clock.monoMs()
    return {
      sight: this.#sight,
      ageMs: this.#seenMs === undefined ? undefined : nowMs - this.#seenMs,
      steadyMs: this.#steadySinceMs === undefined ? 0 : nowMs - this.#steadySinceMs,
      blindMs: this.#sight === undefined ? nowMs - (this.#seenMs ?? this.#startedMs) : 0,
      servedMs: beforeMs,
    }
  }

  /** Scripts take commits of this epoch from now on, and of none before it. Throws what the link throws. */
  async raise(ctx: Ctx, epoch: number): Promise<void> {
    const run = (redis: Redis) => setEpoch(redis, epoch)
    await this.#deps.redis?.call(ctx, run, { deadlineMs: DEADLINE_MS, idempotent: true })
  }

  /** Sessions are served through it again, and a beat has told since when they were not. */
  resumed(servedMs: number): void {
    this.#servedMs = Math.max(this.#servedMs ?? 0, servedMs)
  }

  async #ask(link: Link<Redis>, ctx: Ctx, servedMs: number | undefined): Promise<RedisSight | undefined> {
    try {
      const options = { deadlineMs: DEADLINE_MS, idempotent: true }
      const seen = await link.call(ctx, (redis) => this.#read(redis, servedMs), options)
      this.#isUnseenTold = false
      return seen
    } catch (error) {
      // The link tells of its own state. What it does not know: it answers, but not to what is asked here.
      const code = isRipstopError(error) ? error.code : 'INTERNAL'
      if (!this.#isUnseenTold && link.state === 'up' && ctx.reason === undefined) {
        this.#isUnseenTold = true
        const why = error instanceof Error ? error.message : String(error)
        this.#deps.log.warn({ event: 'session.redis_unseen', code, why })
      }
      return undefined
    }
  }

  /** Reads, and then writes: a Redis that takes no writes serves nobody. */
  async #read(redis: Redis, servedMs: number | undefined): Promise<RedisSight> {
    const [runId, epoch, served] = await Promise.all([
      this.#runIdOf(redis),
      readEpoch(redis),
      redis.get(SERVED_KEY),
      servedMs === undefined ? redis.set(TOUCHED_KEY, 1) : redis.set(SERVED_KEY, servedMs),
    ])
    const knownMs = Number(served)
    if (knownMs > (this.#servedMs ?? 0)) this.#servedMs = knownMs
    return { runId, epoch }
  }
}

/** The lowest of all shards; undefined: one of them knows none. */
async function readEpoch(redis: Redis): Promise<number | undefined> {
  const epochs = await redis.mget(SHARD_KEYS.map(({ epoch }) => epoch))
  return epochs.includes(null) ? undefined : Math.min(...epochs.map(Number))
}

async function setEpoch(redis: Redis, epoch: number): Promise<void> {
  await Promise.all(SHARD_KEYS.map((keys) => runScript(redis, SET_EPOCH, [keys.epoch, keys.run], [epoch])))
}
