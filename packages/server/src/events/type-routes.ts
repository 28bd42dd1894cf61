import { RipstopError } from '@ripstop/kernel'
import {
  changelogEntrySchema,
  contractTestSchema,
  contractVerdictSchema,
  createEventTypeSchema,
  dataOf,
  type EventTypeWire,
  eventTypeSchema,
  listOf,
  pageQuerySchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, type RouteRequest, route } from '#platform/http'
import type { Change } from './compatibility.ts'
import type { Asking, EventTypes } from './event-types.ts'
import { TYPE_NAME, toList, toPage, toTime } from './paging.ts'
import type { EventType } from './type-store.ts'

const nameParams = z.strictObject({ name: z.string().regex(TYPE_NAME, 'must be the name of an event type') })

export function createTypeRoutes(types: EventTypes): readonly Route[] {
  return [
    ...createWriteRoutes(types),
    ...createReadRoutes(types),
    ...createVersionRoutes(types),
    createContractRoute(types),
  ]
}

function askingOf({ principal, idempotency, traceId }: RouteRequest<unknown, unknown, unknown>): Asking {
  return { principal, idempotency, traceId }
}

function createWriteRoutes(types: EventTypes): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/event-types',
      summary: 'Register an event type, or its next version (200: nothing differs from the newest)',
      scopes: ['events:write'],
      body: createEventTypeSchema,
      response: dataOf(eventTypeSchema),
      status: 201,
      otherStatuses: [200],
      handle: async (request) => {
        const { type, isNew, replayed } = await types.register(request.ctx, askingOf(request), request.body)
        const headers: Record<string, string> = replayed ? { 'Idempotency-Replayed': 'true' } : {}
        return { body: { data: toTypeWire(type) }, status: isNew || replayed ? 201 : 200, headers }
      },
    }),
    route({
      method: 'POST',
      path: '/v1/event-types/{name}/deprecate',
      summary: 'Mark an event type as deprecated; its events are still taken',
      scopes: ['events:write'],
      params: nameParams,
      response: dataOf(eventTypeSchema),
      handle: async (request) => ({
        body: { data: toTypeWire(await types.deprecate(request.ctx, askingOf(request), request.params.name)) },
      }),
    }),
  ]
}

function createReadRoutes(types: EventTypes): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/event-types',
      summary: 'List event types by name, the newest version of each',
      scopes: ['events:read'],
      query: pageQuerySchema,
      response: listOf(eventTypeSchema),
      handle: async ({ ctx, principal, query }) => {
        const found = await types.list(ctx, principal.tenantId, toPage(query, TYPE_NAME))
        return { body: toList(query, found, toTypeWire, ({ name }) => name) }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/event-types/{name}',
      summary: 'Read the newest version of an event type',
      scopes: ['events:read'],
      params: nameParams,
      response: dataOf(eventTypeSchema),
      handle: async ({ ctx, principal, params }) => {
        const [newest] = await types.versions(ctx, principal.tenantId, params.name)
        return { body: { data: toTypeWire(newest) } }
      },
    }),
  ]
}

function createVersionRoutes(types: EventTypes): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/event-types/{name}/versions',
      summary: 'List the versions of an event type, newest first',
      scopes: ['events:read'],
      params: nameParams,
      response: dataOf(z.array(eventTypeSchema)),
      handle: async ({ ctx, principal, params }) => ({
        body: { data: (await types.versions(ctx, principal.tenantId, params.name)).map(toTypeWire) },
      }),
    }),
    route({
      method: 'GET',
      path: '/v1/event-types/{name}/versions/{version}',
      summary: 'Read a version of an event type',
      scopes: ['events:read'],
      params: nameParams.extend({ version: z.coerce.number().int().min(1) }),
      response: dataOf(eventTypeSchema),
      handle: async ({ ctx, principal, params }) => {
        const versions = await types.versions(ctx, principal.tenantId, params.name)
        const found = versions.find(({ version }) => version === params.version)
        if (found === undefined) throw new RipstopError('NOT_FOUND', `${params.name} has no version ${params.version}`)
        return { body: { data: toTypeWire(found) } }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/event-types/{name}/changelog',
      summary: 'Read what changed from version to version, newest first',
      scopes: ['events:read'],
      params: nameParams,
      response: dataOf(z.array(changelogEntrySchema)),
      handle: async ({ ctx, principal, params }) => ({
        body: {
          data: (await types.versions(ctx, principal.tenantId, params.name)).map((type) => ({
            version: type.version,
            at: toTime(type.createdWallMs),
            description: type.description,
            changes: type.changes.map(toChangeWire),
          })),
        },
      }),
    }),
  ]
}

function createContractRoute(types: EventTypes): Route {
  return route({
    method: 'POST',
    path: '/v1/event-types/{name}/contract-test',
    summary: 'Ask whether every version of an event type guarantees what a consumer needs',
    scopes: ['events:read'],
    params: nameParams,
    body: contractTestSchema,
    response: dataOf(contractVerdictSchema),
    handle: async ({ ctx, principal, params, body }) => {
      const verdicts = await types.testContract(ctx, principal.tenantId, params.name, body)
      const versions = verdicts.map(({ version, missing }) => ({
        version,
        guaranteed: missing.length === 0,
        missing: missing.map(({ pointer, change }) => ({ pointer, problem: change })),
      }))
      return { body: { data: { guaranteed: versions.every(({ guaranteed }) => guaranteed), versions } } }
    },
  })
}

function toTypeWire(type: EventType): EventTypeWire {
  const { name, version, schema, description, changes, createdWallMs, deprecatedWallMs } = type
  return {
    name,
    version,
    schema: { ...schema },
    description,
    changes: changes.map(toChangeWire),
    created_at: toTime(createdWallMs),
    deprecated_at: deprecatedWallMs === undefined ? null : toTime(deprecatedWallMs),
  }
}

function toChangeWire({ pointer, change, breaks }: Change): EventTypeWire['changes'][number] {
  return { pointer, change, breaks: [...breaks] }
}
