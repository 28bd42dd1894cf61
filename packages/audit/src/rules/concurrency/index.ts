// The rules of concurrency.

import type { Rule } from '../rule.ts'
import { blockingInAsync } from './blocking-in-async.ts'
import { cacheStampede } from './cache-stampede.ts'
import { checkThenActRace } from './check-then-act-race.ts'
import { lockNoExpiry } from './lock-no-expiry.ts'
import { lostUpdate } from './lost-update.ts'
import { missingIdempotency } from './missing-idempotency.ts'
import { overlappingInterval } from './overlapping-interval.ts'
import { overwriteOnCreate } from './overwrite-on-create.ts'
import { redisKeysBlocking } from './redis-keys-blocking.ts'
import { stateInMemory } from './state-in-memory.ts'
import { txWithOutbound } from './tx-with-outbound.ts'

export const concurrencyRules: readonly Rule[] = [
  checkThenActRace,
  lostUpdate,
  missingIdempotency,
  overwriteOnCreate,
  lockNoExpiry,
  blockingInAsync,
  txWithOutbound,
  overlappingInterval,
  redisKeysBlocking,
  stateInMemory,
  cacheStampede,
]
