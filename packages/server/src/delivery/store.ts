// What the engine reads of undone deliveries. Nothing is marked when it is read: who owns a shard reads alone.
//   - discover: rows that appeared since a snapshot (as in PgQ). It costs what is new, however much is undone, and says where to look.
//   - readDue, readKeys: the rows themselves, after a position, so that what was deleted since the last vacuum is not walked again.
//   - sweep: every (target, lane) that has something undone, by skip scan. It is the truth; discovery only is sooner.
// Times of rows are in whole us of the database's clock, which float8 carries exactly.
// Invariants:
//   DL3. A row that becomes visible is discovered, in whatever order transactions commit.
//   DL4. Of a key only its oldest rows are read, in their order, and a key whose oldest is not due gives none.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'

/** What is read of a delivery. */
export interface DeliveryRow {
  readonly delivery_id: number
  readonly key_hash: number | null
  readonly message_id: string
  readonly bytes: number
  readonly attempts: number
  readonly replay_id: string | null
  readonly due_us: number
  readonly due_in_ms: number
  /** It was there before its shard was claimed from an owner that may have sent it. */
  readonly may_repeat: boolean
}

export interface DiscoveredRow extends DeliveryRow {
  readonly kind: string
  readonly target_id: string
  readonly lane: number
  readonly shard: number
}

/** Before what a row may have been sent by another owner; undefined: its shard was let go in order. */
export interface Repeats {
  readonly xid: string
  readonly wallUs: number
}

const OF_ROW = `d.delivery_id::float8 as delivery_id, d.key_hash::float8 as key_hash, d.message_id, d.bytes, d.attempts, d.replay_id,
      round(date_part('epoch', d.due_at) * 1e6) as due_us, date_part('epoch', d.due_at - now()) * 1000 as due_in_ms`

const repeats = (xid: string, wallUs: string): string =>
  `coalesce(d.xid < ${xid}::xid8 and d.due_at <= 'epoch'::timestamptz + ${wallUs} * interval '1 us', false) as may_repeat`

function read<Row>(link: Link<PostgresPool>, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const ask = async (pool: PostgresPool, ctx: Ctx) => (await pool.query<Row>(ctx, text, values)).rows
  return link.call(ctx, ask, { idempotent: true })
}

export interface Discovered {
  readonly snapshot: string
  readonly rows: readonly DiscoveredRow[]
}

/**
 * At most `most` rows of `shards` that were not visible in the snapshot `since`: those of transactions that were under way then, and
 * of later ones. Rows of a later xid than there is come from another cluster's dump: the sweep finds them.
 */
export async function discover(
  link: Link<PostgresPool>,
  ctx: Ctx,
  since: string,
  shards: readonly number[],
  most: number,
): Promise<Discovered> {
  const columns = `${OF_ROW}, false as may_repeat, d.kind, d.target_id, d.lane, d.shard`
  const text = `
    select pg_current_snapshot()::text as snapshot, fresh.*
    from (values (1)) as one left join (
      select ${columns} from ripstop.deliveries d
      where d.xid >= pg_snapshot_xmax($1::pg_snapshot) and d.xid < pg_snapshot_xmax(pg_current_snapshot()) and d.shard = any ($2::smallint[])
      union all
      select late.* from pg_snapshot_xip($1::pg_snapshot) as was(xid) cross join lateral (
        -- The limit keeps it a probe of the index for each: joined otherwise the whole table would be read.
        select ${columns} from ripstop.deliveries d where d.xid = was.xid and d.shard = any ($2::smallint[]) limit $3) as late
      limit $3) as fresh on true`
  const rows = await read<DiscoveredRow & { snapshot: string }>(link, ctx, text, [since, shards, most])
  const [first] = rows
  return { snapshot: first?.snapshot ?? since, rows: first?.delivery_id === null ? [] : rows }
}

/** The snapshot to begin discovery with. */
export async function readSnapshot(link: Link<PostgresPool>, ctx: Ctx): Promise<string> {
  const rows = await read<{ snapshot: string }>(link, ctx, 'select pg_current_snapshot()::text as snapshot', [])
  return (rows[0] as { snapshot: string }).snapshot
}

export interface DueQuestion {
  readonly targetId: string
  readonly lane: number
  readonly afterUs: number
  readonly afterId: number
  readonly most: number
  readonly repeats: Repeats | undefined
}

/** A row of the lane at `place`; without a delivery_id it says in how many ms the lane's next one is due. */
export interface PlacedRow extends DeliveryRow {
  readonly place: number
}

