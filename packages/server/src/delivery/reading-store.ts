// What people see of deliveries. A delivery has no row of its own once it is done, so how it stands is read from three places:
// it is undone (deliveries), given up (dead_letters), or done (its last attempt). Only webhooks are shown here: what the gateway
// deferred is read at its own path.
// Every statement names a tenant, walks one index, and looks at SCAN_MAX rows at most: a page that a filter leaves short, or empty,
// still says where the next one begins.
// Invariants:
//   DR1. What belongs to another tenant is the same as what does not exist, whichever filter asks for it.
//   DR2. Following next_cursor gives every attempt once that was there when it began, newest first, however few a filter leaves.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'

type Db = Link<PostgresPool>

/** Rows that a page looks at, however few of them it shows. */
export const SCAN_MAX = 10_000
/** An event goes to as many endpoints as the tenant has, and again with every replay. */
const OF_EVENT_MAX = 1_000

export type DeadReason = 'exhausted' | 'refused' | 'unknown' | 'deleted' | 'overflow' | 'expired'
export type Outcome = 'delivered' | 'failed' | 'unknown' | 'parked'

/** One attempt, as it is in the history. */
export interface AttemptLine {
  readonly attemptId: string
  readonly deliveryId: string
  readonly tenantId: string
  readonly eventId: string
  readonly endpointId: string
  /** 0: nothing was sent, a person decided. */
  readonly attempt: number
  readonly outcome: Outcome
  readonly status: number | null
  readonly code: string | null
  readonly reason: string | null
  readonly durationMs: number
  readonly response: Buffer | null
  readonly receipt: 'applied' | 'duplicate' | null
  readonly mayRepeat: boolean
  readonly replayId: string | null
  readonly dueWallMs: number | null
}

/** A row that waits. */
export interface UndoneLine {
  readonly deliveryId: string
  readonly eventId: string
  readonly endpointId: string
  readonly attemptsMade: number
  readonly dueWallMs: number
  readonly replayId: string | null
  /** Where it is in the order that it is listed in. */
  readonly place: string
}

export interface DeliveryView {
  readonly deliveryId: string
  readonly eventId: string
  readonly endpointId: string
  /** Undone rows of a target that is parked are waiting, too: only its kind knows that it is. */
  readonly state: 'waiting' | 'delivered' | 'dead' | 'discarded'
  readonly attemptsMade: number
  readonly dueWallMs: number | null
  /** It is due, and nobody is there to send it: the lease of its shard is over. */
  readonly isUnowned: boolean
  readonly dead:
    | {
        readonly reason: DeadReason
        readonly code: string | null
        readonly status: number | null
        readonly wallMs: number
      }
    | undefined
  readonly replayId: string | null
  readonly last: AttemptLine | undefined
}

/** Attempts of an event, of an endpoint, of both, of a delivery, or of the whole tenant. */
export interface AttemptFilter {
  readonly eventId?: string | undefined
  readonly endpointId?: string | undefined
  readonly deliveryId?: string | undefined
  readonly outcome?: Outcome | undefined
  readonly sinceWallMs?: number | undefined
}

/** A page, and what the next one comes after; undefined: there is none. */
export interface Found<T> {
  readonly lines: readonly T[]
  readonly next: string | undefined
}

export interface PageBounds {
  readonly after: string | undefined
  readonly limit: number
}

interface AttemptRow {
  readonly attempt_id: string
  readonly delivery_id: string
  readonly tenant_id: string
  readonly message_id: string
  readonly target_id: string
  readonly n: number
  readonly outcome: Outcome
  readonly status: number | null
  readonly code: string | null
  readonly reason: string | null
  readonly duration_ms: number
  readonly response: Buffer | null
  readonly receipt: 'applied' | 'duplicate' | null
  readonly may_repeat: boolean
  readonly replay_id: string | null
  readonly next_due: number | null
}

