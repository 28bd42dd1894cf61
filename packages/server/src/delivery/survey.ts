// Survey: what the tables look like, for the metrics. Each worker looks after the lanes that it owns; dead letters are nobody's, and are
// counted by the owner of the first shard. Costs a probe of an index for each lane, and a bounded count a minute.
// Invariants:
//   DL10. Late is what an active target should have got; what is kept for a parked one is not.

import type { Ctx, Env, Gauge, Link, Metrics } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { countDeadLetters, DEAD_COUNTED_MAX } from './dead-letter-store.ts'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { Shards } from './shards.ts'
import { readLateness } from './store.ts'

/** Lanes that are looked at: beyond it, the rest is like these. */
const LANES_MAX = 10_000
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
  readonly #ratios = new Map<string, Gauge>()
  readonly #dead = new Map<string, Gauge>()
  #countAtMs = Number.NEGATIVE_INFINITY

  constructor(deps: SurveyDeps) {
    this.#deps = deps
    const help = 'By how much what is due for longest is late; also what waits behind another of its key'
    this.#late = deps.metrics.gauge('delivery_oldest_undone_seconds', help)
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
    const most = new Map<string, number>([...this.#ratios.keys()].map((kind) => [kind, 0]))
    for (const { kind, gate, lanes: of } of lanes.targets.values()) {
      const max = gate.target?.backlogMax
      if (max === undefined) continue
      const undone = [...of].reduce((sum, { undone = 0 }) => sum + undone, 0)
      most.set(kind, Math.max(most.get(kind) ?? 0, undone / max))
    }
    for (const [kind, ratio] of most) {
      const help = 'What is undone for a target against what may be, of the fullest one'
      const gauge = this.#ratios.get(kind) ?? metrics.gauge('delivery_backlog_ratio', help, { kind })
      this.#ratios.set(kind, gauge)
      gauge.set(ratio)
    }
  }

  async #countDead(ctx: Ctx): Promise<void> {
    const { env, link, metrics } = this.#deps
    const nowMs = env.clock.monoMs()
    if (nowMs < this.#countAtMs) return
    const counts = new Map([...this.#dead.keys()].map((reason) => [reason, 0]))
    for (const { reason, count } of await countDeadLetters(link, ctx)) counts.set(reason, count)
    this.#countAtMs = nowMs + COUNT_EVERY_MS
    for (const [reason, count] of counts) {
      const help = `Dead letters that are kept, by reason; of more than ${DEAD_COUNTED_MAX} only so many are counted`
      const gauge = this.#dead.get(reason) ?? metrics.gauge('dead_letters', help, { reason })
      this.#dead.set(reason, gauge)
      gauge.set(count)
    }
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
