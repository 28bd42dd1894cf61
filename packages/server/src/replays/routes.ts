// Replays at the edge: what is sent again, how far it has come, and its end.

import { type Ctx, createId, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import {
  createReplaySchema,
  dataOf,
  idSchema,
  listOf,
  pageQuerySchema,
  type ReplayWire,
  redriveManySchema,
  replaySchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, type RouteRequest, route } from '#platform/http'
import { cursorWallMs, type DeadLetterSelector, type EventSelector, type ReplayJob } from './job.ts'
import { cancelJob, insertJob, type JobWish, listJobs, RUNNING_PER_TENANT_MAX, readJob } from './store.ts'

export interface ReplayRoutesDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  /** Whether the tenant has such an endpoint. */
  readonly hasEndpoint: (ctx: Ctx, tenantId: string, endpointId: string) => Promise<boolean>
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export function createReplayRoutes(deps: ReplayRoutesDeps): readonly Route[] {
  return [
    createReplayRoute(deps),
    createRedriveManyRoute(deps),
    createListRoute(deps),
    createReadRoute(deps),
    createCancelRoute(deps),
  ]
}

type AnyRequest = RouteRequest<unknown, unknown, unknown>

function createReplayRoute(deps: ReplayRoutesDeps): Route {
  return route({
    method: 'POST',
    path: '/v1/replays',
    summary: 'Send events of the past to an endpoint again, as a job that survives everything',
    scopes: ['webhooks:write'],
    body: createReplaySchema,
    response: dataOf(replaySchema),
    status: 202,
    handle: async (request) => {
      const { endpoint_id: endpointId, since, until, types, only } = request.body
      const nowMs = Math.floor(deps.env.clock.wallMs())
      const sinceWallMs = Date.parse(since)
      const untilWallMs = Math.min(until === undefined ? nowMs : Date.parse(until), nowMs)
      checkSpan(sinceWallMs, untilWallMs)
      return create(deps, request, 'events', endpointId, { sinceWallMs, untilWallMs, types, only })
    },
  })
}

function createRedriveManyRoute(deps: ReplayRoutesDeps): Route {
  return route({
    method: 'POST',
    path: '/v1/dead-letters/redrive',
    summary: 'Send every dead letter that the filter names again, as a job that survives everything',
    scopes: ['webhooks:write'],
    body: redriveManySchema,
    response: dataOf(replaySchema),
    status: 202,
    handle: async (request) => {
      const { endpoint_id: endpointId, reason, since, until } = request.body
      const sinceWallMs = since === undefined ? undefined : Date.parse(since)
      const untilWallMs = until === undefined ? undefined : Date.parse(until)
      checkSpan(sinceWallMs ?? 0, untilWallMs ?? Number.POSITIVE_INFINITY)
      return create(deps, request, 'dead_letters', endpointId, { reason, sinceWallMs, untilWallMs })
    },
  })
}

function checkSpan(sinceWallMs: number, untilWallMs: number): void {
  if (sinceWallMs < untilWallMs) return
  const problem = 'must be before body.until, and before now'
  throw new RipstopError('BAD_REQUEST', `body.since ${problem}`, {
    details: { problems: [{ field: 'body.since', problem }] },
  })
}

async function create(
  { env, link, hasEndpoint }: ReplayRoutesDeps,
  { ctx, principal, idempotency, traceId }: AnyRequest,
  what: JobWish['what'],
  endpointId: string | undefined,
  selector: EventSelector | DeadLetterSelector,
) {
  const { tenantId, actor } = principal
  if (endpointId !== undefined && !(await hasEndpoint(ctx, tenantId, endpointId))) {
    throw new RipstopError('NOT_FOUND', 'there is no such endpoint')
  }
  const replayId = createId(env.clock.wallMs())
  const details = { what, endpoint_id: endpointId ?? null }
  const audit = {
    tenantId,
    actor,
    action: 'replay.create',
    resource: `replay:${replayId}`,
    outcome: 'done',
    traceId,
    details,
  } as const
  const done = await insertJob(link, ctx, { replayId, what, endpointId, selector, audit, idempotency })
  if (done === undefined) {
    throw new RipstopError('CONFLICT', `${RUNNING_PER_TENANT_MAX} replays run already: wait for one, or cancel one`)
  }
  return answer(await readJob(link, ctx, tenantId, done.response), done.replayed)
}

function answer(job: ReplayJob | undefined, isReplayed = false) {
  if (job === undefined) throw new RipstopError('NOT_FOUND', 'there is no such replay')
  const headers: Record<string, string> = isReplayed ? { 'Idempotency-Replayed': 'true' } : {}
  return { body: { data: toReplayWire(job) }, headers }
}

function createListRoute({ link }: ReplayRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/replays',
    summary: 'List replays and redrives of many, newest first',
    scopes: ['webhooks:read'],
    query: pageQuerySchema,
    response: listOf(replaySchema),
    handle: async ({ ctx, principal, query: { cursor, limit } }) => {
      const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1')
      if (after !== undefined && !ID.test(after)) {
        const problems = [{ field: 'query.cursor', problem: 'is not a next_cursor of this list' }]
        throw new RipstopError('BAD_REQUEST', 'query.cursor is not a next_cursor of this list', {
          details: { problems },
        })
      }
      const jobs = await listJobs(link, ctx, principal.tenantId, { after, limit: limit + 1 })
      const shown = jobs.slice(0, limit)
      const last = jobs.length > limit ? shown.at(-1) : undefined
      const next = last === undefined ? null : Buffer.from(last.replayId).toString('base64url')
      return { body: { data: shown.map(toReplayWire), next_cursor: next } }
    },
  })
}

const params = z.strictObject({ replay_id: idSchema })

function createReadRoute({ link }: ReplayRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/replays/{replay_id}',
    summary: 'How far a replay has come',
    scopes: ['webhooks:read'],
    params,
    response: dataOf(replaySchema),
    handle: async ({ ctx, principal, params }) =>
      answer(await readJob(link, ctx, principal.tenantId, params.replay_id)),
  })
}

function createCancelRoute({ link }: ReplayRoutesDeps): Route {
  return route({
    method: 'POST',
    path: '/v1/replays/{replay_id}/cancel',
    summary: 'End a replay; what it made already is sent. One that has ended stays as it is',
    scopes: ['webhooks:write'],
    params,
    response: dataOf(replaySchema),
    handle: async ({ ctx, principal: { tenantId, actor }, params: { replay_id: replayId }, idempotency, traceId }) => {
      const resource = `replay:${replayId}`
      const audit = { tenantId, actor, action: 'replay.cancel', resource, outcome: 'done', traceId } as const
      const done = await cancelJob(link, ctx, replayId, audit, idempotency)
      return answer(await readJob(link, ctx, tenantId, replayId), done?.replayed)
    },
  })
}

const toTime = (wallMs: number | undefined): string | undefined =>
  wallMs === undefined ? undefined : new Date(wallMs).toISOString()

function toReplayWire(job: ReplayJob): ReplayWire {
  const { sinceWallMs, untilWallMs, ...rest } = job.selector
  return {
    replay_id: job.replayId,
    what: job.what,
    endpoint_id: job.endpointId ?? null,
    selector: { ...rest, since: toTime(sinceWallMs), until: toTime(untilWallMs) },
    state: job.state,
    done: job.done,
    cursor_at: toTime(cursorWallMs(job)) ?? null,
    created_at: new Date(job.createdWallMs).toISOString(),
    updated_at: new Date(job.updatedWallMs).toISOString(),
  }
}
