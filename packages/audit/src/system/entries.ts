// Where the world enters: routes, consumers of messages, timers, signals, start-up and shutdown. Of the frameworks that people use (Express, Fastify, Koa,
// Hono, Nest, Next; FastAPI, Flask, Django, Starlette, aiohttp; Bull, KafkaJS, amqplib, Celery …).

import type { Value } from '../facts/facts.ts'
import type { BlockRef, CallSite } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'

export interface Entry {
  readonly kind:
    | 'route'
    | 'middleware'
    | 'consumer'
    | 'interval'
    | 'schedule'
    | 'signal'
    | 'startup'
    | 'shutdown'
    | 'listener'
  /** Routes: `GET /orders/:id`; signals: `SIGTERM`; consumers: their queue or topic; listeners: the event. '' where it is not known. */
  readonly name: string
  /** Of the library or framework: 'express', 'fastapi', 'node' … */
  readonly framework: string
  readonly site: CallSite
  /** Undefined: it is not a function of the repository. */
  readonly handler: BlockRef | undefined
  /** Routes: what stands before the handler, and what its router or application uses. */
  readonly before: readonly Value[]
}

const KEPT = new WeakMap<Repository, readonly Entry[]>()

/** Found once for a repository, and kept. In the order of files and lines. */
export function entriesOf(repository: Repository): readonly Entry[] {
  const kept = KEPT.get(repository) ?? findEntries(repository)
  KEPT.set(repository, kept)
  return kept
}

function findEntries(_repository: Repository): readonly Entry[] {
  return []
}
