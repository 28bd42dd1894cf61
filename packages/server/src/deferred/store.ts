// SQL of deferred requests.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { deliveriesPart, type NewDelivery, type Settled } from '#delivery'
import { type Done, type Part, runOnce } from '#platform/postgres'
import type { Kept } from './deferral.ts'

type Db = Link<PostgresPool>

export interface NewRequest {
  readonly requestId: string
  readonly tenantId: string
  readonly upstream: string
  readonly method: string
  readonly path: string
  readonly sealedHeaders: Buffer
  readonly body: Buffer | undefined
  readonly isRepeatable: boolean
  readonly deadlineMs: number
}

export interface Claim {
  readonly key: string
  readonly requestSha256: Buffer
}

/** The request, its delivery and its Idempotency-Key, together. Throws IDEMPOTENCY_KEY_REUSED. */
export async function insertRequest(
  link: Db,
  ctx: Ctx,
  request: NewRequest,
  delivery: NewDelivery,
  idempotency: Claim | undefined,
): Promise<Done<{ readonly request_id: string }>> {
  const { requestId, tenantId, upstream, method, path, sealedHeaders, body, isRepeatable, deadlineMs } = request
  const text = `
    insert into ripstop.deferred_requests
      (request_id, tenant_id, upstream, method, path, sealed_headers, body, is_repeatable, deadline_ms)
    select $1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::bytea, $7::bytea, $8::boolean, $9::integer from once
    returning request_id`
  const values = [requestId, tenantId, upstream, method, path, sealedHeaders, body ?? null, isRepeatable, deadlineMs]
  const response = { request_id: requestId }
  const done = await runOnce(link, ctx, {
    tenantId,
    idempotency,
    response,
    effect: { text, values },
    also: [deliveriesPart([delivery], 'effect')],
  })
  return done ?? { response, replayed: false } // an insert without a condition always has its effect
}

export interface StoredRequest {
  readonly requestId: string
  readonly tenantId: string
  readonly upstream: string
  readonly method: string
  readonly path: string
  readonly sealedHeaders: Buffer
  readonly body: Buffer | undefined
  readonly isRepeatable: boolean
  readonly deadlineMs: number
}

export async function loadRequests(
  link: Db,
  ctx: Ctx,
  requestIds: readonly string[],
): Promise<readonly StoredRequest[]> {
  const text = `
    select request_id, tenant_id, upstream, method, path, sealed_headers, body, is_repeatable, deadline_ms
    from ripstop.deferred_requests where request_id = any ($1::uuid[])`
  interface Row {
    readonly request_id: string
    readonly tenant_id: string
    readonly upstream: string
    readonly method: string
    readonly path: string
    readonly sealed_headers: Buffer
    readonly body: Buffer | null
    readonly is_repeatable: boolean
    readonly deadline_ms: number
  }
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, [requestIds]), { idempotent: true })
  return rows.map((row) => ({
    requestId: row.request_id,
    tenantId: row.tenant_id,
    upstream: row.upstream,
    method: row.method,
    path: row.path,
    sealedHeaders: row.sealed_headers,
    body: row.body ?? undefined,
    isRepeatable: row.is_repeatable,
    deadlineMs: row.deadline_ms,
  }))
}

/** True: nobody else may have sent it, and nobody else will while `attemptId` is there. */
export async function claimSending(link: Db, ctx: Ctx, requestId: string, attemptId: string): Promise<boolean> {
  const text = `
    update ripstop.deferred_requests set sending = $2
    where request_id = $1 and (sending is null or sending = $2) returning 1`
  const claim = async (pool: PostgresPool, ctx: Ctx) => (await pool.query(ctx, text, [requestId, attemptId])).rows
  return (await link.call(ctx, claim, { idempotent: true })).length > 0
}

export type State = 'waiting' | 'done' | 'failed' | 'unknown'

function stateOf({ answer, dueInMs }: Settled): State {
  if (answer.outcome === 'delivered') return 'done'
  if (dueInMs !== undefined) return 'waiting'
  return answer.outcome === 'unknown' ? 'unknown' : 'failed'
}

/** The schedule has seven; more is only a matter of chance. */
const ATTEMPTS_MAX = 50

