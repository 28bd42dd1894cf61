// Tending: what the engine does beside sending. It keeps up with what kinds know of targets, buries what is kept for targets that are
// gone or were parked too long, and counts what is undone.
// Invariants:
//   DL8. What is undone for a target that is gone becomes a dead letter `deleted`; for one that was parked beyond the bound, `expired`.

import type { Ctx, Env, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { DeliveryKind } from './kind.ts'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { DeliverySettings } from './settings.ts'
import { bury } from './settling-store.ts'
import { countUndone } from './store.ts'

const BURY_MAX = 1_000
const BURIALS_PER_TURN = 20
const EXPIRE_EVERY_MS = 600_000
const COUNT_EVERY_MS = 60_000
const COUNT_MANY_EVERY_MS = 600_000
const COUNT_LANES = 64
/** What costs more to count is counted less often. */
const COUNT_MANY = 100_000

export interface TendingDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly kinds: ReadonlyMap<string, DeliveryKind>
  readonly lanes: Lanes
  readonly settings: DeliverySettings
  readonly workerId: string
  readonly pump: () => void
}

export class Tending {
  readonly #deps: TendingDeps
  /** Targets that their kind does not know. */
  readonly #gone = new Set<string>()
  readonly #told = new Map<string, { readonly kind: string; readonly undone: number }>()
  readonly #expireEveryMs: number
  #expireAtMs: number

  constructor(deps: TendingDeps) {
    this.#deps = deps
    this.#expireEveryMs = Math.min(EXPIRE_EVERY_MS, deps.settings.parkedMsMax)
    this.#expireAtMs = deps.env.clock.monoMs() + this.#expireEveryMs
  }

  /** Asks the kinds about all targets, or only about those that nothing is known of. */
  async learn(ctx: Ctx, all: boolean): Promise<void> {
    const { env, kinds, lanes, pump } = this.#deps
    const byKind = new Map<string, string[]>()
    for (const [targetId, { kind, gate }] of lanes.targets) {
      if (!all && (gate.target !== undefined || this.#gone.has(targetId))) continue
      const of = byKind.get(kind)
      if (of === undefined) byKind.set(kind, [targetId])
      else of.push(targetId)
    }
    for (const [name, ids] of byKind) {
      const known = await (kinds.get(name) as DeliveryKind).targets(ctx, ids)
      const nowMs = env.clock.monoMs()
      for (const id of ids) {
        const target = known.get(id)
        if (target === undefined) this.#gone.add(id)
        else this.#gone.delete(id)
        lanes.know(id, target, nowMs)
      }
    }
    if (byKind.size > 0) pump()
  }

  /** One turn of the loop. */
  async turn(ctx: Ctx): Promise<void> {
    for (const id of this.#gone) if (!this.#deps.lanes.targets.has(id)) this.#gone.delete(id)
    await this.#buryGone(ctx)
    await this.#expireParked(ctx)
    await this.#count(ctx)
    await this.#tellBacklog(ctx)
  }

  /** Another worker has the lane: it tells of its backlog. */
  forget({ targetId }: Lane): void {
    this.#told.delete(targetId)
  }

  async #buryGone(ctx: Ctx): Promise<void> {
    const { lanes } = this.#deps
    let left = BURIALS_PER_TURN
    for (const id of this.#gone) {
      for (const lane of [...(lanes.targets.get(id)?.lanes ?? [])]) {
        while (lane.underWay === 0 && left-- > 0) {
          const buried = await this.#bury(ctx, lane, 'deleted', 0)
          if (buried === BURY_MAX) continue
          if (buried !== undefined) lanes.drop(lane)
          break
        }
      }
    }
  }

  #bury(ctx: Ctx, lane: Lane, reason: 'deleted' | 'expired', overdueMs: number): Promise<number | undefined> {
    const { link, workerId } = this.#deps
    const { targetId, number, shard } = lane
    const where = { targetId, lane: number, shard: shard.shard, epoch: shard.epoch }
    return bury(link, ctx, workerId, where, reason, overdueMs, BURY_MAX)
  }

  async #expireParked(ctx: Ctx): Promise<void> {
    const { env, lanes, settings } = this.#deps
    if (env.clock.monoMs() < this.#expireAtMs) return
    this.#expireAtMs = env.clock.monoMs() + this.#expireEveryMs
    const parked = [...lanes.all()].filter(({ of, underWay }) => of.gate.target?.state === 'parked' && underWay === 0)
    for (const lane of parked) {
      for (let batch = 0; batch < BURIALS_PER_TURN; batch++) {
        if ((await this.#bury(ctx, lane, 'expired', settings.parkedMsMax)) !== BURY_MAX) break
      }
      lane.countedMs = Number.NEGATIVE_INFINITY
    }
  }

  /** Some lanes a turn: those never counted first, then those counted longest ago. */
  async #count(ctx: Ctx): Promise<void> {
    const { env, link, lanes, settings } = this.#deps
    const nowMs = env.clock.monoMs()
    const dueMs = ({ countedMs, undone = 0 }: Lane): number =>
      countedMs + (undone > COUNT_MANY ? COUNT_MANY_EVERY_MS : COUNT_EVERY_MS)
    const due = [...lanes.all()].filter((lane) => dueMs(lane) <= nowMs)
    const some = due.sort((one, other) => one.countedMs - other.countedMs).slice(0, COUNT_LANES)
    if (some.length === 0) return
    const questions = some.map((lane) => ({ targetId: lane.targetId, lane: lane.number }))
    for (const { place, undone } of await countUndone(link, ctx, questions, settings.countMax)) {
      const lane = some[place - 1] as Lane
      lane.undone = undone
      lane.countedMs = nowMs
    }
  }

  async #tellBacklog(ctx: Ctx): Promise<void> {
    const { kinds, lanes } = this.#deps
    for (const [name, kind] of kinds) {
      if (kind.backlog === undefined) continue
      const moved = new Map<string, number>()
      for (const [targetId, undone] of this.#backlogOf(name)) {
        if (this.#told.get(targetId)?.undone !== undone) moved.set(targetId, undone)
      }
      if (moved.size === 0) continue
      await kind.backlog(ctx, moved)
      for (const [targetId, undone] of moved) this.#told.set(targetId, { kind: name, undone })
    }
    for (const [targetId, { undone }] of this.#told) {
      if (undone === 0 && !lanes.targets.has(targetId)) this.#told.delete(targetId)
    }
  }

  /** A target without lanes has nothing undone, if what it had was ours: else its next owner tells of it. */
  #backlogOf(name: string): Map<string, number> {
    const { targets } = this.#deps.lanes
    const backlog = new Map<string, number>()
    for (const [targetId, { kind }] of this.#told) if (kind === name && !targets.has(targetId)) backlog.set(targetId, 0)
    for (const [targetId, { kind, lanes }] of targets) {
      if (kind !== name) continue
      const counts = [...lanes].map(({ undone }) => undone)
      if (!counts.includes(undefined))
        backlog.set(
          targetId,
          counts.reduce<number>((sum, undone) => sum + (undone ?? 0), 0),
        )
    }
    return backlog
  }
}
