// Endpoints at the edge.

import { RipstopError } from '@ripstop/kernel'
import {
  createdEndpointSchema,
  createEndpointSchema,
  dataOf,
  endpointSchema,
  endpointsQuerySchema,
  idSchema,
  listOf,
  orphanSchema,
  orphansQuerySchema,
  pauseEndpointSchema,
  testedEndpointSchema,
  updateEndpointSchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import type { Publish } from '#events'
import { type Route, route } from '#platform/http'
import { noEndpoint } from './asking.ts'
import type { Endpoint } from './endpoint.ts'
import {
  createEndpoint,
  deleteEndpoint,
  findEndpoint,
  listAll,
  pauseEndpoint,
  resumeEndpoint,
  updateEndpoint,
} from './endpoints.ts'
import { askingOf, replayHeader } from './handling.ts'
import { createHookRoutes, type HookRoutesDeps } from './hook-routes.ts'
import { findOrphans, type OrphanDeps } from './orphans.ts'
import { ownEvent, TEST_TYPE } from './own-events.ts'
import { afterOf, cursorOf } from './paging.ts'
import { createSecretRoutes } from './secret-routes.ts'
import { openHeaders } from './signers.ts'
import type { Webhooks } from './start.ts'
import { toEndpointWire, toOrphanWire, toPatch, toWish } from './wire.ts'

export interface WebhookRoutesDeps {
  readonly webhooks: Webhooks
  readonly publish: Publish
  readonly liveKeys: OrphanDeps['liveKeys']
  readonly readSchema: HookRoutesDeps['readSchema']
}

export function createWebhookRoutes(deps: WebhookRoutesDeps): readonly Route[] {
  const { webhooks, publish, readSchema } = deps
  return [
    createRoute(webhooks),
    createListRoute(webhooks),
    createReadRoute(webhooks),
    createUpdateRoute(webhooks),
    createDeleteRoute(webhooks),
    ...createStateRoutes(webhooks),
    createTestRoute(webhooks, publish),
    createOrphansRoute(deps),
    ...createSecretRoutes(webhooks),
    ...createHookRoutes({ webhooks, readSchema }),
  ]
}

const endpointParams = z.strictObject({ endpoint_id: idSchema })

function toWire({ sealer, cache }: Webhooks, endpoint: Endpoint) {
  const names = Object.keys(openHeaders(sealer, endpoint))
  return toEndpointWire(endpoint, names, cache.endpoint(endpoint.endpointId))
}

function createRoute(webhooks: Webhooks): Route {
  return route({
    method: 'POST',
    path: '/v1/endpoints',
    summary: 'Create an endpoint: it gets every event of its types that is published from now on',
    scopes: ['webhooks:write'],
    body: createEndpointSchema,
    response: dataOf(createdEndpointSchema),
    status: 201,
    handle: async (request) => {
      const made = await createEndpoint(webhooks, request.ctx, askingOf(request), toWish(request.body))
      const data = { ...toWire(webhooks, made.endpoint), secret: made.secret ?? null }
      return { body: { data }, headers: replayHeader(made.replayed) }
    },
  })
}

function createListRoute(webhooks: Webhooks): Route {
  return route({
    method: 'GET',
    path: '/v1/endpoints',
    summary: 'List the endpoints of the tenant, newest first',
    scopes: ['webhooks:read'],
    query: endpointsQuerySchema,
    response: listOf(endpointSchema),
    handle: async ({ ctx, principal: { tenantId }, query }) => {
      const { state, limit } = query
      const found = await listAll(webhooks, ctx, tenantId, { state, after: afterOf(query), limit: limit + 1 })
      const shown = found.slice(0, limit)
      const last = found.length > limit ? shown.at(-1)?.endpointId : undefined
      return {
        body: { data: shown.map((endpoint) => toWire(webhooks, endpoint)), next_cursor: cursorOf(last) },
      }
    },
  })
}

function createReadRoute(webhooks: Webhooks): Route {
  return route({
    method: 'GET',
    path: '/v1/endpoints/{endpoint_id}',
    summary: 'Read an endpoint, with its health',
    scopes: ['webhooks:read'],
    params: endpointParams,
    response: dataOf(endpointSchema),
    handle: async ({ ctx, principal: { tenantId }, params }) => ({
      body: { data: toWire(webhooks, await findEndpoint(webhooks, ctx, tenantId, params.endpoint_id)) },
    }),
  })
}

function createUpdateRoute(webhooks: Webhooks): Route {
  return route({
    method: 'PATCH',
    path: '/v1/endpoints/{endpoint_id}',
    summary: 'Change settings of an endpoint; lanes and ordering only while nothing is undone for it',
    scopes: ['webhooks:write'],
    params: endpointParams,
    body: updateEndpointSchema,
    response: dataOf(endpointSchema),
    handle: async (request) => {
      const { ctx, params, body } = request
      const endpoint = await updateEndpoint(webhooks, ctx, askingOf(request), params.endpoint_id, toPatch(body))
      return { body: { data: toWire(webhooks, endpoint) } }
    },
  })
}

function createDeleteRoute(webhooks: Webhooks): Route {
  return route({
    method: 'DELETE',
    path: '/v1/endpoints/{endpoint_id}',
    summary: 'Delete an endpoint, for good; what was meant for it becomes dead letters',
    scopes: ['webhooks:write'],
    params: endpointParams,
    response: dataOf(endpointSchema),
    handle: async (request) => {
      const endpoint = await deleteEndpoint(webhooks, request.ctx, askingOf(request), request.params.endpoint_id)
      if (endpoint === undefined) throw noEndpoint()
      return { body: { data: toWire(webhooks, endpoint) } }
    },
  })
}

function createStateRoutes(webhooks: Webhooks): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/endpoints/{endpoint_id}/pause',
      summary: 'Pause an endpoint: within a second nothing more is sent, and everything is kept',
      scopes: ['webhooks:write'],
      params: endpointParams,
      body: pauseEndpointSchema.optional(),
      response: dataOf(endpointSchema),
      handle: async (request) => {
        const { ctx, params, body } = request
        const endpoint = await pauseEndpoint(webhooks, ctx, askingOf(request), params.endpoint_id, body?.reason)
        return { body: { data: toWire(webhooks, endpoint) } }
      },
    }),
    route({
      method: 'POST',
      path: '/v1/endpoints/{endpoint_id}/resume',
      summary: 'Resume an endpoint that is paused or gone: what was kept is sent',
      scopes: ['webhooks:write'],
      params: endpointParams,
      response: dataOf(endpointSchema),
      handle: async (request) => {
        const endpoint = await resumeEndpoint(webhooks, request.ctx, askingOf(request), request.params.endpoint_id)
        return { body: { data: toWire(webhooks, endpoint) } }
      },
    }),
  ]
}

