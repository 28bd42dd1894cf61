// How much of what Redis acknowledged is in Redis alone.

import type { Redis } from 'ioredis'
import { SHARD_KEYS } from './redis-keys.ts'

/** Commits that are not drained, over all shards. */
export async function countBacklog(redis: Redis): Promise<number> {
  const pipeline = redis.pipeline()
  for (const { added, drained } of SHARD_KEYS) pipeline.get(added).get(drained)
  const counts = await resultsOf<string | null>(pipeline)
  let backlog = 0
  for (let at = 0; at < counts.length; at += 2) {
    const drained = Number(counts[at + 1]?.split(' ')[1] ?? 0)
    backlog += Math.max(0, Number(counts[at] ?? 0) - drained)
  }
  return backlog
}

/** Of a pipeline: all of them, or the first failure. */
export async function resultsOf<T>(pipeline: ReturnType<Redis['pipeline']>): Promise<T[]> {
  const results = (await pipeline.exec()) ?? []
  return results.map(([error, result]) => {
    if (error) throw error
    return result as T
  })
}
