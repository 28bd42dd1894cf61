// Survey: what the tables look like, for the metrics. Each worker looks after the lanes that it owns; dead letters are nobody's, and are
// counted by the owner of the first shard.
// Invariants:
//   DL10. Late is what an active target should have got; what is kept for a parked one is not.

import type { Ctx, Env, Gauge, Link, Metrics } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { DEAD_REASONS } from '@ripstop/protocol'
import { countDeadLetters, DEAD_COUNTED_MAX } from './dead-letter-store.ts'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { Shards } from './shards.ts'
import { readLateness } from './store.ts'

/** Lanes that are looked at, 10 us each; the rest is taken to be like these. */
const LANES_MAX = 4_096
const COUNT_EVERY_MS = 60_000

export interface SurveyDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly metrics: Metrics
  readonly lanes: Lanes
  readonly shards: Shards
}

export class Survey {
  readonly #deps: SurveyDeps
  readonly #late: Gauge
  readonly #kinds = new Set<string>()
  readonly #dead: ReadonlyMap<string, Gauge>
  #countAtMs = Number.NEGATIVE_INFINITY

  constructor(deps: SurveyDeps) {
    this.#deps = deps
    const help = 'By how much what is due for longest is late; also what waits behind another of its key'
    this.#late = deps.metrics.gauge('delivery_oldest_undone_seconds', help)
    const helpDead = `Dead letters that are kept, by reason; of more than ${DEAD_COUNTED_MAX} only so many are counted`
    this.#dead = new Map(
      DEAD_REASONS.map((reason) => [reason, deps.metrics.gauge('dead_letters', helpDead, { reason })]),
    )
    this.#forgetDead()
  }

  /** Throws what the link throws; what was told last stands until the next turn. */
  async turn(ctx: Ctx): Promise<void> {
    const { link, lanes, shards } = this.#deps
    const active = [...lanes.all()].filter(({ of }) => of.gate.isActive).slice(0, LANES_MAX)
    this.#late.set(active.length === 0 ? 0 : await readLateness(link, ctx, active.map(placeOf)))
    this.#tellBacklogs()
    if (shards.owned.has(0)) await this.#countDead(ctx)
    else this.#forgetDead()
  }

  /** How full the fullest is, of each kind whose targets have a bound. */
  #tellBacklogs(): void {
    const { lanes, metrics } = this.#deps
    const most = new Map([...this.#kinds].map((kind) => [kind, 0]))
    for (const { kind, gate, lanes: of } of lanes.targets.values()) {
      const max = gate.target?.backlogMax
      if (max === undefined) continue
      const undone = [...of].reduce((sum, { undone = 0 }) => sum + undone, 0)
      most.set(kind, Math.max(most.get(kind) ?? 0, undone / max))
    }
    for (const [kind, ratio] of most) {
      const help = 'What is undone for a target against what may be, of the fullest one'
      metrics.gauge('delivery_backlog_ratio', help, { kind }).set(ratio)
      this.#kinds.add(kind)
    }
  }

  async #countDead(ctx: Ctx): Promise<void> {
    const { env, link } = this.#deps
    const nowMs = env.clock.monoMs()
    if (nowMs < this.#countAtMs) return
    const counts = new Map((await countDeadLetters(link, ctx)).map(({ reason, count }) => [reason, count]))
    this.#countAtMs = nowMs + COUNT_EVERY_MS
    for (const [reason, gauge] of this.#dead) gauge.set(counts.get(reason) ?? 0)
  }

  /** Another worker tells of them. */
  #forgetDead(): void {
    this.#countAtMs = Number.NEGATIVE_INFINITY
    for (const gauge of this.#dead.values()) gauge.set(Number.NaN)
  }
}

function placeOf({ targetId, number }: Lane) {
  return { targetId, lane: number }
}
