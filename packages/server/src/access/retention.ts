import type { Part } from '#platform/postgres'
import { expireAudit, expireKeys } from './store.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

export interface AccessRetention {
  /** Lines of the audit log; never less than a day, whatever is said here. */
  readonly auditMs?: number
  /** Keys, after they were revoked or had expired: until then they are shown. */
  readonly endedKeysMs?: number
}

interface Task {
  readonly name: string
  readonly everyMs: number
  readonly batch: (most: number) => Omit<Part, 'name'>
}

/** What this module leaves to upkeep. */
export function createAccessUpkeep({
  auditMs = 365 * DAY_MS,
  endedKeysMs = 90 * DAY_MS,
}: AccessRetention = {}): readonly Task[] {
  return [
    { name: 'audit-log', everyMs: HOUR_MS, batch: (most) => expireAudit(auditMs, most) },
    { name: 'api-keys', everyMs: HOUR_MS, batch: (most) => expireKeys(endedKeysMs, most) },
  ]
}
