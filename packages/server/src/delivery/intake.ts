// Intake: what is undone comes from the table into the lanes. One loop reads, so that no two reads can take the same row: it
// discovers what is new, sweeps now and then, and reads on for lanes that run low; then the messages are loaded.
// Invariants:
//   DL5. Every undone delivery of an owned shard whose target is active is sent in the end, whatever was missed: the sweep finds it.
//   DL6. A read that fails, at any step, takes nothing in and loses nothing.

import { type Ctx, type Env, hasCode, type Link, REFUSED } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Log } from '#platform/telemetry'
import type { Delivery, DeliveryKind } from './kind.ts'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import { tellFailure } from './loop.ts'
import { type RefillDeps, refillDue, refillKeys, scanLanes, type Taken } from './refill.ts'
import type { DeliverySettings } from './settings.ts'
import type { Shards } from './shards.ts'
import {
  type DeliveryRow,
  type DiscoveredRow,
  discover,
  readSnapshot,
  SWEEP_FROM_START,
  type SweepPlace,
  type SweptPage,
  sweep,
} from './store.ts'

const DISCOVER_MAX = 2_000
const SWEEP_PAGE = 4_096
const SWEEP_PAGE_MIN = 16
const SWEEP_AGAIN_MS = 500
const LANES_PER_READ = 512
const IDLE_GROWTH = 1.5

export interface IntakeDeps {
  readonly env: Env
  readonly log: Log
  readonly link: Link<PostgresPool>
  readonly kinds: ReadonlyMap<string, DeliveryKind>
  readonly lanes: Lanes
  readonly shards: Shards
  readonly settings: DeliverySettings
  /** Something came into the lanes. */
  readonly pump: () => void
  /** Asks the kinds about targets that are not known yet. */
  readonly learn: (ctx: Ctx) => Promise<void>
  readonly refilled: (() => Promise<void> | void) | undefined
}

export class Intake {
  readonly #deps: IntakeDeps
  readonly #refill: RefillDeps
  #snapshot: string | undefined
  #sweepAtMs = Number.NEGATIVE_INFINITY
  #sweepPlace = SWEEP_FROM_START
  #sweepPage = SWEEP_PAGE
  /** How often a whole look at everything was asked for: one that is asked for during a sweep wants another. */
  #sweepsAsked = 0
  #isThorough = false
  #discoverAtMs = Number.NEGATIVE_INFINITY
  #pollMs: number

  constructor(deps: IntakeDeps) {
    this.#deps = deps
    this.#refill = { env: deps.env, link: deps.link, lanes: deps.lanes, bytesMax: deps.settings.bytesMax }
    this.#pollMs = deps.settings.busyPollMs
  }

  /** Everything of the owned shards is to be looked for. */
  sweepSoon(): void {
    this.#sweepsAsked++
    this.#isThorough = true
    this.#sweepAtMs = Number.NEGATIVE_INFINITY
    this.#sweepPlace = SWEEP_FROM_START
  }

