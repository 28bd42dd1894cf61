// Deliveries at the edge: what is under way, what was tried, what is given up, and attempts as they happen.

import { createId, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import {
  dataOf,
  deadLetterDoneSchema,
  deadLetterSchema,
  deadLettersQuerySchema,
  deliveriesQuerySchema,
  deliveryAttemptSchema,
  deliveryDetailSchema,
  deliveryIdSchema,
  deliverySchema,
  idSchema,
  listOf,
  pageQuerySchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, type RouteRequest, route } from '#platform/http'
import type { AttemptFeed } from './attempt-feed.ts'
import { discardOne, listDeadLetters, redriveOne } from './dead-letter-store.ts'
import {
  DELIVERY_ID,
  toAttemptWire,
  toBounds,
  toCursor,
  toDeadLetterWire,
  toDeliveryWire,
  toMs,
  toUndoneWire,
  UNDONE_PLACE,
  UUID,
} from './deliveries-wire.ts'
import type { DeliveryKind } from './kind.ts'
import { type DeliveryView, listAttempts, listDeliveriesOfEvent, listUndone, readDelivery } from './reading-store.ts'

const DETAIL_ATTEMPTS = 20

export interface DeliveryRoutesDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly feed: AttemptFeed
  /** Of webhooks: whether an endpoint is active is not the engine's to know. */
  readonly targets: DeliveryKind['targets']
}

export function createDeliveryRoutes(deps: DeliveryRoutesDeps): readonly Route[] {
  return [
    createListRoute(deps),
    createStreamRoute(deps),
    createDetailRoute(deps),
    createAttemptsRoute(deps),
    createOfEventRoute(deps),
    createDeadLettersRoute(deps),
    createRedriveRoute(deps),
    createDiscardRoute(deps),
  ]
}

type AnyRequest = RouteRequest<unknown, unknown, unknown>

/** Of those among `views` that wait, the ids of the endpoints that are not active. */
async function findParked(
  { targets }: DeliveryRoutesDeps,
  { ctx }: AnyRequest,
  views: readonly DeliveryView[],
): Promise<ReadonlySet<string>> {
  const waiting = new Set(views.filter(({ state }) => state === 'waiting').map(({ endpointId }) => endpointId))
  if (waiting.size === 0) return waiting
  const known = await targets(ctx, [...waiting])
  return new Set([...waiting].filter((endpointId) => known.get(endpointId)?.state === 'parked'))
}

const noDelivery = () => new RipstopError('NOT_FOUND', 'there is no such delivery')
const noDeadLetter = () => new RipstopError('NOT_FOUND', 'there is no such dead letter')

function createListRoute({ link }: DeliveryRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/deliveries',
    summary:
      'List attempts, newest first, or with outcome=waiting what is not done; a page may be short, follow next_cursor',
    scopes: ['webhooks:read'],
    query: deliveriesQuerySchema,
    response: listOf(deliveryAttemptSchema),
    handle: async ({ ctx, principal: { tenantId }, query }) => {
      const { endpoint_id: endpointId, event_id: eventId, outcome, since } = query
      if (outcome === 'waiting') {
        if (endpointId === undefined && eventId === undefined) throw needsScope()
        const bounds = toBounds(query, UNDONE_PLACE)
        const { lines, next } = await listUndone(link, ctx, tenantId, { endpointId, eventId }, bounds)
        return { body: { data: lines.map(toUndoneWire), next_cursor: toCursor(next) } }
      }
      const filter = { endpointId, eventId, outcome, sinceWallMs: toMs(since) }
      const { lines, next } = await listAttempts(link, ctx, tenantId, filter, toBounds(query, UUID))
      return { body: { data: lines.map(toAttemptWire), next_cursor: toCursor(next) } }
    },
  })
}

function needsScope(): RipstopError {
  const problem = 'is needed with outcome=waiting, or query.event_id'
  return new RipstopError('BAD_REQUEST', `query.endpoint_id ${problem}`, {
    details: { problems: [{ field: 'query.endpoint_id', problem }] },
  })
}

/** `attempt` for each; `interrupted` while the database can't be asked; `bye` before an end that is ours. */
function createStreamRoute({ feed }: DeliveryRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/deliveries/stream',
    summary:
      'Attempts as they happen, as server-sent events; begins a few seconds back, so a repeated attempt_id is the same one',
    scopes: ['webhooks:read'],
    query: z.strictObject({ endpoint_id: idSchema.optional() }),
    response: 'text/event-stream',
    handle: ({ principal: { tenantId }, query: { endpoint_id: endpointId } }) => {
      feed.checkRoom(tenantId)
      return {
        body: (send) => {
          let lastId = '0'
          send({ id: lastId, event: 'hello', data: {} })
          return feed.listen({
            tenantId,
            endpointId,
            hear: (news) => {
              if (news.type !== 'attempt') {
                const { type, code } = news
                return send({ id: lastId, event: type, data: { code }, isLast: type === 'bye' })
              }
              lastId = news.line.attemptId
              return send({ id: lastId, event: 'attempt', data: toAttemptWire(news.line) })
            },
          })
        },
      }
    },
  })
}

