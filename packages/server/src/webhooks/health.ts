// The health of endpoints: kept in memory from every attempt, written with the batches that settle them, at most once in WRITE_MS for
// an endpoint, but at once when one that was written down as failing succeeds. A crash loses the last seconds of it, no more.
// Invariants:
//   WK6. An endpoint's health is written at most once in WRITE_MS, and once more when it recovers, however many attempts there are.

import type { Settled } from '#delivery'
import type { Presence } from './answer.ts'
import type { HealthNews } from './health-store.ts'

export const WRITE_MS = 5_000
/** Endpoints of which something is remembered; beyond it the one that was heard of first is forgotten. */
const KNOWN_MAX = 50_000

interface Known {
  wroteMonoMs: number
  /** As written down last, as far as this process knows. */
  isWrittenFailing: boolean
  lastAttemptWallMs: number
  lastSuccessWallMs: number | undefined
  failingSinceWallMs: number | undefined
  missing: number
  isMissingReset: boolean
  /** In a row, with what was written before. */
  missingInARow: number
}

/** What was known of it when it was read. */
export interface HealthBefore {
  readonly isFailing: boolean
  readonly missingInARow: number
}

export class HealthBook {
  readonly #known = new Map<string, Known>()

  /** Takes an attempt in; gives how many answers in a row say that nobody is there. */
  record({ delivery, answer, wallMs }: Settled, presence: Presence, before: HealthBefore): number {
    const known = this.#know(delivery.targetId, before)
    known.lastAttemptWallMs = wallMs
    if (answer.outcome === 'delivered') {
      known.lastSuccessWallMs = wallMs
      known.failingSinceWallMs = undefined
    } else known.failingSinceWallMs ??= wallMs
    if (presence === 'missing') {
      known.missing++
      known.missingInARow++
    } else if (presence === 'there') {
      known.missing = 0
      known.missingInARow = 0
      known.isMissingReset = true
    }
    return known.missingInARow
  }

  /** What of these endpoints is to be written now. It counts as written. */
  take(endpointIds: Iterable<string>, monoMs: number): HealthNews[] {
    const news: HealthNews[] = []
    for (const endpointId of endpointIds) {
      const known = this.#known.get(endpointId)
      if (known === undefined) continue
      const recovers = known.isWrittenFailing && known.lastSuccessWallMs !== undefined
      if (monoMs - known.wroteMonoMs < WRITE_MS && !recovers) continue
      const { lastAttemptWallMs, lastSuccessWallMs, failingSinceWallMs, missing, isMissingReset } = known
      news.push({ endpointId, lastAttemptWallMs, lastSuccessWallMs, failingSinceWallMs, missing, isMissingReset })
      known.wroteMonoMs = monoMs
      known.isWrittenFailing = failingSinceWallMs !== undefined
      known.lastSuccessWallMs = undefined
      known.missing = 0
      known.isMissingReset = false
    }
    return news
  }

  /** It is active again: what was before says nothing about it. */
  forget(endpointId: string): void {
    this.#known.delete(endpointId)
  }

  #know(endpointId: string, before: HealthBefore): Known {
    const known = this.#known.get(endpointId)
    if (known !== undefined) return known
    const made: Known = {
      wroteMonoMs: Number.NEGATIVE_INFINITY,
      isWrittenFailing: before.isFailing,
      lastAttemptWallMs: 0,
      lastSuccessWallMs: undefined,
      failingSinceWallMs: undefined,
      missing: 0,
      isMissingReset: false,
      missingInARow: before.missingInARow,
    }
    this.#known.set(endpointId, made)
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value as string)
    return made
  }
}
