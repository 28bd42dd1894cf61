// Epochs and beats in Postgres. A beat is one statement: it writes that this process lives and when it saw Redis last, reads the clock,
// and begins a new epoch where one is called for. All times in it are Postgres's; what a process saw comes as an age.
// Invariants:
//   AY1. However many processes find at the same time that an epoch is called for, exactly one begins: its number is the key.
//   AY2. What a process saw of Redis calls for an epoch only while the term that it holds is the present one, or it holds none yet: what
//        it saw under an earlier one was for that.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Part } from '#platform/postgres'
import type { Outage } from './authority.ts'
import { PERIODS_KEPT, type Period, toOutage } from './periods.ts'

/** No clock pays for more than this without service. */
export const INTERRUPTED_MS = 1_500
/** Nobody has seen Redis for so long: authority moves to Postgres. */
const GONE_MS = 2_000
/** Everybody has seen Redis for so long: authority moves back; twice as long for each time that it was gone lately, so that it doesn't flap. */
const STEADY_MS = 2_000
const STEADY_MS_MAX = 60_000
const LATELY_MS = 600_000
/** A process that was heard of within this lives. */
const ALIVE_MS = 1_500
/** Whoever begins an epoch of Redis has told Redis by then. */
const RAISED_MS = 3_000
const NODES_KEPT_MS = 86_400_000
/** A beat that is slower is given up, so that what it says of Redis is not too old when the next one says it. */
const BEAT_DEADLINE_MS = 900

/** What a process sees of Redis when it beats. */
export interface RedisView {
  /** Undefined: it did not answer, or there is none. */
  readonly sight: RedisSight | undefined
  /** Since its last answer; undefined: there was none. */
  readonly ageMs: number | undefined
  /** How long it has answered, or not, without a break. */
  readonly steadyMs: number
  readonly blindMs: number
  /** Server time at which sessions were served through it last, by anybody, as far as this process knows. */
  readonly servedMs: number | undefined
}

export interface RedisSight {
  readonly runId: string
  /** The epoch that its scripts compare; undefined: it knows none. */
  readonly epoch: number | undefined
}

export interface Beat {
  readonly nodeId: string
  /** The term that this process holds. */
  readonly heldEpoch: number | undefined
  /** The newest epoch that it knows. */
  readonly knownEpoch: number
  readonly redis: RedisView
  /** False: it only learns; it begins no epoch, and that it lives does not mean that sessions are served. */
  readonly isServing: boolean
}

export interface BeatAnswer {
  /** Postgres's clock, with fractions, while the statement ran. */
  readonly serverMs: number
  /** Epochs after the known one, oldest first. */
  readonly periods: readonly Period[]
  /** The epoch that this beat began. */
  readonly begun: Period | undefined
  /** Another process began an epoch while this one wanted to: the next beat tells. */
  readonly isBehind: boolean
}

interface Row {
  readonly server_ms: number
  readonly periods: readonly Period[]
  readonly begun: Period | null
  readonly reason: string | null
}

const PERIOD = `json_build_object('epoch', epoch, 'mode', mode, 'sinceMs', since_ms, 'untilMs', until_ms, 'reason', reason)`

const VERDICT = `
  case
    when epoch is null then 'first'
    when $6::bigint > epoch then 'redis_ahead'
    when mode = 'redis' and $5::text is not null and coalesce($3::bigint, epoch) = epoch and redis_run_id is distinct from $5 then 'redis_replaced'
    when mode = 'redis' and $5::text is not null and ($3::bigint is null and $6::bigint is null and until_ms < now_ms - ${RAISED_MS} or $3 = epoch and coalesce($6, 0) < epoch)
      then 'redis_lost'
    when mode = 'redis' and $8::float8 > ${GONE_MS} and coalesce(redis_seen_ms, 0) < now_ms - ${GONE_MS} then 'redis_gone'
    when mode = 'postgres' and $9::float8 > least(${STEADY_MS_MAX}, ${STEADY_MS} * power(2, greatest(gone_lately, 1) - 1)) and sees_redis is not false then 'redis_back'
    when (mode = 'postgres' or $5::text is not null) and now_ms - served_ms > ${INTERRUPTED_MS} then 'interrupted'
  end`

