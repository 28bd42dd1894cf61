// Dead letters: what is not tried any more by itself. Each keeps all that sending it again needs, and leaves in one of two ways, both
// by a person, both with a line in the audit log in the same statement.
// Invariants:
//   DR3. A redrive moves: the delivery keeps its id and is in exactly one place before, while and after, however often it is asked
//        for or the process dies.
//   DR4. A discard leaves its delivery in the history: what became of it can still be told, and nothing looks lost.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { auditPart } from '#access'
import type { IdempotencyKey } from '#platform/http'
import { composeStatement, type Done, type Part, runOnce } from '#platform/postgres'
import type { DeadReason, Found, PageBounds } from './reading-store.ts'
import { SCAN_MAX } from './reading-store.ts'

type Db = Link<PostgresPool>
type AuditLine = Parameters<typeof auditPart>[0]

export interface DeadLetter {
  readonly deliveryId: string
  readonly eventId: string
  readonly endpointId: string
  readonly reason: DeadReason
  readonly code: string | null
  readonly status: number | null
  readonly attemptsMade: number
  readonly deadWallMs: number
  readonly replayId: string | null
}

export interface DeadLetterFilter {
  readonly endpointId?: string | undefined
  readonly reason?: DeadReason | undefined
  readonly sinceWallMs?: number | undefined
  readonly untilWallMs?: number | undefined
}

interface Row {
  readonly delivery_id: string
  readonly message_id: string
  readonly target_id: string
  readonly reason: DeadReason
  readonly code: string | null
  readonly status: number | null
  readonly attempts: number
  readonly dead: number
  readonly replay_id: string | null
  readonly is_asked: boolean
  readonly is_bound: boolean
}

const COLUMNS = `delivery_id, message_id, target_id, reason, code, status, attempts, replay_id,
  floor(extract(epoch from dead_at) * 1000)::float8 as dead`

function toDeadLetter(row: Row): DeadLetter {
  return {
    deliveryId: row.delivery_id,
    eventId: row.message_id,
    endpointId: row.target_id,
    reason: row.reason,
    code: row.code,
    status: row.status,
    attemptsMade: row.attempts,
    deadWallMs: row.dead,
    replayId: row.replay_id,
  }
}

/** Newest deliveries first. Looks at SCAN_MAX letters at most. */
export function listDeadLetters(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  filter: DeadLetterFilter,
  bounds: PageBounds,
): Promise<Found<DeadLetter>> {
  return scan(link, ctx, tenantId, filter, bounds, 'desc')
}

/** Oldest deliveries first: the order in which a redrive of many sends them, and so keeps that of their keys. */
export function readDeadLetters(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  filter: DeadLetterFilter,
  bounds: PageBounds,
): Promise<Found<DeadLetter>> {
  return scan(link, ctx, tenantId, filter, bounds, 'asc')
}

async function scan(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  { endpointId, reason, sinceWallMs, untilWallMs }: DeadLetterFilter,
  { after, limit }: PageBounds,
  order: 'asc' | 'desc',
): Promise<Found<DeadLetter>> {
  const [scope, scopeId] =
    endpointId === undefined ? ['tenant_id = $1::uuid', tenantId] : ['target_id = $1::uuid', endpointId]
  const isAsked = `kind = 'webhook' and ($4::text is null or reason = $4)
    and ($5::float8 is null or dead_at >= to_timestamp($5 / 1000)) and ($6::float8 is null or dead_at < to_timestamp($6 / 1000))`
  const text = `
    select ${COLUMNS}, ${isAsked} as is_asked, place = ${SCAN_MAX} as is_bound
    from (
      select *, row_number() over (order by delivery_id ${order}) as place
      from (
        select * from ripstop.dead_letters
        where ${scope} and ($3::bigint is null or delivery_id ${order === 'asc' ? '>' : '<'} $3)
        order by delivery_id ${order} limit ${SCAN_MAX}) as looked) as placed
    where tenant_id = $2 and (place = ${SCAN_MAX} or (${isAsked}))
    order by delivery_id ${order} limit $7`
  const values = [scopeId, tenantId, after ?? null, reason ?? null, sinceWallMs ?? null, untilWallMs ?? null, limit + 1]
  const ask = (pool: PostgresPool, ctx: Ctx) => pool.query<Row>(ctx, text, values)
  const { rows } = await link.call(ctx, ask, { idempotent: true })
  const shown = rows.slice(0, limit)
  const last = rows.length > limit || rows.at(-1)?.is_bound === true ? shown.at(-1) : undefined
  return { lines: shown.filter((row) => row.is_asked).map(toDeadLetter), next: last?.delivery_id }
}

