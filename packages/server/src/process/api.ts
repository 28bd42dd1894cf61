// The control API of an edge: the routes of every module, and the loops behind some of them.

import { type Access, findLiveKeys } from '#access'
import { createDeferredRoutes } from '#deferred'
import { createDeliveryReader, startDeliveryReading } from '#delivery'
import { startEvents } from '#events'
import { createExplainRoutes } from '#explain'
import { createInbound } from '#inbound'
import type { Route } from '#platform/http'
import type { createPostgresLink } from '#platform/postgres'
import { createReplayRoutes } from '#replays'
import { createWebhookRoutes, readEndpoint } from '#webhooks'
import { createWebhooksPageRoutes } from '#webhooks-page'
import type { Publishing } from './publishing.ts'
import type { RoleDeps } from './role.ts'

export interface Api extends AsyncDisposable {
  readonly routes: readonly Route[]
}

const DAY_MS = 86_400_000

export function startApi(
  { env, mesh, config }: RoleDeps,
  { link }: ReturnType<typeof createPostgresLink>,
  { access, publishing }: { readonly access: Access; readonly publishing: Publishing },
): Api {
  const { webhooks, sealer, consumers, isStrict } = publishing
  const owned = new AsyncDisposableStack()
  const events = owned.use(startEvents({ env, mesh, link, consumers, isStrict }))
  const { publish, readSchema } = events
  const reader = createDeliveryReader(link)
  const reading = owned.use(startDeliveryReading({ env, link, targets: webhooks.targets }))
  const inbound = createInbound({ env, mesh, link, sealer, publish, bodyBytesMax: config.events.eventBytesMax })
  return {
    routes: [
      ...access.routes,
      ...events.routes,
      ...createWebhookRoutes({
        webhooks,
        publish,
        liveKeys: (ctx, tenantId, keyIds) => findLiveKeys(link, ctx, tenantId, keyIds),
        readSchema,
      }),
      ...reading.routes,
      ...createReplayRoutes({
        env,
        link,
        hasEndpoint: async (ctx, tenantId, endpointId) =>
          (await readEndpoint(link, ctx, tenantId, endpointId)) !== undefined,
      }),
      ...createExplainRoutes({ env, link, reader, secretAgeMs: config.webhooks.secretMaxAgeDays * DAY_MS }),
      ...createDeferredRoutes({ link }),
      ...inbound.routes,
      ...createWebhooksPageRoutes(),
    ],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