function createDetailRoute(deps: DeliveryRoutesDeps): Route {
  const { link } = deps
  return route({
    method: 'GET',
    path: '/v1/deliveries/{delivery_id}',
    summary: 'How a delivery stands, with its last attempts',
    scopes: ['webhooks:read'],
    params: z.strictObject({ delivery_id: deliveryIdSchema }),
    response: dataOf(deliveryDetailSchema),
    handle: async (request) => {
      const { ctx, principal, params } = request
      const { tenantId } = principal
      const deliveryId = params.delivery_id
      const view = await readDelivery(link, ctx, tenantId, deliveryId)
      if (view === undefined) throw noDelivery()
      const bounds = { after: undefined, limit: DETAIL_ATTEMPTS }
      const { lines } = await listAttempts(link, ctx, tenantId, { deliveryId }, bounds)
      const parked = await findParked(deps, request, [view])
      const delivery = toDeliveryWire(view, parked.has(view.endpointId))
      return { body: { data: { ...delivery, attempts: lines.map(toAttemptWire) } } }
    },
  })
}

function createAttemptsRoute({ link }: DeliveryRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/deliveries/{delivery_id}/attempts',
    summary: 'List the attempts of a delivery, newest first',
    scopes: ['webhooks:read'],
    params: z.strictObject({ delivery_id: deliveryIdSchema }),
    query: pageQuerySchema,
    response: listOf(deliveryAttemptSchema),
    handle: async ({ ctx, principal: { tenantId }, params, query }) => {
      const deliveryId = params.delivery_id
      const { lines, next } = await listAttempts(link, ctx, tenantId, { deliveryId }, toBounds(query, UUID))
      const isKnown = lines.length > 0 || (await readDelivery(link, ctx, tenantId, deliveryId)) !== undefined
      if (!isKnown) throw noDelivery()
      return { body: { data: lines.map(toAttemptWire), next_cursor: toCursor(next) } }
    },
  })
}

function createOfEventRoute(deps: DeliveryRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/events/{event_id}/deliveries',
    summary: 'What became of an event: its deliveries to every endpoint, newest first, at most 1,000',
    scopes: ['webhooks:read'],
    params: z.strictObject({ event_id: idSchema }),
    response: listOf(deliverySchema),
    handle: async (request) => {
      const { ctx, principal, params } = request
      const views = await listDeliveriesOfEvent(deps.link, ctx, principal.tenantId, params.event_id)
      const parked = await findParked(deps, request, views)
      const data = views.map((view) => toDeliveryWire(view, parked.has(view.endpointId)))
      return { body: { data, next_cursor: null } }
    },
  })
}

function createDeadLettersRoute({ link }: DeliveryRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/dead-letters',
    summary: 'List what is not tried any more, newest deliveries first; a page may be short, follow next_cursor',
    scopes: ['webhooks:read'],
    query: deadLettersQuerySchema,
    response: listOf(deadLetterSchema),
    handle: async ({ ctx, principal: { tenantId }, query }) => {
      const { endpoint_id: endpointId, reason, since, until } = query
      const filter = { endpointId, reason, sinceWallMs: toMs(since), untilWallMs: toMs(until) }
      const { lines, next } = await listDeadLetters(link, ctx, tenantId, filter, toBounds(query, DELIVERY_ID))
      return { body: { data: lines.map(toDeadLetterWire), next_cursor: toCursor(next) } }
    },
  })
}

function lineOf({ principal, traceId }: AnyRequest, action: string, deliveryId: string) {
  const { tenantId, actor } = principal
  return { tenantId, actor, action, resource: `delivery:${deliveryId}`, outcome: 'done', traceId } as const
}

function createRedriveRoute({ link }: DeliveryRoutesDeps): Route {
  return route({
    method: 'POST',
    path: '/v1/dead-letters/{delivery_id}/redrive',
    summary: 'Send a dead letter again, now and with all its attempts before it; it keeps its id',
    scopes: ['webhooks:write'],
    params: z.strictObject({ delivery_id: deliveryIdSchema }),
    response: dataOf(deadLetterDoneSchema),
    handle: async (request) => {
      const deliveryId = request.params.delivery_id
      const line = lineOf(request, 'dead_letter.redrive', deliveryId)
      const done = await redriveOne(link, request.ctx, deliveryId, line, request.idempotency)
      if (done === undefined) throw noDeadLetter()
      const headers: Record<string, string> = done.replayed ? { 'Idempotency-Replayed': 'true' } : {}
      return { body: { data: { delivery_id: deliveryId, state: 'waiting' as const } }, headers }
    },
  })
}

function createDiscardRoute({ env, link }: DeliveryRoutesDeps): Route {
  return route({
    method: 'DELETE',
    path: '/v1/dead-letters/{delivery_id}',
    summary: 'Give a dead letter up for good',
    scopes: ['webhooks:write'],
    params: z.strictObject({ delivery_id: deliveryIdSchema }),
    response: dataOf(deadLetterDoneSchema),
    handle: async (request) => {
      const deliveryId = request.params.delivery_id
      const line = lineOf(request, 'dead_letter.discard', deliveryId)
      const isDone = await discardOne(link, request.ctx, deliveryId, createId(env.clock.wallMs()), line)
      if (!isDone) throw noDeadLetter()
      return { body: { data: { delivery_id: deliveryId, state: 'discarded' as const } } }
    },
  })
}
