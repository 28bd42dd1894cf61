// Two copies of a session: Redis's, and Postgres's, which is drained from it or was written while Redis was gone. Which of them goes on.
// Invariants:
//   HY1. A later epoch wins, then a later version: the one that is ahead extends the other, or supersedes what an earlier authority still
//        accepted. Two that stand at the same place with other heads are a fork: Postgres's goes on, and people are told.

import type { StoredSession } from './store.ts'

export type Ahead = 'redis' | 'postgres' | 'same' | 'fork'

type Standing = Pick<StoredSession, 'epoch' | 'version' | 'head'>

export function whichIsAhead(inRedis: Standing, archived: Standing): Ahead {
  if (inRedis.epoch !== archived.epoch) return inRedis.epoch > archived.epoch ? 'redis' : 'postgres'
  if (inRedis.version !== archived.version) return inRedis.version > archived.version ? 'redis' : 'postgres'
  return inRedis.head === archived.head ? 'same' : 'fork'
}