/** For the statement that settles a batch of deliveries: what became of their requests. */
export function settlePart(batch: readonly Settled[]): Part {
  const text = `
    update ripstop.deferred_requests d set
      sending = null, state = given.state, code = given.code, status = given.status, response_headers = given.headers::jsonb,
      response_body = given.body, is_cut = given.is_cut, done_at = case when given.state = 'waiting' then null else now() end,
      attempts = case when jsonb_array_length(d.attempts) < ${ATTEMPTS_MAX} then d.attempts || given.attempt::jsonb else d.attempts end
    from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::bytea[], $8::boolean[], $9::text[])
      as given (delivery_id, request_id, state, code, status, headers, body, is_cut, attempt)
    where d.request_id = given.request_id and exists (select from settled where settled.delivery_id = given.delivery_id)
    returning 1`
  const kept = batch.map(({ answer }) => answer.notes as Kept | undefined)
  const isOver = batch.map((settled) => stateOf(settled) !== 'waiting')
  const values = [
    batch.map(({ delivery }) => delivery.deliveryId),
    batch.map(({ delivery }) => delivery.messageId),
    batch.map(stateOf),
    batch.map(({ answer }) => answer.code ?? null),
    kept.map((each) => each?.status ?? null),
    // While it waits nobody needs more than the status.
    kept.map((each, place) => (each === undefined || isOver[place] !== true ? null : JSON.stringify(each.headers))),
    kept.map((each, place) => (each === undefined || isOver[place] !== true ? null : each.body)),
    kept.map((each) => each?.isCut === true),
    batch.map((settled) => JSON.stringify(attemptOf(settled))),
  ]
  return { name: 'deferred_settled', text, values }
}

/** As it is kept and shown. */
export interface AttemptLine {
  readonly at: string
  readonly outcome: 'delivered' | 'failed' | 'unknown'
  readonly status: number | null
  readonly code: string | null
  readonly duration_ms: number
}

function attemptOf({ answer, wallMs }: Settled): AttemptLine {
  return {
    at: new Date(wallMs).toISOString(),
    outcome: answer.outcome,
    status: answer.status ?? null,
    code: answer.code ?? null,
    duration_ms: Math.max(0, Math.round(answer.durationMs)),
  }
}

export interface RequestView {
  readonly requestId: string
  readonly state: State
  readonly upstream: string
  readonly method: string
  readonly doneWallMs: number | undefined
  readonly code: string | undefined
  readonly attempts: readonly AttemptLine[]
  readonly response: Kept | undefined
}

/** Undefined: this tenant has no such request, or it is older than the retention. */
export async function findRequest(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  requestId: string,
): Promise<RequestView | undefined> {
  const text = `
    select state, upstream, method, floor(extract(epoch from done_at) * 1000)::float8 as done, code, attempts, status,
      response_headers, response_body, is_cut
    from ripstop.deferred_requests where request_id = $2 and tenant_id = $1`
  interface Row extends Pick<RequestView, 'state' | 'upstream' | 'method' | 'attempts'> {
    readonly done: number | null
    readonly code: string | null
    readonly status: number | null
    readonly response_headers: Record<string, string> | null
    readonly response_body: Buffer | null
    readonly is_cut: boolean
  }
  const query = (pool: PostgresPool, ctx: Ctx) => pool.query<Row>(ctx, text, [tenantId, requestId])
  const [row] = (await link.call(ctx, query, { idempotent: true })).rows
  if (row === undefined) return undefined
  const { status, response_headers: headers, response_body: body, is_cut: isCut } = row
  return {
    requestId,
    state: row.state,
    upstream: row.upstream,
    method: row.method,
    doneWallMs: row.done ?? undefined,
    code: row.code ?? undefined,
    attempts: row.attempts,
    response:
      status === null || headers === null ? undefined : { status, headers, body: body ?? Buffer.alloc(0), isCut },
  }
}

// Retention

/** The oldest day, if it ended longer ago than `afterMs` and nothing of it is still to be sent. For the holder of a lease. */
export function dropOldRequests(afterMs: number): Omit<Part, 'name'> {
  const text = `
    select ripstop.drop_oldest_partition('deferred_requests', now() - $1::float8 * interval '1 ms', 'deferred', '{deliveries}') as deleted
    from held`
  return { text, values: [afterMs] }
}

/** Partitions for the days to come; it deletes nothing. For the holder of a lease. */
export function makeRequestPartitions(daysAhead: number): Omit<Part, 'name'> {
  const text = `select 0 * ripstop.make_partitions('deferred_requests', $1::integer) as deleted from held`
  return { text, values: [daysAhead] }
}