/** Takes letters away, if the part `gate` has a row. */
function takenPart(tenantId: string, deliveryIds: readonly string[], gate: string): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.dead_letters
    where delivery_id = any ($1::bigint[]) and tenant_id = $2 and kind = 'webhook' and exists (select from ${gate})
    returning *`
  return { text, values: [deliveryIds, tenantId] }
}

/** Puts what the part `taken` took away back to what is undone: due now, with all its attempts before it. */
function putBackPart(taken: string): Part {
  const text = `
    insert into ripstop.deliveries (delivery_id, tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, replay_id)
    overriding system value
    select delivery_id, tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, replay_id from ${taken}
    order by delivery_id
    returning delivery_id`
  return { name: 'redriven', text, values: [] }
}

/** Parts that redrive these letters, if the part `gate` has a row; the part `redriven` has a row for each that was there. */
export function redriveParts(tenantId: string, deliveryIds: readonly string[], gate: string): readonly Part[] {
  return [{ name: 'taken', ...takenPart(tenantId, deliveryIds, gate) }, putBackPart('taken')]
}

/** Undefined: this tenant has no such dead letter. */
export function redriveOne(
  link: Db,
  ctx: Ctx,
  deliveryId: string,
  audit: AuditLine,
  idempotency: IdempotencyKey | undefined,
): Promise<Done<{ readonly deliveryId: string }> | undefined> {
  return runOnce(link, ctx, {
    tenantId: audit.tenantId,
    idempotency,
    response: { deliveryId },
    effect: takenPart(audit.tenantId, [deliveryId], 'once'),
    also: [putBackPart('effect'), auditPart(audit, 'effect')],
  })
}

/** False: this tenant has no such dead letter. Its end is an attempt that was none (n 0), so that the history has it. */
export async function discardOne(
  link: Db,
  ctx: Ctx,
  deliveryId: string,
  attemptId: string,
  audit: AuditLine,
): Promise<boolean> {
  const always: Part = { name: 'always', text: 'select 1', values: [] }
  const taken: Part = { name: 'taken', ...takenPart(audit.tenantId, [deliveryId], 'always') }
  const told: Part = {
    name: 'told',
    text: `
      insert into ripstop.attempts
        (attempt_id, delivery_id, tenant_id, kind, target_id, message_id, n, outcome, code, reason, duration_ms, replay_id)
      select $1::uuid, delivery_id, tenant_id, kind, target_id, message_id, 0, 'failed', 'CANCELLED', $2::text, 0, replay_id from taken`,
    values: [attemptId, `discarded by ${audit.actor}`],
  }
  const parts = [always, taken, told, auditPart(audit, 'taken')]
  const { text, values } = composeStatement(parts, 'select count(*)::integer as taken from taken')
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<{ taken: number }>(ctx, text, values))
  return (rows[0]?.taken ?? 0) > 0
}

/** 0.1 s of a loaded database's time (2 shared cores, 2026-11). */
export const DEAD_COUNTED_MAX = 200_000

/** How many there are of each reason; of more than DEAD_COUNTED_MAX, whichever come first. */
export async function countDeadLetters(
  link: Db,
  ctx: Ctx,
): Promise<readonly { readonly reason: string; readonly count: number }[]> {
  const text = `
    select reason, count(*)::float8 as count
    from (select reason from ripstop.dead_letters limit ${DEAD_COUNTED_MAX}) as counted group by reason`
  const ask = (pool: PostgresPool, ctx: Ctx) => pool.query<{ reason: string; count: number }>(ctx, text, [])
  return (await link.call(ctx, ask, { idempotent: true })).rows
}
