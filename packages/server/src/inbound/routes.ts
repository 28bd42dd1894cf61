import { RipstopError } from '@ripstop/kernel'
import {
  createInboundSourceSchema,
  dataOf,
  type InboundSourceWire,
  idSchema,
  inboundAnswerSchema,
  inboundSourceSchema,
  listOf,
  type PageQuery,
  pageQuerySchema,
  updateInboundSourceSchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, type RouteRequest, route } from '#platform/http'
import type { createReceiver } from './receiving.ts'
import type { Source } from './source.ts'
import type { Asking, Sources } from './sources.ts'
import type { Page } from './store.ts'

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const paramsSchema = z.strictObject({ source_id: idSchema })

export function createSourceRoutes(sources: Sources): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/inbound-sources',
      summary: 'Create a source whose webhooks are taken',
      scopes: ['webhooks:write'],
      body: createInboundSourceSchema,
      response: dataOf(inboundSourceSchema),
      status: 201,
      handle: async (request) => {
        const { response, replayed } = await sources.create(request.ctx, askingOf(request), request.body)
        return { body: { data: toWire(response) }, headers: replayHeader(replayed) }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/inbound-sources',
      summary: 'List the inbound sources of the tenant, newest first',
      scopes: ['webhooks:read'],
      query: pageQuerySchema,
      response: listOf(inboundSourceSchema),
      handle: async ({ ctx, principal, query }) => ({
        body: toList(query, await sources.list(ctx, principal.tenantId, toPage(query))),
      }),
    }),
    route({
      method: 'GET',
      path: '/v1/inbound-sources/{source_id}',
      summary: 'Read an inbound source',
      scopes: ['webhooks:read'],
      params: paramsSchema,
      response: dataOf(inboundSourceSchema),
      handle: async ({ ctx, principal, params }) => ({
        body: { data: toWire(await sources.read(ctx, principal.tenantId, params.source_id)) },
      }),
    }),
    route({
      method: 'PATCH',
      path: '/v1/inbound-sources/{source_id}',
      summary: 'Give an inbound source other secrets; with the old one and the new one nothing is missed meanwhile',
      scopes: ['webhooks:write'],
      params: paramsSchema,
      body: updateInboundSourceSchema,
      response: dataOf(inboundSourceSchema),
      handle: async (request) => {
        const { ctx, params, body } = request
        const source = await sources.replaceSecrets(ctx, askingOf(request), params.source_id, body.secrets)
        return { body: { data: toWire(source) } }
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/inbound-sources/{source_id}',
      summary: 'Delete an inbound source; what it told stays',
      scopes: ['webhooks:write'],
      params: paramsSchema,
      response: dataOf(inboundSourceSchema),
      handle: async (request) => ({
        body: { data: toWire(await sources.remove(request.ctx, askingOf(request), request.params.source_id)) },
      }),
    }),
  ]
}

/** The one route that providers call: proved by their signature, not by a key. */
export function createReceivingRoute(receive: ReturnType<typeof createReceiver>, bodyBytesMax: number): Route {
  return route({
    method: 'POST',
    path: '/v1/inbound/{source_id}',
    summary: 'Take a webhook, whose signature proves where it is from, as an event',
    scopes: 'public',
    takes: 'raw',
    bodyBytesMax,
    params: paramsSchema,
    response: inboundAnswerSchema,
    handle: async ({ ctx, traceId, idempotency, params, raw }) => {
      if (raw === undefined) throw new RipstopError('INTERNAL', 'this route takes raw bodies')
      const received = await receive(params.source_id, { ctx, traceId, idempotency, raw })
      if (received.outcome === 'challenge') {
        const { outcome, challenge } = received
        return { body: { data: { outcome, event_id: null }, challenge } }
      }
      const { outcome, eventId, isReplayed } = received
      return { body: { data: { outcome, event_id: eventId } }, headers: replayHeader(isReplayed) }
    },
  })
}

function replayHeader(isReplayed: boolean): Record<string, string> {
  return isReplayed ? { 'Idempotency-Replayed': 'true' } : {}
}

function askingOf({ principal, idempotency, traceId }: RouteRequest<unknown, unknown, unknown>): Asking {
  return { principal, idempotency, traceId }
}

/** One more than is shown tells whether there is a next page. Throws BAD_REQUEST for a cursor that is not ours. */
function toPage({ cursor, limit }: PageQuery): Page {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1')
  if (after !== undefined && !ID.test(after)) {
    const problems = [{ field: 'query.cursor', problem: 'is not a next_cursor of this list' }]
    throw new RipstopError('BAD_REQUEST', 'query.cursor is not a next_cursor of this list', { details: { problems } })
  }
  return { after, limit: limit + 1 }
}

function toList({ limit }: PageQuery, found: readonly Source[]) {
  const shown = found.slice(0, limit)
  const last = shown.at(-1)
  const more = found.length > limit && last !== undefined
  return { data: shown.map(toWire), next_cursor: more ? Buffer.from(last.sourceId).toString('base64url') : null }
}

function toWire(source: Source): InboundSourceWire {
  const { sourceId, tenantId, name, scheme, secrets, createdWallMs, lastReceivedWallMs } = source
  return {
    source_id: sourceId,
    tenant_id: tenantId,
    name,
    scheme,
    path: `/v1/inbound/${sourceId}`,
    secrets,
    created_at: new Date(createdWallMs).toISOString(),
    last_received_at: lastReceivedWallMs === undefined ? null : new Date(lastReceivedWallMs).toISOString(),
  }
}
