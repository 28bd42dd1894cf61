// SQL of the outbox: the only file that names `outbox` and `rejected_events`. A row leaves the outbox by the statement that makes it an
// event or a rejected one: the rows that were deleted are what both are made of.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { FieldProblem } from '@ripstop/protocol'
import { type AuditLine, auditPart } from '#access'
import type { IdempotencyKey } from '#platform/http'
import { composeStatement, type Done, type Part, runOnce } from '#platform/postgres'
import { conditionOf, type Publication, publicationParts } from './store.ts'

type Db = Link<PostgresPool>

/** Far beyond what an event may have: it is not even read. */
const TEXT_BYTES_MAX = 1_048_576
const PAGE_BYTES_MAX = 16_777_216

export interface OutboxRow {
  readonly outboxId: string
  /** As the publisher called it; undefined: the default tenant. */
  readonly tenant: string | undefined
  /** Undefined: it is too large to be looked at. */
  readonly text: string | undefined
  readonly createdWallMs: number
  readonly ageMs: number
}

/** The oldest rows, in order: at most `limit`, and no more than fit into memory. */
export async function readOutbox(link: Db, ctx: Ctx, limit: number): Promise<readonly OutboxRow[]> {
  const text = `
    select outbox_id, tenant, case when bytes <= ${TEXT_BYTES_MAX} then text end as text,
      floor(extract(epoch from created_at) * 1000)::float8 as created,
      greatest(0, extract(epoch from clock_timestamp() - created_at) * 1000)::float8 as age
    from (
      select *, sum(case when bytes <= ${TEXT_BYTES_MAX} then bytes else 0 end) over (order by outbox_id) as total
      from (
        select *, octet_length(text) as bytes
        from (
          select outbox_id, tenant, event::text as text, created_at from ripstop.outbox order by outbox_id limit $1
        ) as page
      ) as measured
    ) as counted
    where total <= ${PAGE_BYTES_MAX}
    order by outbox_id`
  type Row = { outbox_id: string; tenant: string | null; text: string | null; created: number; age: number }
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, [limit]), { idempotent: true })
  return rows.map((row) => ({
    outboxId: row.outbox_id,
    tenant: row.tenant ?? undefined,
    text: row.text ?? undefined,
    createdWallMs: row.created,
    ageMs: row.age,
  }))
}

export interface RejectedRow {
  readonly outboxId: string
  readonly tenantId: string | undefined
  readonly code: string
  readonly problems: readonly FieldProblem[]
}

/** A page of the outbox on its way: which rows become events (by the places of the publication), and which are rejected. */
export interface Move {
  readonly publication: Publication
  readonly outboxIds: readonly string[]
  readonly rejected: readonly RejectedRow[]
}

export interface Moved {
  /** False: something that the plans relied on has moved, or the lease was lost; nothing was done. */
  readonly isCurrent: boolean
  /** New events; the other rows were there before. */
  readonly published: number
  readonly rejected: number
}

/** For the holder of the lease that `fence` (the part `held`) tells of. May be repeated: a row is moved once. */
export async function moveOutbox(link: Db, ctx: Ctx, fence: Part, move: Move): Promise<Moved> {
  const { publication, outboxIds, rejected } = move
  const { before, fresh, after, isCurrent } = publicationParts(publication, ['held'])
  const condition = `${conditionOf(['held'])} and ${isCurrent}`
  const parts = [fence, ...gated(before, takenPart(outboxIds, rejected, condition), outboxIds)]
  const main = `
    select (${condition}) as is_current, (select count(*)::integer from fresh) as published,
      (select count(*)::integer from rejected) as rejected`
  const { text, values } = composeStatement(
    [...parts, { name: 'fresh', ...fresh }, ...after, rejectedPart(rejected)],
    main,
  )
  type Row = { is_current: boolean; published: number; rejected: number }
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  const [row] = rows
  return { isCurrent: row?.is_current ?? false, published: row?.published ?? 0, rejected: row?.rejected ?? 0 }
}

/** The rows are taken once the gates before them hold; and only events of rows that were taken are given. */
function gated(before: readonly Part[], taken: Part, outboxIds: readonly string[]): readonly Part[] {
  return before.flatMap((part): Part[] => {
    if (part.name !== 'given') return [part]
    const text = `
      select event.* from (${part.text}) as event
      join unnest($${part.values.length + 1}::bigint[]) with ordinality as row (outbox_id, place) using (place)
      join taken using (outbox_id)`
    return [taken, { name: 'given', text, values: [...part.values, outboxIds] }]
  })
}

