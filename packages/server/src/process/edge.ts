// The edge: everything that a user's request meets, on one port. The gateway carries traffic also while Postgres is away;
// the control API says so.

import { startAccess } from '#access'
import { startApi } from '#api'
import { API_VERSION } from '#api-docs'
import { createDefer } from '#deferred'
import { startGateway } from '#gateway'
import { startHealth } from '#health'
import { createRequestGuard, startControlApi, startHttpServer, withDocuments } from '#platform/http'
import { createPostgresLink, startMigrations } from '#platform/postgres'
import { loadInstanceId } from './instance-id.ts'
import { createPublishing } from './publishing.ts'
import type { RoleDeps, RunningRole } from './role.ts'
import { startEdgeSessions } from './sessions.ts'

const DAY_MS = 86_400_000

export async function startEdge(deps: RoleDeps): Promise<RunningRole> {
  const { env, log, config, mesh } = deps
  const { server: settings, access: accessSettings } = config
  await using starting = new AsyncDisposableStack()
  const stores = await startStores(starting, deps)
  const { access, publishing, routes } = await startRoutes(starting, deps, stores)
  const sessions = starting.use(
    startEdgeSessions(
      deps,
      {
        postgres: stores.postgres,
        redis: stores.redis,
        sealer: publishing.sealer,
        nodeId: await loadInstanceId(env, settings.stateDir, 'edge'),
      },
      access.authenticate,
    ),
  )
  const control = starting.use(
    await startControlApi({
      env,
      log,
      metrics: mesh.metrics,
      routes: withDocuments([...routes, ...sessions.routes], API_VERSION),
      authenticate: sessions.authenticate,
      addressOf: sessions.addressOf,
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
      redis: stores.redis?.link,
      defer: createDefer({ link: stores.postgres.link, sealer: publishing.sealer }),
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
      sockets: sessions.sockets,
      limits: { closeMs: settings.shutdownMs },
    }),
  )
  const owned = starting.move()
  let closing: Promise<void> | undefined
  return { address: server.url, [Symbol.asyncDispose]: () => (closing ??= owned.disposeAsync()) }
}

type Stores = Awaited<ReturnType<typeof startStores>>

/** Postgres, Redis where there is one, and the schema. Nothing waits for them. */
async function startStores(starting: AsyncDisposableStack, { env, log, config, mesh, channel }: RoleDeps) {
  const postgres = createPostgresLink({ mesh, postgres: config.postgres })
  channel.onDatabase(postgres.moveTo)
  postgres.link.start()
  // Its driver takes 9 MB: loaded only where there is a Redis.
  const hasRedis = config.redis.url !== undefined
  const redis = hasRedis ? (await import('#platform/redis')).createRedisLink({ mesh, redis: config.redis }) : undefined
  redis?.link.start()
  declareUses(mesh, hasRedis)
  const migrations = starting.use(startMigrations({ env, log, postgres }))
  channel.refuseWith(migrations.done)
  return { postgres, redis, migrations }
}

/** Every module that has routes of the control API. */
async function startRoutes(starting: AsyncDisposableStack, deps: RoleDeps, { postgres, migrations }: Stores) {
  const { env, config, mesh, channel } = deps
  const { link } = postgres
  const access = starting.use(
    startAccess({
      env,
      mesh,
      link,
      mode: config.access.mode,
      environment: config.server.environment,
      routeScopes: config.routes.flatMap(({ scopes }) => scopes),
    }),
  )
  const publishing = starting.use(await createPublishing(deps, postgres))
  const api = starting.use(
    startApi({
      env,
      mesh,
      link,
      ...publishing,
      liveKeys: access.liveKeys,
      eventBytesMax: config.events.eventBytesMax,
      secretAgeMs: config.webhooks.secretMaxAgeDays * DAY_MS,
    }),
  )
  const health = starting.use(
    startHealth({
      env,
      mesh,
      processName: 'edge',
      others: channel.otherGraphs,
      metrics: () => channel.exposeMetrics({ process: 'edge', families: mesh.metrics.read() }),
      schema: migrations,
    }),
  )
  return { access, publishing, routes: [...access.routes, ...api.routes, ...health.routes] }
}

/** Who can't work without what, and who only works worse. */
function declareUses(mesh: RoleDeps['mesh'], hasRedis: boolean): void {
  mesh.component({ name: 'control API', kind: 'role' })
  mesh.component({ name: 'gateway', kind: 'role' })
  mesh.use({ component: 'control API', link: 'postgres.main', need: 'hard' })
  mesh.use({ component: 'gateway', link: 'postgres.main', need: 'soft' })
  if (hasRedis) mesh.use({ component: 'gateway', link: 'redis.main', need: 'soft' })
}
