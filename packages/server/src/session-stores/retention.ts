import type { Part } from '#platform/postgres'
import { expireEpochs, expireForks, expireLogs, expireSessions } from './retention-store.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const EPOCHS_KEPT = 1_000

export interface SessionsRetention {
  /** Sessions that ended or were deleted, their logs, and forks of any. While sessions are kept their ids are taken. */
  readonly endedMs?: number
}

interface Task {
  readonly name: string
  readonly everyMs: number
  readonly batch: (most: number) => Omit<Part, 'name'>
}

/** What this module leaves to upkeep. */
export function createSessionsUpkeep({ endedMs = 30 * DAY_MS }: SessionsRetention = {}): readonly Task[] {
  return [
    { name: 'session-logs', everyMs: HOUR_MS, batch: (most) => expireLogs(endedMs, most) },
    { name: 'sessions', everyMs: HOUR_MS, batch: (most) => expireSessions(endedMs, most) },
    { name: 'session-forks', everyMs: DAY_MS, batch: (most) => expireForks(endedMs, most) },
    { name: 'session-epochs', everyMs: DAY_MS, batch: (most) => expireEpochs(EPOCHS_KEPT, most) },
  ]
}