function takenPart(outboxIds: readonly string[], rejected: readonly RejectedRow[], condition: string): Part {
  return {
    name: 'taken',
    text: `
      delete from ripstop.outbox where outbox_id = any ($1::bigint[]) and ${condition}
      returning outbox_id, tenant, event, created_at`,
    values: [[...outboxIds, ...rejected.map(({ outboxId }) => outboxId)]],
  }
}

function rejectedPart(rejected: readonly RejectedRow[]): Part {
  return {
    name: 'rejected',
    text: `
      insert into ripstop.rejected_events (rejected_id, tenant_id, tenant, event, code, problems, created_at)
      select taken.outbox_id, row.tenant_id, taken.tenant, taken.event, row.code, row.problems, taken.created_at
      from unnest($1::bigint[], $2::uuid[], $3::text[], $4::json[]) as row (outbox_id, tenant_id, code, problems)
      join taken using (outbox_id)
      returning 1`,
    values: [
      rejected.map(({ outboxId }) => outboxId),
      rejected.map(({ tenantId }) => tenantId ?? null),
      rejected.map(({ code }) => code),
      rejected.map(({ problems }) => JSON.stringify(problems)),
    ],
  }
}

// Rejected events

export interface RejectedEvent {
  readonly rejectedId: string
  readonly tenantId: string | undefined
  readonly tenant: string | undefined
  readonly event: unknown
  readonly code: string
  readonly problems: readonly FieldProblem[]
  readonly createdWallMs: number
  readonly rejectedWallMs: number
}

/** Those of a tenant, the newest first; with `orphans` also those whose tenant nobody knows. */
export async function listRejected(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  orphans: boolean,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly RejectedEvent[]> {
  const text = `
    select rejected_id, tenant_id, tenant, event, code, problems,
      floor(extract(epoch from created_at) * 1000)::float8 as created,
      floor(extract(epoch from rejected_at) * 1000)::float8 as rejected
    from ripstop.rejected_events
    where (tenant_id = $1 or ($2 and tenant_id is null)) and ($3::bigint is null or rejected_id < $3::bigint)
    order by rejected_id desc limit $4`
  type Row = Pick<RejectedEvent, 'event' | 'code' | 'problems'> & {
    readonly rejected_id: string
    readonly tenant_id: string | null
    readonly tenant: string | null
    readonly created: number
    readonly rejected: number
  }
  const values = [tenantId, orphans, page.after ?? null, page.limit]
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows.map(({ event, code, problems, ...row }) => ({
    rejectedId: row.rejected_id,
    tenantId: row.tenant_id ?? undefined,
    tenant: row.tenant ?? undefined,
    event,
    code,
    problems,
    createdWallMs: row.created,
    rejectedWallMs: row.rejected,
  }))
}

/** Puts it back into the outbox, as the newest row. Undefined: this tenant has no such row. */
export async function redriveRejected(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  rejectedId: string,
  orphans: boolean,
  audit: AuditLine,
  idempotency: IdempotencyKey | undefined,
): Promise<Done<{ readonly rejected_id: string }> | undefined> {
  const taken: Part = {
    name: 'taken',
    text: `
      delete from ripstop.rejected_events
      where rejected_id = $1 and (tenant_id = $2 or ($3 and tenant_id is null)) and exists (select from once)
      returning tenant, event, created_at`,
    values: [rejectedId, tenantId, orphans],
  }
  const effect = {
    text: `
      insert into ripstop.outbox (tenant, event, created_at) select tenant, event, created_at from taken returning 1`,
    values: [],
  }
  const response = { rejected_id: rejectedId }
  return runOnce(link, ctx, {
    tenantId,
    idempotency,
    response,
    before: [taken],
    effect,
    also: [auditPart(audit, 'effect')],
  })
}

/** Rows that were rejected longer ago than `afterMs`, at most `batch`; a row for each. For the holder of a lease. */
export function expireRejected(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.rejected_events where rejected_id = any (array(
      select rejected_id from ripstop.rejected_events
      where rejected_at < now() - $1::float8 * interval '1 ms' and exists (select from held) limit $2))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}
