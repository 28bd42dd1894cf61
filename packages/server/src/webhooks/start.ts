// Webhooks as a part of a process: what the edge needs (the service behind the routes, the consumer of events) and what the work role
// adds to it (the kind that the engine sends by, the poll for changes, the health checker).

import { background, type Ctx, type Env, type Mesh } from '@ripstop/kernel'
import { findTenants } from '#access'
import type { DeliveryKind } from '#delivery'
import type { EventBody, EventConsumer } from '#events'
import type { Egress } from '#platform/egress'
import { pause } from '#platform/pause'
import type { Sealer } from '#platform/sealing'
import type { Log } from '#platform/telemetry'
import { EndpointCache } from './cache.ts'
import { startChecker } from './checker.ts'
import { createWebhookConsumer } from './consumer.ts'
import type { Db } from './db.ts'
import { createWebhookKind, targetsOf } from './kind.ts'
import { createWebhookLinks } from './links.ts'
import { WEBHOOK_DEFAULTS, type WebhookSettings } from './settings.ts'
import { Signers } from './signers.ts'
import { Transitions } from './transitions.ts'

/** How often changes are looked for: so much later a pause is obeyed. */
const POLL_MS = 400
const POLL_LIMIT_MS = 5_000
const NAME_LIMIT_MS = 5_000

export interface WebhooksDeps {
  readonly env: Env
  readonly log: Log
  readonly mesh: Mesh
  readonly link: Db
  readonly egress: Egress
  readonly sealer: Sealer
  readonly settings: WebhookSettings
}

/** What both roles have. */
export interface Webhooks extends WebhooksDeps {
  readonly cache: EndpointCache
  readonly consumer: EventConsumer
  /** As they are now, for whoever only looks. */
  readonly targets: DeliveryKind['targets']
}

type Given = Omit<WebhooksDeps, 'settings'> & { readonly settings?: Partial<WebhookSettings> }

/** For the edge, and for whatever publishes. Nothing runs. */
export function createWebhooks(given: Given): Webhooks {
  const deps = { ...given, settings: { ...WEBHOOK_DEFAULTS, ...given.settings } }
  const cache = new EndpointCache(deps)
  const errors = deps.mesh.metrics.counter(
    'webhook_filter_errors_total',
    'Filters that could not tell; the event does not go to that endpoint',
  )
  const consumer = createWebhookConsumer({ cache, filterFailed: () => errors.add(1) })
  const targets: DeliveryKind['targets'] = async (ctx, targetIds) => {
    await cache.load(ctx, targetIds)
    await cache.poll(ctx)
    return targetsOf(cache, targetIds)
  }
  return { ...deps, cache, consumer, targets }
}

export interface WebhookWork extends AsyncDisposable {
  readonly kind: DeliveryKind<EventBody>
}

/** For the work role. Dispose of it after the engine. */
export function startWebhookWork(webhooks: Webhooks, changes: Partial<WebhookSettings> = {}): WebhookWork {
  const { env, link, log, cache, mesh, egress, sealer } = webhooks
  const root = background(env)
  const settings = { ...webhooks.settings, ...changes }
  const transitions = new Transitions({ env, link, log, cache, settings })
  const links = createWebhookLinks({
    mesh,
    nameOf: async (tenantId) => {
      using ctx = root.within(NAME_LIMIT_MS)
      return (await findTenants(link, ctx, [tenantId])).get(tenantId)?.name
    },
  })
  const kind = createWebhookKind({
    env,
    link,
    cache,
    egress,
    signers: new Signers({ link, sealer }),
    goneAfterMissing: settings.goneAfterMissing,
    found: (finding) => transitions.found(finding),
    heard: links.heard,
  })
  const polling = pollForEver(root, cache)
  const checker = startChecker({ env, link, log, sealer, metrics: mesh.metrics, settings })
  const stop = async (): Promise<void> => {
    root.cancel()
    await Promise.all([polling, checker[Symbol.asyncDispose](), transitions[Symbol.asyncDispose]()])
  }
  let stopping: Promise<void> | undefined
  return { kind, [Symbol.asyncDispose]: () => (stopping ??= stop()) }
}

async function pollForEver(root: Ctx, cache: EndpointCache): Promise<void> {
  const { random } = root.env
  while (root.reason === undefined) {
    try {
      await pause(root, POLL_MS * (0.75 + random() / 2))
      using ctx = root.within(POLL_LIMIT_MS)
      await cache.poll(ctx)
    } catch {
      // The database's link tells that it is down; what is known goes on to hold, and the next turn asks again.
    }
  }
}
