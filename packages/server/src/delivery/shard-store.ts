// Who owns a shard. Times are the database's; the holder counts its own lease on its monotonic clock (shards.ts).
// Rows are locked in the order of their numbers wherever several are: no two statements here can wait for each other.
// Invariants:
//   DS2. Every claim raises a shard's epoch, and a claim waits for a statement under way that names the epoch before.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Part } from '#platform/postgres'
import type { Repeats } from './store.ts'

export interface ShardEpoch {
  readonly shard: number
  readonly epoch: number
}

export interface Renewed {
  /** Whose owner and epoch still are as the caller says; also after the lease was over, if nobody took it. */
  readonly shards: readonly number[]
  /** Workers that were seen within a lease, this one too. */
  readonly workers: number
}

export async function renewShards(
  link: Link<PostgresPool>,
  ctx: Ctx,
  workerId: string,
  held: readonly ShardEpoch[],
  leaseMs: number,
): Promise<Renewed> {
  const text = `
    with mine as (
      select s.shard from ripstop.delivery_shards s
      join unnest($2::smallint[], $3::bigint[]) as held (shard, epoch) on held.shard = s.shard and held.epoch = s.epoch
      where s.owner = $1 order by s.shard for update of s),
    renewed as (
      update ripstop.delivery_shards s set expires_at = now() + $4::float8 * interval '1 ms' from mine where s.shard = mine.shard
      returning s.shard),
    seen as (
      insert into ripstop.delivery_workers (worker_id, seen_at) values ($1, now())
      on conflict (worker_id) do update set seen_at = now() returning 1),
    gone as (delete from ripstop.delivery_workers where worker_id <> $1 and seen_at < now() - interval '1 day' returning 1)
    select (select coalesce(array_agg(shard), '{}') from renewed) as shards,
      (1 + (select count(*) from ripstop.delivery_workers
            where worker_id <> $1 and seen_at > now() - $4::float8 * interval '1 ms'))::integer as workers`
  const rows = await ask<Renewed>(link, ctx, text, [workerId, ...columns(held), leaseMs])
  return rows[0] as Renewed
}

export interface Claimed extends ShardEpoch {
  /** What another owner may have sent already; undefined: the one before let it go in order. */
  readonly repeats: Repeats | undefined
}

interface ClaimedRow extends ShardEpoch {
  readonly is_clean: boolean
  readonly xid: string
  readonly wall_us: number
}

/** At most `most` shards that nobody holds, or that this worker held before it started anew. */
export async function claimShards(
  link: Link<PostgresPool>,
  ctx: Ctx,
  workerId: string,
  held: readonly ShardEpoch[],
  most: number,
  leaseMs: number,
): Promise<readonly Claimed[]> {
  const text = `
    with free as (
      select s.shard, s.owner is null as is_clean from ripstop.delivery_shards s
      where (s.expires_at <= now() or s.owner is null or s.owner = $1) and s.shard <> all ($2::smallint[])
      order by s.owner = $1 desc nulls last, random() limit $3 for update skip locked)
    update ripstop.delivery_shards s
    set owner = $1, epoch = s.epoch + 1, expires_at = now() + $4::float8 * interval '1 ms'
    from free where s.shard = free.shard
    returning s.shard, s.epoch::float8 as epoch, free.is_clean, pg_snapshot_xmax(pg_current_snapshot())::text as xid,
      round(date_part('epoch', now()) * 1e6) as wall_us`
  const shards = held.map(({ shard }) => shard)
  const rows = await ask<ClaimedRow>(link, ctx, text, [workerId, shards, most, leaseMs])
  return rows.map(({ shard, epoch, is_clean, xid, wall_us }) => ({
    shard,
    epoch,
    repeats: is_clean ? undefined : { xid, wallUs: wall_us },
  }))
}

/** Lets shards go whose every delivery is settled: the next owner knows that it repeats nothing. */
export async function releaseShards(
  link: Link<PostgresPool>,
  ctx: Ctx,
  workerId: string,
  held: readonly ShardEpoch[],
): Promise<void> {
  const text = `
    with mine as (
      select s.shard from ripstop.delivery_shards s
      join unnest($2::smallint[], $3::bigint[]) as held (shard, epoch) on held.shard = s.shard and held.epoch = s.epoch
      where s.owner = $1 order by s.shard for update of s)
    update ripstop.delivery_shards s set owner = null, expires_at = '-infinity' from mine where s.shard = mine.shard
    returning s.shard`
  await ask(link, ctx, text, [workerId, ...columns(held)])
}

/** The worker is no more counted among those that share. */
export async function leaveWorkers(link: Link<PostgresPool>, ctx: Ctx, workerId: string): Promise<void> {
  await ask(link, ctx, 'delete from ripstop.delivery_workers where worker_id = $1', [workerId])
}

/** The part `held` (shard): those that this worker still holds with these epochs. A claim waits until its statement is over. */
export function heldPart(workerId: string, held: readonly ShardEpoch[]): Part {
  const text = `
    select s.shard from ripstop.delivery_shards s
    join unnest($2::smallint[], $3::bigint[]) as named (shard, epoch) on named.shard = s.shard and named.epoch = s.epoch
    where s.owner = $1::uuid order by s.shard for share of s`
  return { name: 'held', text, values: [workerId, ...columns(held)] }
}

function columns(held: readonly ShardEpoch[]): readonly unknown[] {
  return [held.map(({ shard }) => shard), held.map(({ epoch }) => epoch)]
}

function ask<Row>(link: Link<PostgresPool>, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const run = async (pool: PostgresPool, ctx: Ctx) => (await pool.query<Row>(ctx, text, values)).rows
  return link.call(ctx, run, { idempotent: true })
}
