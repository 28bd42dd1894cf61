// The edge: everything that a user's request meets, on one port. The gateway carries traffic also while Postgres is away;
// the control API says so.

import { startAccess } from '#access'
import { API_VERSION } from '#api-docs'
import { createDefer } from '#deferred'
import { startGateway } from '#gateway'
import { startHealth } from '#health'
import { createRequestGuard, startControlApi, startHttpServer, withDocuments } from '#platform/http'
import { createPostgresLink, startMigrations } from '#platform/postgres'
import { startApi } from './api.ts'
import { createPublishing } from './publishing.ts'
import type { RoleDeps, RunningRole } from './role.ts'

export async function startEdge(deps: RoleDeps): Promise<RunningRole> {
  const { env, log, config, mesh, channel } = deps
  const { server: settings, access: accessSettings } = config
  await using starting = new AsyncDisposableStack()
  const postgres = createPostgresLink({ mesh, postgres: config.postgres })
  channel.onDatabase(postgres.moveTo)
  postgres.link.start()
  // Its driver takes 9 MB: loaded only where there is a Redis.
  const hasRedis = config.redis.url !== undefined
  const redis = hasRedis ? (await import('#platform/redis')).createRedisLink({ mesh, redis: config.redis }) : undefined
  redis?.start()
  declareUses(mesh, hasRedis)

  const migrations = starting.use(startMigrations({ env, log, postgres }))
  channel.refuseWith(migrations.done)
  const access = starting.use(
    startAccess({
      env,
      mesh,
      link: postgres.link,
      mode: accessSettings.mode,
      environment: settings.environment,
      routeScopes: config.routes.flatMap(({ scopes }) => scopes),
    }),
  )
  const publishing = starting.use(await createPublishing(deps, postgres))
  const api = starting.use(startApi(deps, postgres, { access, publishing }))
  const health = starting.use(
    startHealth({ env, mesh, processName: 'edge', others: channel.otherGraphs, schema: migrations }),
  )
  const control = starting.use(
    await startControlApi({
      env,
      log,
      metrics: mesh.metrics,
      routes: withDocuments([...api.routes, ...health.routes], API_VERSION),
      authenticate: access.authenticate,
      allowedOrigins: settings.allowedOrigins,
      bodyBytesMax: settings.bodyBytesMax,
    }),
  )
  const gateway = starting.use(
    startGateway({
      mesh,
      env,
      log,
      config,
      authenticate: (request, ctx) => access.authenticate(request.headers, ctx),
      redis,
      defer: createDefer({ link: postgres.link, sealer: publishing.sealer }),
    }),
  )
  const guard = { mode: accessSettings.mode, host: settings.host, allowedOrigins: settings.allowedOrigins }
  const server = starting.use(
    await startHttpServer({
      env,
      log,
      metrics: mesh.metrics,
      server: settings,
      guard: createRequestGuard(guard),
      control,
      gateway,
      limits: { closeMs: settings.shutdownMs },
    }),
  )
  const owned = starting.move()
  let closing: Promise<void> | undefined
  return { address: server.url, [Symbol.asyncDispose]: () => (closing ??= owned.disposeAsync()) }
}

/** Who can't work without what, and who only works worse. */
function declareUses(mesh: RoleDeps['mesh'], hasRedis: boolean): void {
  mesh.component({ name: 'control API', kind: 'role' })
  mesh.component({ name: 'gateway', kind: 'role' })
  mesh.use({ component: 'control API', link: 'postgres.main', need: 'hard' })
  mesh.use({ component: 'gateway', link: 'postgres.main', need: 'soft' })
  if (hasRedis) mesh.use({ component: 'gateway', link: 'redis.main', need: 'soft' })
}
