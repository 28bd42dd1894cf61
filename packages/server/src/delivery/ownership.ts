// Ownership: the turn that renews, claims, sheds and releases shards, and what follows from it for lanes.

import type { Ctx, Env, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Log } from '#platform/telemetry'
import type { Lane, OwnedShard } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { Points } from './points.ts'
import type { DeliverySettings } from './settings.ts'
import { claimShards, leaveWorkers, releaseShards, renewShards } from './shard-store.ts'
import type { Shards } from './shards.ts'

/** A worker that has fewer shards than its share looks for them so often. */
const WANTING_MS = 500

export interface OwnershipDeps {
  readonly env: Env
  readonly log: Log
  readonly link: Link<PostgresPool>
  readonly workerId: string
  readonly settings: DeliverySettings
  readonly lanes: Lanes
  readonly shards: Shards
  readonly points: Points | undefined
  /** The lane is another worker's. */
  readonly left: (lane: Lane) => void
  /** Shards were claimed: what is in them is to be looked for. */
  readonly claimed: () => void
}

export class Ownership {
  readonly #deps: OwnershipDeps
  #renewAtMs = Number.NEGATIVE_INFINITY
  #isLeaving = false

  constructor(deps: OwnershipDeps) {
    this.#deps = deps
  }

  /** One turn of the loop; gives how long the next may wait. */
  async turn(ctx: Ctx): Promise<number> {
    const { env, shards } = this.#deps
    if (env.clock.monoMs() >= this.#renewAtMs) await this.#renew(ctx)
    if (shards.wanted > 0 && !this.#isLeaving) await this.#claim(ctx)
    await this.#release(
      ctx,
      [...shards.owned.values()].filter(({ isLeaving }) => isLeaving),
    )
    const untilRenewMs = this.#renewAtMs - env.clock.monoMs()
    const isUnsettled = shards.wanted > 0 || shards.numbers.length < shards.owned.size
    return Math.max(1, isUnsettled ? Math.min(WANTING_MS, untilRenewMs) : untilRenewMs)
  }

  /** Another worker has it: nothing of it is sent or settled here any more. */
  lost(shard: OwnedShard): void {
    this.#deps.shards.lost(shard)
    this.#dropLanes(shard)
    this.#deps.log.warn({ event: 'delivery.shard_lost', shard: shard.shard, epoch: shard.epoch })
  }

  /** Lets go of every shard that nothing is under way of, and of our part in the sharing. */
  async leave(ctx: Ctx): Promise<void> {
    const { link, workerId, shards } = this.#deps
    this.#isLeaving = true
    for (const shard of shards.owned.values()) shard.isLeaving = true
    await this.#release(ctx, [...shards.owned.values()])
    await leaveWorkers(link, ctx, workerId)
  }

  #dropLanes(shard: OwnedShard): void {
    const { lanes, left } = this.#deps
    for (const lane of [...lanes.all()]) {
      if (lane.shard !== shard) continue
      lanes.drop(lane)
      left(lane)
    }
  }

  async #renew(ctx: Ctx): Promise<void> {
    const { env, link, workerId, settings, shards, points } = this.#deps
    const asked = [...shards.owned.values()]
    const sentMs = env.clock.monoMs()
    await points?.('renewing')
    const renewed = await renewShards(link, ctx, workerId, asked, settings.leaseMs)
    for (const shard of shards.renewed(asked, renewed, sentMs)) this.lost(shard)
    await points?.('renewed')
    this.#renewAtMs = sentMs + settings.renewMs * (0.8 + 0.2 * env.random())
  }

  async #claim(ctx: Ctx): Promise<void> {
    const { env, link, log, workerId, settings, shards, points } = this.#deps
    const sentMs = env.clock.monoMs()
    const held = [...shards.owned.values()]
    const claimed = await claimShards(link, ctx, workerId, held, shards.wanted, settings.leaseMs)
    if (claimed.length === 0) return
    await points?.('claimed')
    shards.claimed(claimed, sentMs)
    log.info({ event: 'delivery.shards_claimed', shards: claimed.length, owned: shards.owned.size })
    this.#deps.claimed()
  }

  /** Those of `leaving` that nothing is under way of; the others take nothing more in, and leave later. */
  async #release(ctx: Ctx, leaving: readonly OwnedShard[]): Promise<void> {
    if (leaving.length === 0) return
    const { link, log, workerId, shards, lanes, points } = this.#deps
    const asked = new Set(leaving)
    for (const lane of lanes.all()) if (asked.has(lane.shard)) lanes.release(lane)
    for (const { lane } of lanes.held.values()) asked.delete(lane.shard)
    const free = [...asked]
    if (free.length === 0) return
    for (const shard of free) this.#dropLanes(shard)
    shards.released(free)
    await releaseShards(link, ctx, workerId, free)
    await points?.('released')
    log.info({ event: 'delivery.shards_released', shards: free.length, owned: shards.owned.size })
  }
}
