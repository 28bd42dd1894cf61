// REST Hooks, as the builders of automations expect them (Zapier, Make): subscribe with a target address, unsubscribe by id, samples to map
// fields by, and a list to poll where no address can be given.
// They take answers as they stand: the id at the top of the answer, and bare lists whose items look like what is delivered. So these answers
// have no envelope, unlike every other one here.
// Invariants:
//   WE6. Unsubscribing is harmless when repeated: the answer is the same whether the hook is there or not.

import type { Ctx } from '@ripstop/kernel'
import {
  createHookSchema,
  hookEventsSchema,
  hookPollQuerySchema,
  hookSamplesQuerySchema,
  hookSchema,
  idSchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { readEvents, type StoredEvent } from '#events'
import { type Route, route } from '#platform/http'
import { createEndpoint, deleteEndpoint } from './endpoints.ts'
import { exampleOf } from './example.ts'
import { askingOf, replayHeader } from './handling.ts'
import type { Webhooks } from './start.ts'

const SAMPLES = 3
const POLL_BACK_MS = 3_600_000

export interface HookRoutesDeps {
  readonly webhooks: Webhooks
  /** The JSON Schema of the newest version of an event type; undefined: it is not registered. */
  readonly readSchema: (ctx: Ctx, tenantId: string, type: string) => Promise<unknown>
}

export function createHookRoutes(deps: HookRoutesDeps): readonly Route[] {
  return [createSubscribeRoute(deps), createUnsubscribeRoute(deps), createSamplesRoute(deps), createPollRoute(deps)]
}

function createSubscribeRoute({ webhooks }: HookRoutesDeps): Route {
  return route({
    method: 'POST',
    path: '/v1/hooks',
    summary: 'Subscribe an address to events (REST Hooks); a 410 from it unsubscribes',
    scopes: ['webhooks:write'],
    body: createHookSchema,
    response: hookSchema,
    status: 201,
    handle: async (request) => {
      const { target_url: targetUrl, hookUrl, event, filter } = request.body
      const url = targetUrl ?? hookUrl ?? ''
      const wish = { url, eventTypes: [event], filter: filter ?? undefined, isHook: true, description: 'REST Hook' }
      const { endpoint, secret, replayed } = await createEndpoint(webhooks, request.ctx, askingOf(request), wish)
      const createdAt = new Date(endpoint.createdWallMs).toISOString()
      const body = {
        id: endpoint.endpointId,
        target_url: endpoint.url,
        event: endpoint.eventTypes[0] ?? event,
        created_at: createdAt,
        secret: secret ?? null,
      }
      return { body, headers: replayHeader(replayed) }
    },
  })
}

function createUnsubscribeRoute({ webhooks }: HookRoutesDeps): Route {
  return route({
    method: 'DELETE',
    path: '/v1/hooks/{id}',
    summary: 'Unsubscribe; harmless when repeated',
    scopes: ['webhooks:write'],
    params: z.strictObject({ id: idSchema }),
    response: z.object({ id: idSchema }),
    handle: async (request) => {
      const { id } = request.params
      await deleteEndpoint(webhooks, request.ctx, askingOf(request), id)
      return { body: { id } }
    },
  })
}

function createSamplesRoute({ webhooks, readSchema }: HookRoutesDeps): Route {
  const { link, env } = webhooks
  return route({
    method: 'GET',
    path: '/v1/hooks/samples',
    summary: 'The latest events of a type as they are delivered; if there are none, one made up from its schema',
    scopes: ['events:read'],
    query: hookSamplesQuerySchema,
    response: hookEventsSchema,
    handle: async ({ ctx, principal: { tenantId }, query: { event: type } }) => {
      const found = await readEvents(link, ctx, { tenantId, types: [type], limit: SAMPLES }, 'newest')
      if (found.length > 0) return { body: found.map(toItem) }
      const schema = type.endsWith('*') ? undefined : await readSchema(ctx, tenantId, type)
      return { body: [exampleOf(type.replace(/[.]?\*$/, '') || 'example', schema, env.clock.wallMs())] }
    },
  })
}

function createPollRoute({ webhooks }: HookRoutesDeps): Route {
  const { link, env } = webhooks
  return route({
    method: 'GET',
    path: '/v1/hooks/poll',
    summary: 'Events of a type, newest first, for those who poll; dedupe on id',
    scopes: ['events:read'],
    query: hookPollQuerySchema,
    response: hookEventsSchema,
    handle: async ({ ctx, principal: { tenantId }, query }) => {
      const { event: type, since, limit } = query
      const sinceWallMs = since === undefined ? env.clock.wallMs() - POLL_BACK_MS : Date.parse(since)
      const found = await readEvents(link, ctx, { tenantId, types: [type], sinceWallMs, limit }, 'newest')
      return { body: found.map(toItem) }
    },
  })
}

/** The very body that is delivered. */
function toItem({ body }: StoredEvent): z.input<typeof hookEventsSchema>[number] {
  return JSON.parse(body.toString('utf8')) as z.input<typeof hookEventsSchema>[number]
}
