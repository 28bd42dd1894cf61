// Periods. What this process remembers of the epochs: which store had the authority, and the interruption that each began after.

import type { AuthorityMode, Outage } from './authority.ts'

/** An epoch as Postgres keeps it. */
export interface Period extends Outage {
  readonly mode: AuthorityMode
  readonly reason: PeriodReason
}

export type PeriodReason =
  /** There was none before. */
  | 'first'
  /** Sessions could not be served for longer than their clocks may pay for. */
  | 'interrupted'
  /** Redis is another server than before, or started anew. */
  | 'redis_replaced'
  /** Redis does not know the epoch any more: it lost what it had. */
  | 'redis_lost'
  /** Redis knows a later epoch than Postgres: Postgres was set back. */
  | 'redis_ahead'
  /** Nobody sees Redis: Postgres serves. */
  | 'redis_gone'
  /** Everybody sees Redis again. */
  | 'redis_back'

/** So many are remembered; of older ones Postgres is asked. */
export const PERIODS_KEPT = 256

export class Periods {
  #kept: readonly Period[] = []

  get newest(): Period | undefined {
    return this.#kept.at(-1)
  }

  /** Takes over what was learned, oldest first; what is known already is left out. */
  learn(periods: readonly Period[]): void {
    const knownEpoch = this.newest?.epoch ?? 0
    this.#kept = [...this.#kept, ...periods.filter(({ epoch }) => epoch > knownEpoch)].slice(-PERIODS_KEPT)
  }

  /** The outages of the epochs after `epoch` up to `lastEpoch`, oldest first; undefined: memory does not reach back so far. */
  outagesBetween(epoch: number, lastEpoch: number): readonly Outage[] | undefined {
    const oldest = this.#kept[0]
    if (oldest === undefined || epoch + 1 < oldest.epoch) return undefined
    return this.#between(epoch, lastEpoch).map(toOutage)
  }

  /** Redis has had the authority in all epochs after `epoch` up to `lastEpoch`, and each began with no more than an interruption. */
  areContinuous(epoch: number, lastEpoch: number): boolean {
    const periods = this.#between(epoch, lastEpoch)
    const isWhole = periods.length > 0 && epoch + 1 >= (this.#kept[0]?.epoch ?? 0)
    return isWhole && periods.every(({ mode, reason }) => mode === 'redis' && reason === 'interrupted')
  }

  #between(epoch: number, lastEpoch: number): readonly Period[] {
    return this.#kept.filter((period) => period.epoch > epoch && period.epoch <= lastEpoch)
  }
}

export function toOutage({ epoch, sinceMs, untilMs }: Outage): Outage {
  return { epoch, sinceMs, untilMs }
}
