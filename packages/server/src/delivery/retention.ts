import type { Part } from '#platform/postgres'
import { dropOldAttempts, expireDeadLetters, makeAttemptPartitions } from './settling-store.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const DAYS_AHEAD = 7

export interface DeliveryRetention {
  /** Whole days of attempts are dropped after it. */
  readonly attemptsMs?: number
  /** While a dead letter is kept, so is its event. */
  readonly deadLettersMs?: number
}

interface Task {
  readonly name: string
  readonly everyMs: number
  readonly batch: (most: number) => Omit<Part, 'name'>
}

/** What this module leaves to upkeep. */
export function createDeliveryUpkeep({
  attemptsMs = 30 * DAY_MS,
  deadLettersMs = 90 * DAY_MS,
}: DeliveryRetention = {}): readonly Task[] {
  return [
    { name: 'attempt-partitions', everyMs: HOUR_MS, batch: () => makeAttemptPartitions(DAYS_AHEAD) },
    { name: 'attempts', everyMs: HOUR_MS, batch: () => dropOldAttempts(attemptsMs) },
    { name: 'dead-letters', everyMs: HOUR_MS, batch: (most) => expireDeadLetters(deadLettersMs, most) },
  ]
}
