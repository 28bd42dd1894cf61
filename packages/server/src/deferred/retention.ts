import type { Part } from '#platform/postgres'
import { dropOldRequests, makeRequestPartitions } from './store.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const DAYS_AHEAD = 7

interface Task {
  readonly name: string
  readonly everyMs: number
  readonly batch: (most: number) => Omit<Part, 'name'>
}

/** What this module leaves to upkeep. */
export function createDeferredUpkeep({ retentionDays }: { readonly retentionDays: number }): readonly Task[] {
  return [
    { name: 'deferred-requests', everyMs: HOUR_MS, batch: () => dropOldRequests(retentionDays * DAY_MS) },
    { name: 'deferred-partitions', everyMs: 6 * HOUR_MS, batch: () => makeRequestPartitions(DAYS_AHEAD) },
  ]
}
