import type { Part } from '#platform/postgres'
import { expireJobs } from './store.ts'

const DAY_MS = 86_400_000
const EVERY_MS = 3_600_000

interface Task {
  readonly name: string
  readonly everyMs: number
  readonly batch: (most: number) => Omit<Part, 'name'>
}

/** What this module leaves to upkeep: jobs that ended are shown for so long. */
export function createReplaysUpkeep({ endedMs = 90 * DAY_MS }: { readonly endedMs?: number } = {}): readonly Task[] {
  return [{ name: 'replays', everyMs: EVERY_MS, batch: (most) => expireJobs(endedMs, most) }]
}
