// Live sessions, composed: an edge serves them, over HTTP and WebSockets; a work process drains what Redis has into Postgres.

import type { IncomingMessage } from 'node:http'
import type { Route } from '#platform/http'
import type { createPostgresLink } from '#platform/postgres'
import { createAddressOf } from '#platform/rate'
import type { RedisOfMesh } from '#platform/redis'
import type { Sealer } from '#platform/sealing'
import { type SessionSockets, startSessionSockets } from '#session-sockets'
import { startSessionStores, startWriteBehind } from '#session-stores'
import { type Authenticate, createSessionApi, createSessionService, startTimeouts } from '#sessions'
import type { RoleDeps } from './role.ts'

const SECOND_MS = 1_000

type PostgresLink = ReturnType<typeof createPostgresLink>

export interface Ground {
  readonly postgres: PostgresLink
  readonly redis: RedisOfMesh | undefined
  readonly sealer: Sealer
  /** Of this process. */
  readonly nodeId: string
}

export interface EdgeSessions extends AsyncDisposable {
  readonly routes: readonly Route[]
  /** Session tokens, and whatever `authenticate` knows. */
  readonly authenticate: Authenticate
  readonly sockets: SessionSockets
  readonly addressOf: (request: IncomingMessage) => string
}

/** Are sessions kept in Redis? */
function servingRedis({ config }: Pick<RoleDeps, 'config'>, redis: RedisOfMesh | undefined): RedisOfMesh | undefined {
  return config.sessions.store === 'postgres' ? undefined : redis
}

export function startEdgeSessions(
  deps: RoleDeps,
  { postgres, redis, sealer, nodeId }: Ground,
  authenticate: Authenticate,
): EdgeSessions {
  const { env, log, config, mesh } = deps
  const owned = new AsyncDisposableStack()
  const { store, authority } = owned.use(
    startSessionStores({
      env,
      log,
      mesh,
      link: postgres.link,
      beatsAdapter: postgres.adapter(1),
      redis: servingRedis(deps, redis),
      nodeId,
      endedTtlMs: config.sessions.endedTtlS * SECOND_MS,
      backlogMax: config.sessions.backlogMax,
    }),
  )
  const { metrics } = mesh
  const service = createSessionService({ env, metrics, store, authority })
  owned.use(startTimeouts({ env, log, store, service, authority }))
  const api = createSessionApi({
    env,
    service,
    store,
    sealer,
    authenticate,
    redis: redis?.link,
    processes: 1,
    limits: config.sessionLimits,
  })
  const addressOf = createAddressOf(config.server.trustProxy)
  const sockets = owned.use(
    startSessionSockets({
      env,
      log,
      metrics,
      service,
      authenticate: api.authenticate,
      limits: api.limits,
      addressOf,
    }),
  )
  return {
    routes: api.routes,
    authenticate: api.authenticate,
    sockets,
    addressOf,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Undefined: there is nothing to drain. */
export function startDraining(
  deps: RoleDeps,
  { postgres, redis, nodeId }: Omit<Ground, 'sealer'>,
): AsyncDisposable | undefined {
  const serving = servingRedis(deps, redis)
  if (serving === undefined) return undefined
  const { env, log, config, mesh } = deps
  return startWriteBehind({
    env,
    log,
    metrics: mesh.metrics,
    redis: serving.link,
    link: postgres.link,
    owner: nodeId,
    endedTtlMs: config.sessions.endedTtlS * SECOND_MS,
  })
}