  /** One turn of the loop; gives how long the next may wait. */
  async turn(ctx: Ctx): Promise<number> {
    const { lanes, shards, settings, link } = this.#deps
    if (shards.owned.size === 0) return settings.idlePollMs
    try {
      this.#snapshot ??= await readSnapshot(link, ctx)
      if (this.#nowMs >= this.#sweepAtMs) await this.#sweepInTime(ctx)
      if (this.#nowMs >= this.#discoverAtMs) this.#snapshot = await this.#discover(ctx, this.#snapshot)
      lanes.makeRoom()
      if (lanes.isHungry) await this.#readOn(ctx)
    } catch (error) {
      // The server may be another one now, where the snapshot means nothing.
      this.#snapshot = undefined
      this.sweepSoon()
      throw error
    } finally {
      lanes.readEnded()
    }
    return lanes.isHungry ? 0 : Math.max(1, this.#discoverAtMs - this.#nowMs)
  }

  get #nowMs(): number {
    return this.#deps.env.clock.monoMs()
  }

  /** A sweep of very many lanes, or over very many rows that can't be vacuumed away, takes its time: it must not be all that is done. */
  async #sweepInTime(ctx: Ctx): Promise<void> {
    const startedMs = this.#nowMs
    const asked = this.#sweepsAsked
    try {
      await this.#sweep(ctx)
      this.#sweepPlace = SWEEP_FROM_START
      if (asked !== this.#sweepsAsked) return
      this.#isThorough = false
      this.#sweepPage = Math.min(SWEEP_PAGE, this.#sweepPage * 2)
      const endedMs = this.#nowMs
      this.#sweepAtMs = endedMs + Math.max(this.#deps.settings.sweepMs, 20 * (endedMs - startedMs))
    } catch (error) {
      if (!hasCode(error, 'DEADLINE_EXCEEDED')) throw error
      // It goes on where it is, in smaller steps; what is known of is served meanwhile.
      tellFailure(this.#deps.log, 'sweep', error, 1)
      this.#sweepPage = Math.max(SWEEP_PAGE_MIN, this.#sweepPage >> 2)
      this.#sweepAtMs = this.#nowMs + SWEEP_AGAIN_MS
    }
  }

  async #sweep(ctx: Ctx): Promise<void> {
    const { lanes, shards, link, learn } = this.#deps
    lanes.tidy(this.#nowMs)
    lanes.readBegan()
    let place: SweepPlace | undefined = this.#sweepPlace
    while (place !== undefined) {
      this.#sweepPlace = place
      const page: SweptPage = await sweep(link, ctx, shards.numbers, place, this.#sweepPage)
      for (const { target_id, lane, kind, shard, is_keyed, delivery_id, due_us } of page.lanes) {
        const opened = this.#open(target_id, lane, kind, shard)
        if (is_keyed) opened?.scan()
        // Where rows may have been missed they lie anywhere behind the oldest, also if that one is in memory.
        else if (this.#isThorough || lanes.isNew(delivery_id)) opened?.stepBackTo(due_us, delivery_id)
      }
      place = page.next
    }
    lanes.readEnded()
    await learn(ctx)
    for (const lane of lanes.all()) lanes.feed(lane)
  }

  #open(targetId: string, lane: number, kind: string, shard: number): Lane | undefined {
    const { shards, kinds, lanes } = this.#deps
    const owned = shards.owned.get(shard)
    if (owned === undefined || owned.isLeaving || !kinds.has(kind)) return undefined
    return lanes.open(targetId, lane, kind, owned)
  }

  async #discover(ctx: Ctx, since: string): Promise<string> {
    const { lanes, shards, settings, link, learn } = this.#deps
    lanes.readBegan()
    const { rows, snapshot } = await discover(link, ctx, since, shards.numbers, DISCOVER_MAX)
    if (rows.length === DISCOVER_MAX) this.#overlook() // there is more than this: it is found where it lies
    const opened = rows.map((row) => this.#open(row.target_id, row.lane, row.kind, row.shard))
    if (opened.some((lane) => lane !== undefined && lane.of.gate.target === undefined)) await learn(ctx)
    const taken: Taken[] = []
    let isUseful = false
    for (const [index, row] of rows.entries()) {
      const lane = opened[index]
      if (lane !== undefined && !lane.isDropped) isUseful = this.#notice(lane, row, taken) || isUseful
    }
    lanes.readEnded()
    this.#pollMs = isUseful ? settings.busyPollMs : Math.min(settings.idlePollMs, this.#pollMs * IDLE_GROWTH)
    this.#discoverAtMs = this.#nowMs + this.#pollMs
    await this.#takeIn(ctx, taken)
    return snapshot
  }

  #overlook(): void {
    this.sweepSoon()
    for (const lane of this.#deps.lanes.all()) lane.countedMs = Number.NEGATIVE_INFINITY
  }

  /** A row that is new: taken at once where everything before it is in memory, else to be read at its place. True: nothing else led to it. */
  #notice(lane: Lane, row: DiscoveredRow, taken: Taken[]): boolean {
    const { lanes } = this.#deps
    if (lane.undone !== undefined) lane.undone++
    if (row.key_hash !== null) {
      const isNews = !lane.lines.has(row.key_hash)
      lane.freshen(row.key_hash, row.delivery_id)
      lanes.feed(lane)
      return isNews
    }
    if (row.due_in_ms > 0) {
      lanes.await(lane, row.due_in_ms, row.due_us, this.#nowMs)
      return false
    }
    const mayTake = !lane.hasMore && lane.blockedMs === 0 && lane.of.gate.isActive
    if (mayTake && taken.length < lanes.room && lane.size + taken.length < lanes.laneRowsMax) {
      lane.stepTo(row)
      if (lanes.isNew(row.delivery_id)) taken.push({ row, lane, line: undefined })
      return true
    }
    const isNews = !lane.hasMore
    lane.stepBackTo(row.due_us, row.delivery_id)
    lanes.feed(lane)
    return isNews
  }

  async #readOn(ctx: Ctx): Promise<void> {
    const { lanes } = this.#deps
    const chosen = [...lanes.hungry].slice(0, LANES_PER_READ)
    for (const lane of chosen) lanes.hungry.delete(lane)
    try {
      await scanLanes(this.#refill, ctx, chosen)
      await this.#takeIn(ctx, await refillDue(this.#refill, ctx, chosen))
      await this.#takeIn(ctx, await refillKeys(this.#refill, ctx, chosen))
    } finally {
      for (const lane of chosen) lanes.feed(lane)
    }
  }

  async #takeIn(ctx: Ctx, taken: readonly Taken[]): Promise<void> {
    if (taken.length === 0) return
    await this.#deps.refilled?.()
    const messages = await this.#load(ctx, taken)
    const nowMs = this.#nowMs
    for (const { row, lane, line } of taken) {
      // It was emptied meanwhile: what it had is read again.
      if (line !== undefined && lane.lines.get(line.hash) !== line) continue
      this.#deps.lanes.put({
        delivery: toDelivery(row, lane),
        lane,
        line,
        message: messages.get(lane.of.kind)?.get(row.message_id),
        bytes: row.bytes,
        dueMs: nowMs + row.due_in_ms,
        dueUs: row.due_us,
        startedMs: 0,
        lease: REFUSED,
        isEnded: false,
      })
    }
    this.#deps.pump()
  }

  async #load(ctx: Ctx, taken: readonly Taken[]): Promise<Map<string, ReadonlyMap<string, unknown>>> {
    const byKind = new Map<string, Set<string>>()
    for (const { row, lane } of taken) {
      const ids = byKind.get(lane.of.kind)
      if (ids === undefined) byKind.set(lane.of.kind, new Set([row.message_id]))
      else ids.add(row.message_id)
    }
    const messages = new Map<string, ReadonlyMap<string, unknown>>()
    try {
      for (const [name, ids] of byKind) {
        messages.set(name, await (this.#deps.kinds.get(name) as DeliveryKind).load(ctx, [...ids]))
      }
    } catch (error) {
      for (const one of taken) this.#giveBack(one)
      throw error
    }
    return messages
  }

  #giveBack({ row, lane, line }: Taken): void {
    if (line === undefined) lane.stepBackTo(row.due_us, row.delivery_id)
    else if (lane.lines.get(line.hash) === line) lane.gaveBack(line)
    this.#deps.lanes.feed(lane)
  }
}

function toDelivery(row: DeliveryRow, lane: Lane): Delivery {
  return {
    deliveryId: row.delivery_id,
    tenantId: lane.of.gate.target?.tenantId ?? '',
    targetId: lane.targetId,
    messageId: row.message_id,
    attempt: row.attempts + 1,
    mayRepeat: row.may_repeat,
    replayId: row.replay_id ?? undefined,
  }
}
