// The edge: everything that a user's request meets, on one port. The gateway carries traffic also while Postgres is away;
// the control API says so.

import { startGateway } from '#gateway'
import { createRequestGuard, startControlApi, startHttpServer } from '#platform/http'
import { createPostgresLink, startMigrations } from '#platform/postgres'
import { createRedisLink } from '#platform/redis'
import type { RoleDeps, RunningRole } from './main.ts'

export async function startEdge({ env, log, config, mesh, channel }: RoleDeps): Promise<RunningRole> {
  await using starting = new AsyncDisposableStack()
  const postgres = createPostgresLink({ mesh, postgres: config.postgres })
  channel.onDatabase(postgres.moveTo)
  postgres.link.start()
  const redis = createRedisLink({ mesh, redis: config.redis })
  redis?.start()
  const migrations = starting.use(startMigrations({ env, log, postgres }))
  void migrations
  const principal = { tenantId: 'default', actor: 'open', scopes: new Set(['admin']) } as never
  const gateway = starting.use(
    startGateway({
      mesh,
      env,
      log,
      config,
      authenticate: () => ({ tenantId: 'default', keyId: undefined, scopes: [] }),
      redis,
    }),
  )
  const control = starting.use(
    await startControlApi({
      env,
      log,
      metrics: mesh.metrics,
      routes: [],
      authenticate: () => principal,
      allowedOrigins: config.server.allowedOrigins,
      bodyBytesMax: config.server.bodyBytesMax,
    }),
  )
  const server = starting.use(
    await startHttpServer({
      env,
      log,
      metrics: mesh.metrics,
      server: config.server,
      guard: createRequestGuard({
        mode: config.access.mode,
        host: config.server.host,
        allowedOrigins: config.server.allowedOrigins,
      }),
      control,
      gateway,
    }),
  )
  const owned = starting.move()
  let closing: Promise<void> | undefined
  return { address: server.url, [Symbol.asyncDispose]: () => (closing ??= owned.disposeAsync()) }
}