function createTestRoute(webhooks: Webhooks, publish: Publish): Route {
  return route({
    method: 'POST',
    path: '/v1/endpoints/{endpoint_id}/test',
    summary: 'Send an event of the type ripstop.test to this endpoint alone, in the ordinary way',
    scopes: ['webhooks:write'],
    params: endpointParams,
    response: dataOf(testedEndpointSchema),
    status: 202,
    handle: async (request) => {
      const { ctx, principal, params, idempotency, traceId } = request
      const { endpointId } = await findEndpoint(webhooks, ctx, principal.tenantId, params.endpoint_id)
      const event = ownEvent(TEST_TYPE, endpointId, { message: 'A test: nothing happened.' })
      const { results, replayed } = await publish(ctx, principal, [event], { idempotency, traceId })
      const [result] = results
      if (result === undefined) throw new RipstopError('INTERNAL', 'the event has no result')
      if (result.outcome === 'refused') throw new RipstopError(result.code, result.message, { details: result.details })
      return { body: { data: { event_id: result.eventId } }, headers: replayHeader(replayed) }
    },
  })
}

function createOrphansRoute({ webhooks, liveKeys }: WebhookRoutesDeps): Route {
  const { env, link, settings } = webhooks
  const { deleteGoneAfterMs } = settings
  return route({
    method: 'GET',
    path: '/v1/webhooks/orphans',
    summary: 'Endpoints that nobody may miss, and why; a page may be short, follow next_cursor',
    scopes: ['webhooks:read'],
    query: orphansQuerySchema,
    response: listOf(orphanSchema),
    handle: async ({ ctx, principal: { tenantId }, query }) => {
      const { days = settings.orphanAfterDays, limit } = query
      const question = { tenantId, days, after: afterOf(query), limit, nowWallMs: env.clock.wallMs() }
      const { orphans, last } = await findOrphans({ link, liveKeys, deleteGoneAfterMs }, ctx, question)
      return { body: { data: orphans.map(toOrphanWire), next_cursor: cursorOf(last) } }
    },
  })
}
