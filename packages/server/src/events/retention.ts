import type { Part } from '#platform/postgres'
import { expireRejected } from './outbox-store.ts'
import { dropOldEvents, expireKeys, makeEventPartitions } from './store.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const DAYS_AHEAD = 7

export interface EventsRetention {
  /** Whole days of events are dropped after it, once nothing of them is still to be sent. */
  readonly eventsMs?: number
  /** For so long a repetition of an event that its publisher named is found; no shorter than Idempotency-Keys are kept. */
  readonly keysMs?: number
  /** What came through the outbox and is no event. */
  readonly rejectedMs?: number
}

interface Task {
  readonly name: string
  readonly everyMs: number
  readonly batch: (most: number) => Omit<Part, 'name'>
}

/** What this module leaves to upkeep. */
export function createEventsUpkeep({
  eventsMs = 30 * DAY_MS,
  keysMs = 7 * DAY_MS,
  rejectedMs = 90 * DAY_MS,
}: EventsRetention = {}): readonly Task[] {
  return [
    { name: 'event-partitions', everyMs: HOUR_MS, batch: () => makeEventPartitions(DAYS_AHEAD) },
    { name: 'events', everyMs: HOUR_MS, batch: () => dropOldEvents(eventsMs) },
    { name: 'event-keys', everyMs: HOUR_MS / 12, batch: (most) => expireKeys(keysMs, most) },
    { name: 'rejected-events', everyMs: HOUR_MS, batch: (most) => expireRejected(rejectedMs, most) },
  ]
}
