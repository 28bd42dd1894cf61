import { join } from 'node:path'
import type { Ctx, Env, Mesh } from '@ripstop/kernel'
import {
  dataOf,
  type MigrationStatusWire,
  meshGraphSchema,
  migrationStatusSchema,
  readinessSchema,
  statusSchema,
} from '@ripstop/protocol'
import { type Route, readPage, route } from '#platform/http'
import type { EventRing } from './event-ring.ts'
import { createReadiness } from './readiness.ts'
import { type ProcessGraph, toGraphWire } from './wire-graph.ts'

/** How the schema stands, as the migrations of this process know it. */
export interface SchemaStatus {
  readonly state: MigrationStatusWire['state']
  readonly version: number | undefined
  readonly newest: number
  readonly problems: readonly string[]
  readonly checkedWallMs: number | undefined
}

export interface HealthRoutesDeps {
  readonly env: Env
  readonly mesh: Mesh
  readonly ring: EventRing
  /** Every process of the mesh that is known of, this one included. */
  readonly graphs: () => readonly ProcessGraph[]
  /** What all of them count, in Prometheus' text format. */
  readonly metrics: () => string
  readonly schema: { readonly status: () => SchemaStatus; readonly check: (ctx: Ctx) => Promise<void> }
}

export function createHealthRoutes(deps: HealthRoutesDeps): readonly Route[] {
  return [
    createAliveRoute('/livez', 'Whether the process lives; touches nothing else'),
    createAliveRoute('/health', 'The same, for those who ask here'),
    ...['/readyz', '/ready', '/health/readiness'].map((path) => createReadyRoute(path, deps)),
    createMigrationsRoute(deps),
    createMetricsRoute(deps),
    createGraphRoute(deps),
    createEventsRoute(deps),
    createPageRoute(),
  ]
}

function createAliveRoute(path: string, summary: string): Route {
  const alive = { body: { status: 'ok' } } as const
  return route({ method: 'GET', path, summary, scopes: 'public', response: statusSchema, handle: () => alive })
}

function createReadyRoute(path: string, { mesh, schema }: HealthRoutesDeps): Route {
  return route({
    method: 'GET',
    path,
    summary: 'Whether it can do its work, and if not, what is missing and why',
    scopes: 'public',
    response: readinessSchema,
    otherStatuses: [503],
    handle: () => {
      const readiness = createReadiness(mesh.notReady(), mesh.graph(), schema.status())
      return { body: readiness, status: readiness.status === 'ready' ? 200 : 503 }
    },
  })
}

/** Looking again costs a few queries: not more often than this, however often somebody asks. */
const SCHEMA_CHECK_MS = 5_000
const SCHEMA_DEADLINE_MS = 1_500

function createMigrationsRoute({ env, schema }: HealthRoutesDeps): Route {
  let lookedMs = Number.NEGATIVE_INFINITY
  let failure: string | undefined
  return route({
    method: 'GET',
    path: '/health/migrations',
    summary: 'Whether the database is what the migrations of this version made; drift by name',
    scopes: 'public',
    response: migrationStatusSchema,
    otherStatuses: [503],
    handle: async ({ ctx }) => {
      const nowMs = env.clock.monoMs()
      if (nowMs - lookedMs > SCHEMA_CHECK_MS) {
        lookedMs = nowMs
        using limit = ctx.within(SCHEMA_DEADLINE_MS)
        failure = await schema.check(limit).then(
          () => undefined,
          (error: unknown) => `not checked: ${error instanceof Error ? error.message : String(error)}`,
        )
      }
      const { state, version = null, newest, problems, checkedWallMs } = schema.status()
      const body: MigrationStatusWire = {
        state,
        version,
        newest,
        problems: failure === undefined ? [...problems] : [...problems, failure],
        checked_at: checkedWallMs === undefined ? null : new Date(checkedWallMs).toISOString(),
      }
      return { body, status: state === 'current' ? 200 : 503 }
    },
  })
}

function createMetricsRoute({ metrics }: HealthRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/metrics',
    summary: 'Prometheus metrics of every process of this mesh',
    scopes: ['mesh:read'],
    response: 'text/plain; version=0.0.4',
    handle: () => ({ body: metrics() }),
  })
}

function createGraphRoute({ env, graphs }: HealthRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/mesh/graph',
    summary: 'Components, links, guarantees and live state of the whole mesh',
    scopes: ['mesh:read'],
    response: dataOf(meshGraphSchema),
    handle: () => ({ body: { data: toGraphWire(graphs(), env.clock.wallMs()) } }),
  })
}

/**
 * `hello` says where a new client stands; events follow as they happen. With Last-Event-ID those that were missed come
 * first, or `reset`: then read the graph anew.
 */
function createEventsRoute({ ring }: HealthRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/mesh/events',
    summary: 'What happens in the mesh, as server-sent events; resumes after Last-Event-ID',
    scopes: ['mesh:read'],
    response: 'text/event-stream',
    handle: ({ lastEventId }) => ({
      body: (send) => {
        const missed = lastEventId === undefined ? undefined : ring.after(lastEventId)
        if (lastEventId === undefined) send({ id: ring.lastId, event: 'hello', data: {} })
        else if (missed === undefined) send({ id: ring.lastId, event: 'reset', data: {} })
        for (const { id, event } of missed ?? []) send({ id, event: event.type, data: event })
        return ring.listen(({ id, event }) => send({ id, event: event.type, data: event }))
      },
    }),
  })
}

function createPageRoute(): Route {
  const page = readPage(join(import.meta.dirname, 'page'))
  return route({
    method: 'GET',
    path: '/',
    summary: 'The mesh, live, as a page',
    scopes: 'public',
    response: 'text/html',
    handle: () => page,
  })
}
