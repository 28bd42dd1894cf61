// The control API of what is published and delivered: the routes of its modules, composed once, and the loops behind some of them.

import type { Ctx, Env, Link, Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { createDeferredRoutes } from '#deferred'
import { createDeliveryReader, startDeliveryReading } from '#delivery'
import { type EventConsumer, startEvents } from '#events'
import { createExplainRoutes } from '#explain'
import { createInbound } from '#inbound'
import type { Route } from '#platform/http'
import type { Sealer } from '#platform/sealing'
import { createReplayRoutes } from '#replays'
import { createWebhookRoutes, readEndpoint, type Webhooks } from '#webhooks'
import { createWebhooksPageRoutes } from '#webhooks-page'

export interface ApiDeps {
  readonly env: Env
  readonly mesh: Mesh
  readonly link: Link<PostgresPool>
  readonly webhooks: Webhooks
  readonly sealer: Sealer
  readonly consumers: readonly EventConsumer[]
  /** Does the tenant take only events whose type is registered? */
  readonly isStrict: (tenantId: string) => boolean
  /** Those of the tenant's keys that work now. */
  readonly liveKeys: (ctx: Ctx, tenantId: string, keyIds: readonly string[]) => Promise<ReadonlySet<string>>
  readonly eventBytesMax: number
  readonly secretAgeMs: number
}

export interface Api extends AsyncDisposable {
  readonly routes: readonly Route[]
}

export function startApi(deps: ApiDeps): Api {
  const { env, mesh, link, webhooks, sealer, consumers, isStrict, liveKeys, eventBytesMax, secretAgeMs } = deps
  const owned = new AsyncDisposableStack()
  const events = owned.use(startEvents({ env, mesh, link, consumers, isStrict, eventBytesMax }))
  const { publish, readSchema } = events
  const reader = createDeliveryReader(link)
  const reading = owned.use(startDeliveryReading({ env, link, targets: webhooks.targets }))
  const hasEndpoint = async (ctx: Ctx, tenantId: string, endpointId: string): Promise<boolean> => {
    const endpoint = await readEndpoint(link, ctx, tenantId, endpointId)
    return endpoint !== undefined && endpoint.deletedWallMs === undefined
  }
  return {
    routes: [
      ...events.routes,
      ...createWebhookRoutes({ webhooks, publish, liveKeys, readSchema }),
      ...reading.routes,
      ...createReplayRoutes({ env, link, hasEndpoint }),
      ...createExplainRoutes({ env, link, reader, secretAgeMs }),
      ...createDeferredRoutes({ link }),
      ...createInbound({ env, mesh, link, sealer, publish, bodyBytesMax: eventBytesMax }).routes,
      ...createWebhooksPageRoutes(),
    ],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
