// The rules of bounds: memory, queues, listeners, payloads, answers, parallel work.

import type { Rule } from '../rule.ts'
import { listenerLeak } from './listener-leak.ts'
import { unboundedConcurrency } from './unbounded-concurrency.ts'
import { unboundedMemory } from './unbounded-memory.ts'
import { unboundedPayload } from './unbounded-payload.ts'
import { unboundedQuery } from './unbounded-query.ts'
import { unboundedQueue } from './unbounded-queue.ts'
import { wsNoMaxPayload } from './ws-no-max-payload.ts'

export const boundsRules: readonly Rule[] = [
  unboundedMemory,
  unboundedQueue,
  listenerLeak,
  unboundedPayload,
  wsNoMaxPayload,
  unboundedConcurrency,
  unboundedQuery,
]