// Beats are not waited for to reach the disk: a crash of Postgres loses some 0.6 s of them, which clocks pay for. Epochs are.
const TEXT = `
  with clock as materialized (select date_part('epoch', clock_timestamp()) * 1000 as server_ms),
  newest as (select epoch, mode, until_ms, redis_run_id from ripstop.session_epochs order by epoch desc limit 1),
  nodes as (
    select max(beat_ms) as beat_ms, max(redis_seen_ms) as redis_seen_ms,
      bool_and(coalesce(redis_seen_ms, 0) > server_ms - ${ALIVE_MS}) filter (where node_id <> $1 and beat_ms > server_ms - ${ALIVE_MS}) as sees_redis
    from ripstop.session_nodes, clock),
  lately as (
    select count(*) as gone_lately from clock, lateral (select reason, until_ms from ripstop.session_epochs order by epoch desc limit 32) as last
    where reason = 'redis_gone' and until_ms > server_ms - ${LATELY_MS}),
  service as (
    select floor(server_ms)::bigint as now_ms, newest.*, redis_seen_ms, sees_redis, gone_lately,
      least(server_ms, greatest(until_ms, case mode when 'redis' then greatest(redis_seen_ms, $7::float8) else beat_ms end))::bigint as served_ms
    from clock cross join nodes cross join lately left join newest on true),
  verdict as (select *, ${VERDICT} as reason from service),
  begun as (
    insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, redis_run_id, reason)
    select greatest(coalesce(epoch, 0), coalesce($6::bigint, 0)) + 1, next.mode,
      case when reason in ('redis_replaced', 'redis_lost', 'redis_gone') or now_ms - served_ms > ${INTERRUPTED_MS} then least(served_ms, now_ms)
        else now_ms end,
      now_ms, case next.mode when 'redis' then $5::text end, reason
    from verdict, lateral (select case reason when 'redis_gone' then 'postgres' when 'redis_back' then 'redis'
      when 'first' then case when $5::text is null then 'postgres' else 'redis' end else verdict.mode end as mode) as next
    where reason is not null and $10
    on conflict (epoch) do nothing
    returning ${PERIOD} as period),
  beat as (
    insert into ripstop.session_nodes (node_id, beat_ms, redis_seen_ms) select $1, now_ms, now_ms - $2::float8 from service where $10
    on conflict (node_id) do update set beat_ms = excluded.beat_ms, redis_seen_ms = coalesce(excluded.redis_seen_ms, session_nodes.redis_seen_ms)),
  gone as (delete from ripstop.session_nodes using clock where node_id <> $1 and beat_ms < server_ms - ${NODES_KEPT_MS})
  select server_ms, reason, (select period from begun) as begun,
    (select coalesce(json_agg(${PERIOD} order by epoch), '[]') from
      (select * from ripstop.session_epochs where epoch > $4::bigint order by epoch desc limit ${PERIODS_KEPT}) as later) as periods,
    case when not exists (select from begun) then set_config('synchronous_commit', 'off', true) end
  from clock, verdict`

/** Beats once. Throws what the link throws; then it may have happened. */
export async function sendBeat(link: Link<PostgresPool>, ctx: Ctx, beat: Beat): Promise<BeatAnswer> {
  const { nodeId, heldEpoch, knownEpoch, redis, isServing } = beat
  const { sight, ageMs, servedMs, blindMs, steadyMs } = redis
  const values = [
    nodeId,
    ageMs ?? null,
    heldEpoch ?? null,
    knownEpoch,
    sight?.runId ?? null,
    sight?.epoch ?? null,
    servedMs ?? null,
    blindMs,
    steadyMs,
    isServing,
  ]
  const run = async (pool: PostgresPool, ctx: Ctx) => (await pool.query<Row>(ctx, TEXT, values)).rows[0] as Row
  const { server_ms, periods, begun, reason } = await link.call(ctx, run, { deadlineMs: BEAT_DEADLINE_MS })
  return {
    serverMs: server_ms,
    periods: begun === null ? periods : [...periods, begun],
    begun: begun ?? undefined,
    isBehind: isServing && reason !== null && begun === null,
  }
}

/** So many outages are credited at most: the newest. */
const OUTAGES_MAX = 1_000

/** The outages of the epochs after `epoch` up to `lastEpoch`, oldest first. */
export async function findOutages(
  link: Link<PostgresPool>,
  ctx: Ctx,
  epoch: number,
  lastEpoch: number,
): Promise<readonly Outage[]> {
  const text = `
    select epoch::float8 as epoch, since_ms::float8 as "sinceMs", until_ms::float8 as "untilMs" from ripstop.session_epochs
    where epoch > $1 and epoch <= $2 order by epoch desc limit ${OUTAGES_MAX}`
  const run = (pool: PostgresPool, ctx: Ctx) => pool.query<Outage>(ctx, text, [epoch, lastEpoch])
  const { rows } = await link.call(ctx, run, { idempotent: true })
  return rows.map(toOutage).reverse()
}

/** Everything that is due in Redis was brought there in this epoch (sweep.ts). */
export async function isSwept(link: Link<PostgresPool>, ctx: Ctx, epoch: number): Promise<boolean> {
  const text = 'select from ripstop.session_epochs where epoch = $1 and swept_at is not null'
  const run = (pool: PostgresPool, ctx: Ctx) => pool.query(ctx, text, [epoch])
  return (await link.call(ctx, run, { idempotent: true })).rows.length > 0
}

export const sweptPart = (epoch: number): Omit<Part, 'name'> => ({
  text: 'update ripstop.session_epochs set swept_at = now() from held where epoch = $1 and swept_at is null returning 1 as swept',
  values: [epoch],
})