const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)::float8`
const ATTEMPT_COLUMNS = `attempt_id, delivery_id, tenant_id, message_id, target_id, n, outcome, status, code, reason, duration_ms,
  response, receipt, may_repeat, replay_id, ${ms('next_due_at')} as next_due`

async function read<Row>(link: Db, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows
}

function toAttemptLine(row: AttemptRow): AttemptLine {
  return {
    attemptId: row.attempt_id,
    deliveryId: row.delivery_id,
    tenantId: row.tenant_id,
    eventId: row.message_id,
    endpointId: row.target_id,
    attempt: row.n,
    outcome: row.outcome,
    status: row.status,
    code: row.code,
    reason: row.reason,
    durationMs: row.duration_ms,
    response: row.response,
    receipt: row.receipt,
    mayRepeat: row.may_repeat,
    replayId: row.replay_id,
    dueWallMs: row.next_due,
  }
}

/** A UUIDv7 says when it was made. */
export function wallMsOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

// Attempts

/**
 * The index is chosen here, not by the planner, to which the newest attempts of a tenant may look like a good place to search for
 * those of one event: what else the filter asks for stands outside the limit.
 */
function scopeOf(tenantId: string, { deliveryId, eventId, endpointId }: AttemptFilter): readonly [string, string] {
  if (deliveryId !== undefined) return ['delivery_id = $1::bigint', deliveryId]
  if (eventId !== undefined) return ['message_id = $1::uuid', eventId]
  if (endpointId !== undefined) return ['target_id = $1::uuid', endpointId]
  return ['tenant_id = $1::uuid', tenantId]
}

/** Newest first, after the attempt `after`. */
export async function listAttempts(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  filter: AttemptFilter,
  { after, limit }: PageBounds,
): Promise<Found<AttemptLine>> {
  const { endpointId, outcome, sinceWallMs } = filter
  const [scope, scopeId] = scopeOf(tenantId, filter)
  const isAsked = '($5::text is null or outcome = $5) and ($6::uuid is null or target_id = $6)'
  const text = `
    select ${ATTEMPT_COLUMNS}, ${isAsked} as is_asked, place = ${SCAN_MAX} as is_bound
    from (
      select *, row_number() over (order by attempt_id desc) as place
      from (
        select * from ripstop.attempts
        where ${scope} and ($3::uuid is null or attempt_id < $3)
          and attempt_id >= ripstop.least_id_at(to_timestamp($4::float8 / 1000))
        order by attempt_id desc limit ${SCAN_MAX}) as looked) as placed
    where tenant_id = $2 and kind = 'webhook' and (place = ${SCAN_MAX} or (${isAsked}))
    order by attempt_id desc limit $7`
  const values = [scopeId, tenantId, after ?? null, sinceWallMs ?? 0, outcome ?? null, endpointId ?? null, limit + 1]
  const rows = await read<AttemptRow & { is_asked: boolean; is_bound: boolean }>(link, ctx, text, values)
  const shown = rows.slice(0, limit)
  const last = rows.length > limit || rows.at(-1)?.is_bound === true ? shown.at(-1) : undefined
  return { lines: shown.filter((row) => row.is_asked).map(toAttemptLine), next: last?.attempt_id }
}

export interface Tail {
  /** The database's own time at which the last look began; undefined: there was none. */
  readonly askedAtDatabase: string | undefined
  readonly overlapMs: number
  /** What was seen already, and an id up to which nothing is looked at any more. */
  readonly seen: readonly string[]
  readonly floor: string
  readonly limit: number
}

/**
 * What is new for `tenantIds`, oldest first. An attempt's id is made by the clock of whoever made it, and is seen when its statement
 * commits; so a look goes back to before the last one, and leaves out what was seen.
 */
export async function readNewAttempts(
  link: Db,
  ctx: Ctx,
  tenantIds: readonly string[],
  { askedAtDatabase, overlapMs, seen, floor, limit }: Tail,
): Promise<{ readonly lines: readonly AttemptLine[]; readonly askedAtDatabase: string }> {
  const text = `
    select now()::text as asked_at, found.* from (select) as always left join lateral (
      select ${ATTEMPT_COLUMNS} from ripstop.attempts
      where tenant_id = any ($1::uuid[])
        and attempt_id >= ripstop.least_id_at(coalesce($2::timestamptz, now()) - $3::float8 * interval '1 ms')
        and attempt_id > $4::uuid and kind = 'webhook' and attempt_id <> all ($5::uuid[])
      order by attempt_id limit $6) as found on true`
  type Row = AttemptRow & { asked_at: string }
  const rows = await read<Row>(link, ctx, text, [tenantIds, askedAtDatabase ?? null, overlapMs, floor, seen, limit])
  const lines = rows.filter(({ attempt_id }) => attempt_id !== null).map(toAttemptLine)
  return { lines, askedAtDatabase: rows[0]?.asked_at ?? '' }
}

// Deliveries

/** What waits for an endpoint, or of an event: lane by lane, in the order in which it is due. */
export async function listUndone(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  { eventId, endpointId }: AttemptFilter,
  { after, limit }: PageBounds,
): Promise<Found<UndoneLine>> {
  const [lane = null, dueUs = null, id = null] = after?.split('.') ?? []
  const scope = eventId !== undefined ? 'message_id = $1::uuid' : 'target_id = $1::uuid'
  const text = `
    select delivery_id, message_id, target_id, attempts, ${ms('due_at')} as due, replay_id,
           lane || '.' || (extract(epoch from due_at) * 1000000)::bigint || '.' || delivery_id as place
    from (
      select * from ripstop.deliveries
      where ${scope} and ($3::smallint is null or
        (lane, due_at, delivery_id) > ($3::smallint, timestamptz 'epoch' + $4::bigint * interval '1 us', $5::bigint))
      order by lane, due_at, delivery_id limit $6) as looked
    where tenant_id = $2 and kind = 'webhook' and ($7::uuid is null or target_id = $7)
    order by lane, due_at, delivery_id`
  interface Row extends Pick<AttemptRow, 'delivery_id' | 'message_id' | 'target_id' | 'replay_id'> {
    readonly attempts: number
    readonly due: number
    readonly place: string
  }
  const most = eventId !== undefined ? OF_EVENT_MAX : limit + 1
  const values = [eventId ?? endpointId, tenantId, lane, dueUs, id, most, endpointId ?? null]
  const rows = await read<Row>(link, ctx, text, values)
  const lines = rows.slice(0, limit).map((row) => ({
    deliveryId: row.delivery_id,
    eventId: row.message_id,
    endpointId: row.target_id,
    attemptsMade: row.attempts,
    dueWallMs: row.due,
    replayId: row.replay_id,
    place: row.place,
  }))
  return { lines, next: rows.length > limit ? lines.at(-1)?.place : undefined }
}

/** How much is undone for each of `endpointIds`; of one no more than `most` are counted. */
export async function countUndoneOf(
  link: Db,
  ctx: Ctx,
  endpointIds: readonly string[],
  most: number,
): Promise<ReadonlyMap<string, number>> {
  const text = `
    select asked.target_id, (
      select count(*) from (select from ripstop.deliveries d where d.target_id = asked.target_id order by d.lane, d.due_at limit $2) as counted)::integer as undone
    from unnest($1::uuid[]) as asked (target_id)`
  const rows = await read<{ target_id: string; undone: number }>(link, ctx, text, [endpointIds, most])
  return new Map(rows.map(({ target_id, undone }) => [target_id, undone]))
}

/** Of these events those that were tried or given up for the endpoint, never arrived there, and are not waiting. */
export async function findUndelivered(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  endpointId: string,
  eventIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const own = `message_id = any ($3::uuid[]) and target_id = $2 and tenant_id = $1 and kind = 'webhook'`
  const text = `
    with tried as materialized (
      select message_id, bool_or(outcome = 'delivered') as has_arrived from ripstop.attempts where ${own} group by message_id)
    select message_id from tried where not has_arrived
    union (select message_id from ripstop.dead_letters where ${own} except select message_id from tried where has_arrived)
    except select message_id from ripstop.deliveries where ${own}`
  const rows = await read<{ message_id: string }>(link, ctx, text, [tenantId, endpointId, eventIds])
  return new Set(rows.map((row) => row.message_id))
}

/** Undefined: this tenant has no such delivery, or nothing is left of it. */
export async function readDelivery(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  deliveryId: string,
): Promise<DeliveryView | undefined> {
  const [view] = await readViews(link, ctx, tenantId, 'delivery_id = $1::bigint', deliveryId)
  return view
}

/** All that ever became of an event, newest first, at most OF_EVENT_MAX. */
export function listDeliveriesOfEvent(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  eventId: string,
): Promise<readonly DeliveryView[]> {
  return readViews(link, ctx, tenantId, 'message_id = $1::uuid', eventId)
}

interface ViewRow extends AttemptRow {
  readonly state: 'undone' | 'dead' | 'done'
  readonly attempts: number | null
  readonly due: number | null
  readonly is_unowned: boolean
  readonly dead_reason: DeadReason | null
  readonly dead_code: string | null
  readonly dead_status: number | null
  readonly dead_at: number | null
  readonly the_id: string
  readonly the_message: string
  readonly the_target: string
  readonly the_replay: string | null
}

async function readViews(link: Db, ctx: Ctx, tenantId: string, scope: string, id: string): Promise<DeliveryView[]> {
  const own = `${scope} and tenant_id = $2 and kind = 'webhook'`
  const text = `
    with undone as materialized (
      select delivery_id, message_id, target_id, replay_id, attempts, due_at, shard from ripstop.deliveries where ${own}),
    dead as materialized (
      select delivery_id, message_id, target_id, replay_id, attempts, reason as dead_reason, code as dead_code, status as dead_status, dead_at
      from ripstop.dead_letters where ${own}),
    last as materialized (
      select distinct on (delivery_id) ${ATTEMPT_COLUMNS} from ripstop.attempts where ${own} order by delivery_id, attempt_id desc)
    select last.*, dead_reason, dead_code, dead_status, ${ms('dead_at')} as dead_at, ${ms('due_at')} as due,
      case when undone.delivery_id is not null then 'undone' when dead.delivery_id is not null then 'dead' else 'done' end as state,
      coalesce(undone.attempts, dead.attempts) as attempts,
      coalesce(undone.due_at <= now() and not exists (
        select from ripstop.delivery_shards where shard = undone.shard and expires_at > now()), false) as is_unowned,
      delivery_id as the_id, coalesce(undone.message_id, dead.message_id, last.message_id) as the_message,
      coalesce(undone.target_id, dead.target_id, last.target_id) as the_target,
      coalesce(undone.replay_id, dead.replay_id, last.replay_id) as the_replay
    from undone full join dead using (delivery_id) full join last using (delivery_id)
    order by the_id desc limit ${OF_EVENT_MAX}`
  return (await read<ViewRow>(link, ctx, text, [id, tenantId])).map(toView)
}

function toView(row: ViewRow): DeliveryView {
  const last = row.attempt_id === null ? undefined : toAttemptLine({ ...row, delivery_id: row.the_id })
  const { dead_reason: reason, dead_code: code, dead_status: status, dead_at: wallMs } = row
  return {
    deliveryId: row.the_id,
    eventId: row.the_message,
    endpointId: row.the_target,
    state: row.state === 'undone' ? 'waiting' : row.state === 'dead' ? 'dead' : endOf(last),
    attemptsMade: row.attempts ?? last?.attempt ?? 0,
    dueWallMs: row.due,
    isUnowned: row.is_unowned,
    dead: row.state !== 'dead' || reason === null || wallMs === null ? undefined : { reason, code, status, wallMs },
    replayId: row.the_replay,
    last,
  }
}

/** It is neither undone nor given up: it arrived, or its dead letter was discarded. */
function endOf(last: AttemptLine | undefined): 'delivered' | 'discarded' {
  return last?.outcome === 'delivered' ? 'delivered' : 'discarded'
}