/** Due rows without a key, for each lane in the order in which they are due. */
export function readDue(link: Link<PostgresPool>, ctx: Ctx, lanes: readonly DueQuestion[]): Promise<PlacedRow[]> {
  const text = `
    with lane as (
      select * from unnest($1::uuid[], $2::smallint[], $3::float8[], $4::bigint[], $5::integer[], $6::text[], $7::float8[])
        with ordinality as lane (target_id, lane, after_us, after_id, most, repeat_xid, repeat_us, place))
    select lane.place::integer as place, d.* from lane cross join lateral (
      select ${OF_ROW}, ${repeats('lane.repeat_xid', 'lane.repeat_us')} from ripstop.deliveries d
      where d.target_id = lane.target_id and d.lane = lane.lane and d.key_hash is null and d.due_at <= now()
        and (d.due_at, d.delivery_id) > ('epoch'::timestamptz + lane.after_us * interval '1 us', lane.after_id)
      order by d.due_at, d.delivery_id limit lane.most) as d
    union all
    select lane.place::integer, null, null, null, null, null, null, round(date_part('epoch', d.due_at) * 1e6),
      date_part('epoch', d.due_at - now()) * 1000, false
    from lane cross join lateral (
      select d.due_at from ripstop.deliveries d
      where d.target_id = lane.target_id and d.lane = lane.lane and d.key_hash is null and d.due_at > now()
      order by d.due_at limit 1) as d`
  return read(link, ctx, text, [
    lanes.map(({ targetId }) => targetId),
    lanes.map(({ lane }) => lane),
    lanes.map(({ afterUs }) => afterUs),
    lanes.map(({ afterId }) => afterId),
    lanes.map(({ most }) => most),
    lanes.map(({ repeats }) => repeats?.xid ?? null),
    lanes.map(({ repeats }) => repeats?.wallUs ?? null),
  ])
}

export interface ScanQuestion {
  readonly targetId: string
  readonly lane: number
  readonly afterKey: number
  readonly most: number
}

export interface KeyRow {
  readonly place: number
  readonly key_hash: number
  /** When its oldest is due. */
  readonly due_in_ms: number
}

/** The next keys of each lane, and when the oldest of each is due: a skip scan, one probe a key. */
export function scanKeys(link: Link<PostgresPool>, ctx: Ctx, lanes: readonly ScanQuestion[]): Promise<KeyRow[]> {
  const next = (after: string): string => `
        select d.key_hash, d.due_at from ripstop.deliveries d
        where d.target_id = lane.target_id and d.lane = lane.lane and d.key_hash > ${after}
        order by d.key_hash, d.delivery_id limit 1`
  const text = `
    select lane.place::integer as place, key.key_hash::float8 as key_hash, date_part('epoch', key.due_at - now()) * 1000 as due_in_ms
    from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::integer[]) with ordinality as lane (target_id, lane, after_key, most, place)
    cross join lateral (
      with recursive keys as (
        (select next.*, 1 as n from (${next('lane.after_key')}) as next)
        union all
        select next.*, keys.n + 1 from keys cross join lateral (${next('keys.key_hash')}) as next where keys.n < lane.most)
      select key_hash, due_at from keys) as key`
  return read(link, ctx, text, [
    lanes.map(({ targetId }) => targetId),
    lanes.map(({ lane }) => lane),
    lanes.map(({ afterKey }) => afterKey),
    lanes.map(({ most }) => most),
  ])
}

export interface KeyQuestion {
  readonly targetId: string
  readonly lane: number
  readonly key: number
  readonly afterId: number
  readonly repeats: Repeats | undefined
}

/** The oldest rows of each key after `afterId`, at most `most`, due or not. */
export function readKeys(
  link: Link<PostgresPool>,
  ctx: Ctx,
  keys: readonly KeyQuestion[],
  most: number,
): Promise<PlacedRow[]> {
  const text = `
    select key.place::integer as place, d.*
    from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[], $6::float8[])
      with ordinality as key (target_id, lane, key_hash, after_id, repeat_xid, repeat_us, place)
    cross join lateral (
      select ${OF_ROW}, ${repeats('key.repeat_xid', 'key.repeat_us')} from ripstop.deliveries d
      where d.target_id = key.target_id and d.lane = key.lane and d.key_hash = key.key_hash and d.delivery_id > key.after_id
      order by d.delivery_id limit $7) as d
    order by key.place, d.delivery_id`
  return read(link, ctx, text, [
    keys.map(({ targetId }) => targetId),
    keys.map(({ lane }) => lane),
    keys.map(({ key }) => key),
    keys.map(({ afterId }) => afterId),
    keys.map(({ repeats }) => repeats?.xid ?? null),
    keys.map(({ repeats }) => repeats?.wallUs ?? null),
    most,
  ])
}

export interface SweptLane {
  readonly target_id: string
  readonly lane: number
  readonly kind: string
  readonly shard: number
  readonly is_keyed: boolean
  /** The first of the lane, and when it is due. */
  readonly delivery_id: number
  readonly due_us: number
}

