import { type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import {
  dataOf,
  EVENTS_IN_BATCH_MAX,
  type EventWire,
  eventSchema,
  eventsQuerySchema,
  idSchema,
  listOf,
  type PublishResultsWire,
  type PublishResultWire,
  pageQuerySchema,
  publishResultSchema,
  publishResultsSchema,
  publishSchema,
  type RejectedEventWire,
  redrivenSchema,
  rejectedEventSchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { DEFAULT_TENANT_ID } from '#access'
import { type Principal, type Route, route } from '#platform/http'
import { listRejected, type RejectedEvent, redriveRejected } from './outbox-store.ts'
import { ID, NUMBER, toList, toPage, toTime } from './paging.ts'
import type { Publish, Published, PublishResult } from './publishing.ts'
import { findEvent, readEvents, type StoredEvent } from './store.ts'

/** Of a batch: 1,000 events of 8 KB. */
const BODY_BYTES_MAX = 8_388_608

export interface EventRoutesDeps {
  readonly publish: Publish
  readonly link: Link<PostgresPool>
}

export function createEventRoutes(deps: EventRoutesDeps): readonly Route[] {
  return [createPublishRoute(deps), ...createReadRoutes(deps), ...createRejectedRoutes(deps)]
}

function createPublishRoute({ publish }: EventRoutesDeps): Route {
  return route({
    method: 'POST',
    path: '/v1/events',
    summary: 'Publish an event (202), or up to 1,000 with an answer for each (200, or 207 where some were refused)',
    scopes: ['events:write'],
    body: publishSchema,
    response: dataOf(z.union([publishResultSchema, publishResultsSchema])),
    status: 202,
    otherStatuses: [200, 207],
    bodyBytesMax: BODY_BYTES_MAX,
    handle: async ({ ctx, principal, body, idempotency, traceId }) => {
      const batch = batchOf(body)
      const published = await publish(ctx, principal, batch ?? [body], { traceId, idempotency })
      const headers: Record<string, string> = published.replayed ? { 'Idempotency-Replayed': 'true' } : {}
      if (batch === undefined) return { ...toSingle(published), headers }
      const data = toResults(published)
      return { body: { data }, status: data.refused > 0 ? 207 : 200, headers }
    },
  })
}

/** The events of a batch; undefined: it is one event. */
function batchOf(body: unknown): readonly unknown[] | undefined {
  const isBatch = typeof body === 'object' && body !== null && 'events' in body && Array.isArray(body.events)
  if (!isBatch) return undefined
  const events: readonly unknown[] = body.events as unknown[]
  const others = Object.keys(body).filter((name) => name !== 'events')
  const problem = others.length > 0 ? 'must be alone in its object' : `must be 1 to ${EVENTS_IN_BATCH_MAX}`
  if (others.length === 0 && events.length > 0 && events.length <= EVENTS_IN_BATCH_MAX) return events
  throw new RipstopError('BAD_REQUEST', `body.events ${problem}`, {
    details: { problems: [{ field: 'body.events', problem }] },
  })
}

/** Its refusal is the answer's own error. A duplicate is 200: nothing was taken on. */
function toSingle({ results }: Published): { body: { data: PublishResultWire }; status: number } {
  const [result] = results
  if (result === undefined) throw new RipstopError('INTERNAL', 'an event was published without a result')
  if (result.outcome === 'refused') {
    const { code, message, details, retryAfterMs } = result
    throw new RipstopError(code, message, {
      details,
      sent: 'no',
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  }
  return { body: { data: toResultWire(result) }, status: result.outcome === 'published' ? 202 : 200 }
}

function toResults({ results }: Published): PublishResultsWire {
  const count = (outcome: PublishResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length
  return {
    published: count('published'),
    duplicates: count('duplicate'),
    refused: count('refused'),
    results: results.map(toResultWire),
  }
}

function toResultWire(result: PublishResult): PublishResultWire {
  if (result.outcome !== 'refused') return { outcome: result.outcome, event_id: result.eventId, error: null }
  const { code, message, details, retryAfterMs } = result
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) }
  return { outcome: 'refused', event_id: null, error: { code, message, details: { ...details }, ...retry } }
}

function createReadRoutes({ link }: EventRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/events',
      summary: 'List events, newest first',
      scopes: ['events:read'],
      query: eventsQuerySchema,
      response: listOf(eventSchema),
      handle: async ({ ctx, principal, query }) => {
        const { tenantId } = principal
        const types = query.type === undefined ? undefined : [query.type]
        const found = await readEvents(link, ctx, { tenantId, types, ...toPage(query, ID) }, 'newest')
        return { body: toList(query, found, toEventWire, ({ eventId }) => eventId) }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/events/{event_id}',
      summary: 'Read an event',
      scopes: ['events:read'],
      params: z.strictObject({ event_id: idSchema }),
      response: dataOf(eventSchema),
      handle: async ({ ctx, principal, params }) => {
        const event = await findEvent(link, ctx, principal.tenantId, params.event_id)
        if (event === undefined)
          throw new RipstopError('NOT_FOUND', 'there is no such event, or it is older than the retention')
        return { body: { data: toEventWire(event) } }
      },
    }),
  ]
}

function toEventWire({ eventId, type, typeVersion, publishedWallMs, fanOut, body }: StoredEvent): EventWire {
  return {
    event_id: eventId,
    type,
    type_version: typeVersion ?? null,
    published_at: toTime(publishedWallMs),
    fan_out: fanOut,
    event: JSON.parse(body.toString()) as EventWire['event'],
  }
}

/** What came for a tenant that nobody knows is shown to those who operate the mesh. */
function seesOrphans({ tenantId }: Principal): boolean {
  return tenantId === DEFAULT_TENANT_ID
}

function createRejectedRoutes({ link }: EventRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/rejected-events',
      summary: 'List what came through the outbox and is no event, newest first',
      scopes: ['events:read'],
      query: pageQuerySchema,
      response: listOf(rejectedEventSchema),
      handle: async ({ ctx, principal, query }) => {
        const page = toPage(query, NUMBER)
        const found = await listRejected(link, ctx, principal.tenantId, seesOrphans(principal), page)
        return { body: toList(query, found, toRejectedWire, ({ rejectedId }) => rejectedId) }
      },
    }),
    route({
      method: 'POST',
      path: '/v1/rejected-events/{rejected_id}/redrive',
      summary: 'Put a rejected event back into the outbox',
      scopes: ['events:write'],
      params: z.strictObject({ rejected_id: z.string().regex(NUMBER, 'must be a number') }),
      response: dataOf(redrivenSchema),
      status: 202,
      handle: async ({ ctx, principal, params, idempotency, traceId }) => {
        const { tenantId, actor } = principal
        const id = params.rejected_id
        const resource = `rejected-event:${id}`
        const line = { tenantId, actor, action: 'rejected-event.redrive', resource, outcome: 'done', traceId } as const
        const done = await redriveRejected(link, ctx, tenantId, id, seesOrphans(principal), line, idempotency)
        if (done === undefined) throw new RipstopError('NOT_FOUND', 'there is no such rejected event')
        const headers: Record<string, string> = done.replayed ? { 'Idempotency-Replayed': 'true' } : {}
        return { body: { data: { ...done.response, state: 'waiting' as const } }, headers }
      },
    }),
  ]
}

const REASONS: Readonly<Record<string, RejectedEventWire['reason']>> = {
  EVENT_INVALID: 'schema',
  EVENT_TYPE_UNKNOWN: 'type',
  PAYLOAD_TOO_LARGE: 'size',
  NOT_FOUND: 'tenant',
}

function toRejectedWire(rejected: RejectedEvent): RejectedEventWire {
  const { rejectedId, tenant, code, problems, event, createdWallMs, rejectedWallMs } = rejected
  return {
    rejected_id: rejectedId,
    tenant: tenant ?? null,
    reason: REASONS[code] ?? 'other',
    code,
    problems: [...problems],
    event,
    created_at: toTime(createdWallMs),
    rejected_at: toTime(rejectedWallMs),
  }
}
