// Beats. One after the other: look at Redis, beat in Postgres, take over the term that follows. A term in which Redis has the authority is
// held only once Redis knows its epoch, so that its scripts refuse everybody who still holds an earlier one.
// While Postgres is away no epoch can begin: the term that is held goes on, on the server time that was measured.
// A known limit: a process that Postgres has not heard of for as long, but that sees a Redis which nobody else sees, goes on under its term
// while the others move to Postgres. What it accepted is superseded, and told of as a fork.
// Invariants:
//   AY3. Epochs that are held only rise; a term of Redis is held only by whoever made sure that Redis knows its epoch.
//   AY4. Without Postgres nothing is decided: the term that is held goes on.

import { type Ctx, type Env, isRipstopError, type Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Log } from '#platform/telemetry'
import type { Term } from './authority.ts'
import { type BeatAnswer, type RedisView, sendBeat } from './epoch-store.ts'
import { type Period, Periods } from './periods.ts'
import type { RedisSighting } from './redis-sight.ts'
import type { ServerClock } from './server-clock.ts'

const BEAT_MS = 500
/** While something is amiss. */
const HURRIED_BEAT_MS = 200
/** Beats in a row that may find that another process was quicker. */
const BEHIND_MAX = 3

const FAILURES_TOLD_FROM = 8

export interface BeatsDeps {
  readonly env: Env
  readonly log: Log
  readonly link: Link<PostgresPool>
  readonly nodeId: string
  readonly isServing: boolean
  readonly clock: ServerClock
  readonly sighting: RedisSighting
  readonly began: (period: Period) => void
  readonly took: (term: Term, before: Term | undefined) => void
}

export class AuthorityBeats {
  readonly periods = new Periods()
  readonly #deps: BeatsDeps
  readonly #ctx: Ctx
  #held: Term | undefined
  #beating: Promise<void> | undefined
  #failures = 0
  /** Since when beats were answered, without a break. */
  #answeredSinceMs: number | undefined

  /** Everything it waits for ends with `ctx`. */
  constructor(ctx: Ctx, deps: BeatsDeps) {
    this.#ctx = ctx
    this.#deps = deps
  }

  get held(): Term | undefined {
    return this.#held
  }

  /** One turn of the loop; gives how long the next one may wait. Never throws. */
  async turn(): Promise<number> {
    const { env, log } = this.#deps
    let isWell = false
    try {
      await this.beat()
      this.#failures = 0
      isWell = this.#held !== undefined && this.#held.epoch === this.periods.newest?.epoch
    } catch (error) {
      this.#failures++
      this.#answeredSinceMs = undefined
      // The link tells of its own state, and the schema may be on its way: of a long row of failures some are told, ever fewer.
      const isTold = this.#failures >= FAILURES_TOLD_FROM && (this.#failures & (this.#failures - 1)) === 0
      if (this.#ctx.reason === undefined && isTold) {
        const code = isRipstopError(error) ? error.code : 'INTERNAL'
        const why = error instanceof Error ? error.message : String(error)
        log.warn({ event: 'session.beat_failed', code, why, failures: this.#failures })
      }
    }
    return (isWell ? BEAT_MS : HURRIED_BEAT_MS) * (0.9 + 0.1 * env.random())
  }

  /** Beats, or joins the beat under way; takes at most about 2 s. Throws what the link to Postgres throws. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #beat(): Promise<void> {
    const { clock, sighting, isServing } = this.#deps
    for (let beats = 0; beats < BEHIND_MAX; beats++) {
      const servesRedis = isServing && clock.isKnown && this.#held?.mode === 'redis'
      const view = await sighting.look(this.#ctx, servesRedis ? clock.nowMs() : undefined)
      const answer = await this.#ask(view)
      this.periods.learn(answer.periods)
      if (answer.begun !== undefined) this.#deps.began(answer.begun)
      await this.#take(view)
      if (view.sight !== undefined && this.#held?.mode === 'redis') sighting.resumed(clock.nowMs())
      if (!answer.isBehind) return
    }
  }

  async #ask(redis: RedisView): Promise<BeatAnswer> {
    const { env, link, nodeId, isServing, clock } = this.#deps
    const sentMs = env.clock.monoMs()
    const knownEpoch = this.periods.newest?.epoch ?? 0
    const beat = { nodeId, isServing, heldEpoch: this.#held?.epoch, knownEpoch, redis: this.#patient(redis) }
    const answer = await sendBeat(link, this.#ctx, beat)
    this.#answeredSinceMs ??= env.clock.monoMs()
    const { serverMs } = answer
    clock.add({ sentMs, receivedMs: serverMs, answeredMs: serverMs, gotMs: env.clock.monoMs() })
    return answer
  }

  /** Where Postgres was away, too, Redis gets as long to come back as if it had gone just now: what it holds is newer. */
  #patient(redis: RedisView): RedisView {
    const answeredMs = this.#answeredSinceMs === undefined ? 0 : this.#deps.env.clock.monoMs() - this.#answeredSinceMs
    return { ...redis, blindMs: Math.min(redis.blindMs, answeredMs) }
  }

  /** AY3. That it can't be taken yet is seen by the next turn, which comes soon. */
  async #take({ sight }: RedisView): Promise<void> {
    const { newest } = this.periods
    if (newest === undefined) return
    const isLower = sight !== undefined && (sight.epoch ?? 0) < newest.epoch
    // Under the epoch that is held, a Redis that does not know it has lost it: that is for the next beat to tell.
    const isLost = newest.mode === 'redis' && newest.epoch === this.#held?.epoch
    if (isLower && !isLost && this.#deps.isServing && !(await this.#raise(newest.epoch)) && newest.mode === 'redis')
      return
    if (newest.epoch === this.#held?.epoch) return
    const seesAnother = sight === undefined || (sight.epoch ?? 0) > newest.epoch
    if (newest.mode === 'redis' && this.#deps.isServing && seesAnother) return
    const before = this.#held
    this.#held = { epoch: newest.epoch, mode: newest.mode }
    this.#deps.took(this.#held, before)
  }

  /** Also while Postgres serves: whoever still holds a term of Redis is refused. */
  async #raise(epoch: number): Promise<boolean> {
    try {
      await this.#deps.sighting.raise(this.#ctx, epoch)
      return true
    } catch (error) {
      if (!isRipstopError(error)) throw error
      return false
    }
  }
}
