// What an event means for webhooks: a delivery for every endpoint that wants it, in the statement that publishes it. Made from memory, and
// checked there: the statement writes nothing if a tenant of the batch has another revision than the plan relied on, and a second plan
// for the same event reads what changed first.
// A full backlog (the engine says so) is the publisher's to know only if it can wait: over HTTP, for an endpoint that is being sent to.
// In the outbox nothing is refused, and an endpoint that is parked must not stop its tenant's publishers: there, what is beyond
// the bound becomes a dead letter, to be sent again by a redrive.
// Invariants:
//   WK2. An event that is published after an endpoint's creation was answered reaches it, whatever this process knew.
//   WK3. An endpoint is never told about itself, so no event makes another one for ever.
//   WK4. Beyond an endpoint's backlog nothing is dropped: it is refused before it is accepted, or kept as a dead letter.

import { type Ctx, RipstopError } from '@ripstop/kernel'
import { deliveriesPart, type NewDelivery, overflowPart } from '#delivery'
import type { EventConsumer, NewEvent, Plan } from '#events'
import type { EndpointCache, LiveEndpoint, TenantEndpoints } from './cache.ts'
import { meantFor } from './own-events.ts'
import { currentPart } from './store.ts'

export interface WebhookConsumerDeps {
  readonly cache: EndpointCache
  /** A filter could not tell. */
  readonly filterFailed?: (live: LiveEndpoint) => void
}

export function createWebhookConsumer(deps: WebhookConsumerDeps): EventConsumer {
  const planned = new WeakMap<NewEvent, number>()
  return {
    name: 'webhooks',
    plan: async (_ctx: Ctx, events: readonly NewEvent[], mayRefuse: boolean) => {
      const tenants = await findTenants(deps.cache, events, planned)
      const plan = createPlan(deps, tenants, events, mayRefuse)
      // What is refused comes into no statement that would find the plan to be old: so it is looked at with open eyes.
      const isStale = await refreshRefusing(deps.cache, tenants, events, plan)
      return isStale ? createPlan(deps, tenants, events, mayRefuse) : plan
    },
  }
}

/** An event that comes a second time was planned with something that holds no more: then what changed is read first. */
async function findTenants(
  cache: EndpointCache,
  events: readonly NewEvent[],
  planned: WeakMap<NewEvent, number>,
): Promise<Map<string, TenantEndpoints>> {
  const tenants = new Map<string, TenantEndpoints>()
  const stale = new Set<string>()
  for (const event of events) {
    const { tenantId } = event
    const known = tenants.get(tenantId) ?? (await cache.tenant(tenantId))
    tenants.set(tenantId, known)
    if (planned.get(event) === known.revision) stale.add(tenantId)
  }
  for (const tenantId of stale) tenants.set(tenantId, await cache.refresh(tenantId))
  for (const event of events) planned.set(event, (tenants.get(event.tenantId) as TenantEndpoints).revision)
  return tenants
}

/** Reads the tenants anew that a refusal is about; true if one has moved. */
async function refreshRefusing(
  cache: EndpointCache,
  tenants: Map<string, TenantEndpoints>,
  events: readonly NewEvent[],
  { refused }: Plan,
): Promise<boolean> {
  let isStale = false
  for (const tenantId of new Set([...refused.keys()].map((place) => events[place]?.tenantId ?? ''))) {
    const revision = tenants.get(tenantId)?.revision
    const fresh = await cache.refresh(tenantId)
    if (fresh.revision !== revision) isStale = true
    tenants.set(tenantId, fresh)
  }
  return isStale
}

function createPlan(
  { filterFailed }: WebhookConsumerDeps,
  tenants: ReadonlyMap<string, TenantEndpoints>,
  events: readonly NewEvent[],
  mayRefuse: boolean,
): Plan {
  const deliveries: NewDelivery[] = []
  const overflow: NewDelivery[] = []
  const fanOut: number[] = []
  const refused = new Map<number, RipstopError>()
  for (const [place, event] of events.entries()) {
    const found = findEndpoints(tenants.get(event.tenantId) as TenantEndpoints, event, filterFailed)
    const full = mayRefuse ? found.find(isFullAndActive) : undefined
    if (full !== undefined) {
      refused.set(place, backlogFull(full))
      fanOut.push(0)
      continue
    }
    for (const live of found) (live.endpoint.backlogFull ? overflow : deliveries).push(toDelivery(live, event))
    fanOut.push(found.length)
  }
  const parts = [
    ...(deliveries.length === 0 ? [] : [deliveriesPart(deliveries)]),
    ...(overflow.length === 0 ? [] : [overflowPart(overflow)]),
  ]
  const known = new Map([...tenants].map(([tenantId, { revision }]) => [tenantId, revision]))
  return { parts, fanOut, refused, current: currentPart(known) }
}

function findEndpoints(
  tenant: TenantEndpoints,
  event: NewEvent,
  filterFailed: WebhookConsumerDeps['filterFailed'],
): readonly LiveEndpoint[] {
  const { subject } = event
  const alone = subject === undefined ? undefined : tenant.byId.get(subject)
  if (alone !== undefined && meantFor(event, alone.endpoint.endpointId) === 'for it alone') return [alone]
  const found: LiveEndpoint[] = []
  for (const live of tenant.find(event.type)) {
    if (meantFor(event, live.endpoint.endpointId) === 'not for it') continue
    const verdict = live.test(event)
    if (verdict === 'match') found.push(live)
    else if (typeof verdict === 'object') filterFailed?.(live)
  }
  return found
}

function isFullAndActive({ endpoint }: LiveEndpoint): boolean {
  return endpoint.backlogFull && endpoint.state === 'active'
}

function backlogFull({ endpoint: { endpointId, backlogMax } }: LiveEndpoint): RipstopError {
  return new RipstopError('BACKLOG_FULL', `endpoint ${endpointId} has more than ${backlogMax} undone deliveries`, {
    details: { endpoint_id: endpointId, backlog_max: backlogMax },
    retryAfterMs: 1_000,
    sent: 'no',
  })
}

function toDelivery({ endpoint }: LiveEndpoint, event: NewEvent): NewDelivery {
  const { endpointId, tenantId, lanes, ordering } = endpoint
  const { eventId: messageId, key, body } = event
  return {
    tenantId,
    kind: 'webhook',
    targetId: endpointId,
    messageId,
    bytes: body.length,
    key,
    lanes,
    isOrdered: ordering === 'key',
  }
}
