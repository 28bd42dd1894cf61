// The work process: what goes on in the background. It waits for the schema, and then delivers, relays and keeps tables small.

import { createAccessUpkeep } from '#access'
import { createDeferredKind, createDeferredUpkeep } from '#deferred'
import { createDeliveryReader, createDeliveryUpkeep, type DeliveryKind, startDelivery } from '#delivery'
import { createEventsUpkeep, startOutbox } from '#events'
import { startChecking } from '#explain'
import { createUpstreamLink } from '#gateway'
import { createPostgresLink, expireIdempotency, startMigrations } from '#platform/postgres'
import type { RedisOfMesh } from '#platform/redis'
import { createReplaysUpkeep, findReplayEndpoint, startReplays } from '#replays'
import { createSessionsUpkeep } from '#session-stores'
import { startUpkeep } from '#upkeep'
import { startWebhookWork } from '#webhooks'
import { loadInstanceId } from './instance-id.ts'
import { createPublishing } from './publishing.ts'
import type { RoleDeps, RunningRole } from './role.ts'
import { startDraining } from './sessions.ts'

const EXPIRE_EVERY_MS = 300_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** A drain ends so much before the process must be gone: its last batch is settled, and its leases are let go. */
const SETTLE_MS = 3_000

export async function startWork(deps: RoleDeps): Promise<RunningRole> {
  const { env, log, config, mesh, channel } = deps
  await using starting = new AsyncDisposableStack()
  const postgres = createPostgresLink({ mesh, postgres: config.postgres })
  channel.onDatabase(postgres.moveTo)
  postgres.link.start()
  for (const name of ['upkeep', 'delivery']) {
    mesh.component({ name, kind: 'role' })
    mesh.use({ component: name, link: 'postgres.main', need: 'hard' })
  }
  const migrations = starting.use(startMigrations({ env, log, postgres }))
  channel.refuseWith(migrations.done)
  const redis = await startRedis(deps)
  const publishing = starting.use(await createPublishing(deps, postgres))
  const workerId = await loadInstanceId(env, config.server.stateDir, 'work')
  const working = starting.use(new AsyncDisposableStack())
  const begin = (): void => {
    if (!working.disposed) startLoops(working, deps, { postgres, redis, publishing, workerId })
  }
  migrations.done.then(begin, () => undefined) // the channel tells why it failed
  const owned = starting.move()
  let closing: Promise<void> | undefined
  return {
    address: undefined,
    [Symbol.asyncDispose]: () => {
      closing ??= owned.disposeAsync()
      return closing
    },
  }
}

/** Only where sessions are kept in it: its driver takes 9 MB. */
async function startRedis({ config, mesh }: RoleDeps): Promise<RedisOfMesh | undefined> {
  if (config.redis.url === undefined || config.sessions.store === 'postgres') return undefined
  const redis = (await import('#platform/redis')).createRedisLink({ mesh, redis: config.redis })
  mesh.component({ name: 'write-behind', kind: 'role' })
  mesh.use({ component: 'write-behind', link: 'redis.main', need: 'hard' })
  mesh.use({ component: 'write-behind', link: 'postgres.main', need: 'hard' })
  redis?.link.start()
  return redis
}

interface Ground {
  readonly postgres: ReturnType<typeof createPostgresLink>
  readonly redis: RedisOfMesh | undefined
  readonly publishing: Awaited<ReturnType<typeof createPublishing>>
  readonly workerId: string
}

/** All that needs the schema. */
function startLoops(working: AsyncDisposableStack, deps: RoleDeps, ground: Ground): void {
  const { publishing, workerId } = ground
  const { link } = ground.postgres
  const { env, log, config, mesh } = deps
  const { consumers, isStrict, webhooks } = publishing
  const webhookWork = working.use(startWebhookWork(webhooks))
  working.use(
    startDelivery({
      env,
      log,
      mesh,
      link,
      kinds: [webhookWork.kind, createDeferred(deps, link, publishing)] as readonly DeliveryKind[],
      workerId,
      settings: {
        underWayMax: config.delivery.underWayMax,
        parkedMsMax: config.delivery.parkedDaysMax * DAY_MS,
        drainMs: Math.max(1_000, config.server.shutdownMs - SETTLE_MS),
      },
    }),
  )
  const { eventBytesMax } = config.events
  working.use(
    startOutbox({ env, log, metrics: mesh.metrics, link, consumers, isStrict, eventBytesMax, owner: workerId }),
  )
  working.use(
    startReplays({
      env,
      log,
      link,
      reader: createDeliveryReader(link),
      findEndpoint: (ctx, tenantId, endpointId) => findReplayEndpoint(webhooks, ctx, tenantId, endpointId),
      owner: workerId,
    }),
  )
  const secretAgeMs = config.webhooks.secretMaxAgeDays * DAY_MS
  working.use(startChecking({ env, log, metrics: mesh.metrics, link, owner: workerId, secretAgeMs }))
  working.use(startDraining(deps, { postgres: ground.postgres, redis: ground.redis, nodeId: workerId }))
  const tasks = [
    { name: 'idempotency', everyMs: EXPIRE_EVERY_MS, batch: expireIdempotency },
    ...createAccessUpkeep(),
    ...createEventsUpkeep({ eventsMs: config.events.retentionDays * DAY_MS }),
    ...createDeliveryUpkeep({
      attemptsMs: config.delivery.attemptsRetentionDays * DAY_MS,
      deadLettersMs: config.delivery.deadLettersRetentionDays * DAY_MS,
    }),
    ...createReplaysUpkeep(),
    ...createDeferredUpkeep({ retentionDays: config.deferred.retentionDays }),
    ...createSessionsUpkeep({ endedMs: config.sessions.retentionDays * DAY_MS }),
  ]
  working.use(startUpkeep({ env, log, link, tasks }))
}

/** Requests that the gateway took for later go to its upstreams, on links of this process. */
function createDeferred(
  { env, config, mesh }: RoleDeps,
  link: Ground['postgres']['link'],
  { sealer }: Ground['publishing'],
): ReturnType<typeof createDeferredKind> {
  const upstreams = config.upstreams.map((upstream) => {
    const to = createUpstreamLink(mesh, upstream, config.server)
    mesh.use({ component: 'delivery', link: to.name, need: 'soft' })
    to.start()
    return {
      name: upstream.name,
      link: to,
      deadlineMs: upstream.deadlineMs,
      breaker: { ...upstream.breaker, probes: 1 },
    }
  })
  return createDeferredKind({ env, link, sealer, upstreams, responseBytesMax: config.deferred.responseBytesMax })
}
