// The stores of a process that serves sessions, and who has the authority over them.

import type { Adapter, Env, Link, Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Redis } from 'ioredis'
import type { Log } from '#platform/telemetry'
import { type RunningAuthority, startAuthority } from './authority-start.ts'
import { createHybridStore } from './hybrid-store.ts'
import { startPostgresStore } from './postgres-store.ts'
import { createRedisFeed } from './redis-feed.ts'
import { createRedisStore } from './redis-store.ts'
import type { SessionStore } from './store.ts'
import { startSweep } from './sweep.ts'

/** The link to Redis, and what a second one, to hear from it, is made of. */
export interface SessionsRedis {
  readonly link: Link<Redis>
  readonly adapter: Parameters<typeof createRedisFeed>[0]['adapter']
}

export interface SessionStoresDeps {
  readonly env: Env
  readonly log: Log
  readonly mesh: Mesh
  readonly link: Link<PostgresPool>
  /** Of the same database, with one connection: beats don't wait behind whatever the pool of `link` is busy with. */
  readonly beatsAdapter: Adapter<PostgresPool>
  /** Undefined: sessions are in Postgres alone. */
  readonly redis: SessionsRedis | undefined
  /** Of this process, a UUID; the same when it starts anew. */
  readonly nodeId: string
  readonly endedTtlMs: number
  readonly backlogMax: number
}

export interface SessionStores extends AsyncDisposable {
  readonly store: SessionStore
  readonly authority: RunningAuthority
}

const BEATS_LINK = 'postgres.session-beats'
const BEATS_DEADLINE_MS = 1_000

/** Waits for nothing: until the authority is known, the store throws NOT_READY. */
export function startSessionStores(deps: SessionStoresDeps): SessionStores {
  const { env, log, mesh, link, redis, nodeId } = deps
  const owned = new AsyncDisposableStack()
  const beats = mesh.link(
    BEATS_LINK,
    deps.beatsAdapter,
    { deadlineMs: BEATS_DEADLINE_MS, critical: false, recoverWithinMs: 1_500 },
    { name: 'postgres', kind: 'database' },
  )
  beats.start()
  const authority = owned.use(startAuthority({ env, log, mesh, link: beats, redis: redis?.link, nodeId }))
  const postgres = owned.use(startPostgresStore({ env, log, link }))
  const inRedis = redis === undefined ? undefined : createInRedis(deps, redis, postgres)
  const store = createHybridStore({ log, metrics: mesh.metrics, authority, redis: inRedis, postgres, link })
  if (redis !== undefined)
    owned.use(startSweep({ env, log, metrics: mesh.metrics, link, authority, store, owner: nodeId }))
  return { store, authority, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function createInRedis(
  { env, mesh, endedTtlMs, backlogMax }: SessionStoresDeps,
  { link, adapter }: SessionsRedis,
  archive: SessionStore,
): ReturnType<typeof createRedisStore> {
  const feed = createRedisFeed({ mesh, adapter })
  feed.link.start()
  return createRedisStore({ env, link, feed, archive, endedTtlMs, backlogMax })
}