/** After which lane a page of a sweep begins. */
export interface SweepPlace {
  readonly targetId: string
  readonly lane: number
}

export const SWEEP_FROM_START: SweepPlace = { targetId: '00000000-0000-0000-0000-000000000000', lane: -1 }

export interface SweptPage {
  readonly lanes: readonly SweptLane[]
  /** Where the next page begins; undefined: this was the last. */
  readonly next: SweepPlace | undefined
}

/** The lanes of `shards` with something undone, a page at a time: two probes a lane, whoever owns it. */
export async function sweep(
  link: Link<PostgresPool>,
  ctx: Ctx,
  shards: readonly number[],
  after: SweepPlace,
  most: number,
): Promise<SweptPage> {
  const scan = (name: string, which: string, order: string): string => {
    // Not (target_id, lane) > (…): that comparison walks over all rows of the lane before (7 s for 100 lanes of 10,000; 2026-11).
    const first = (where: string): string => `
        (select d.target_id, d.lane, d.kind, d.shard, d.delivery_id, d.due_at from ripstop.deliveries d
         where ${which} and ${where} order by d.target_id, d.lane, ${order} limit 1)`
    const next = (target: string, lane: string): string => `
        select * from (${first(`d.target_id = ${target} and d.lane > ${lane}`)} union all ${first(`d.target_id > ${target}`)}) as either
        order by target_id, lane limit 1`
    return `
    ${name} as (
      (select next.*, 1 as n from (${next('$2::uuid', '$3::smallint')}) as next)
      union all
      select next.*, one.n + 1 from ${name} as one cross join lateral (${next('one.target_id', 'one.lane')}) as next where one.n < $4)`
  }
  const text = `
    with recursive ${scan('free', 'd.key_hash is null', 'd.due_at, d.delivery_id')},
      ${scan('keyed', 'd.key_hash is not null', 'd.key_hash, d.delivery_id')}
    select *, delivery_id::float8 as delivery_id, round(date_part('epoch', due_at) * 1e6) as due_us, shard = any ($1::smallint[]) as is_ours
    from (select *, false as is_keyed from free union all select *, true from keyed) as found
    where shard = any ($1::smallint[]) or n = $4`
  const rows = await read<SweptLane & { n: number; is_ours: boolean }>(link, ctx, text, [
    shards,
    after.targetId,
    after.lane,
    most,
  ])
  // Both were read up to a lane: the next page begins at the nearer one.
  const ends = rows.filter(({ n }) => n === most).map(({ target_id, lane }) => ({ targetId: target_id, lane }))
  const next = ends.length < 2 || isBefore(ends[0], ends[1]) ? ends[0] : ends[1]
  return { lanes: rows.filter(({ is_ours }) => is_ours), next }
}

function isBefore(one: SweepPlace | undefined, other: SweepPlace | undefined): boolean {
  if (one === undefined || other === undefined) return one !== undefined
  return one.targetId < other.targetId || (one.targetId === other.targetId && one.lane < other.lane)
}

export interface LaneCount {
  readonly place: number
  readonly undone: number
}

/** How many undone deliveries each lane has; no more than `most` are counted of one. */
export function countUndone(
  link: Link<PostgresPool>,
  ctx: Ctx,
  lanes: readonly { readonly targetId: string; readonly lane: number }[],
  most: number,
): Promise<LaneCount[]> {
  const count = (which: string): string => `
      (select count(*) from (select from ripstop.deliveries d
       where d.target_id = lane.target_id and d.lane = lane.lane and d.key_hash ${which} limit $3) as counted)`
  const text = `
    select lane.place::integer as place, (${count('is null')} + ${count('is not null')})::float8 as undone
    from unnest($1::uuid[], $2::smallint[]) with ordinality as lane (target_id, lane, place)`
  return read(link, ctx, text, [lanes.map(({ targetId }) => targetId), lanes.map(({ lane }) => lane), most])
}

/** By how many seconds the first of each lane is late, of all lanes the most. */
export async function readLateness(
  link: Link<PostgresPool>,
  ctx: Ctx,
  lanes: readonly { readonly targetId: string; readonly lane: number }[],
): Promise<number> {
  const text = `
    select coalesce(max(date_part('epoch', now() - first.due_at)), 0) as late
    from unnest($1::uuid[], $2::smallint[]) as lane (target_id, lane) cross join lateral (
      select d.due_at from ripstop.deliveries d
      where d.target_id = lane.target_id and d.lane = lane.lane and d.due_at <= now()
      order by d.due_at, d.delivery_id limit 1) as first`
  const values = [lanes.map(({ targetId }) => targetId), lanes.map(({ lane }) => lane)]
  const [row] = await read<{ late: number }>(link, ctx, text, values)
  return row?.late ?? 0
}
