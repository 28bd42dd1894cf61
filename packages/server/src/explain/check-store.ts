// The orphan check: nothing that was accepted is lost, shown in numbers that must be 0. Two statements that only read, each a picture of
// one moment; an event and its deliveries are written by one statement, so there is no moment at which a sound mesh shows an orphan.
// Every part of it walks an index and stops at a bound.
// Invariants:
//   OR1. An event of the window is counted if it has fewer or more deliveries (undone, dead or tried, replays apart) than were made with it.
//   OR2. A sound mesh counts 0 everywhere, also while it publishes, sends, redrives and discards.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'

/** Of the window the newest: 0.4 s, with as many deliveries (2 shared cores, loaded, 2026-11). Older ones are another window. */
const EVENTS_MAX = 50_000
const UNDONE_MAX = 20_000
const LANES_MAX = 20_000
const SHOWN = 5

export const CHECK_DEFAULTS = { secretAgeMs: 90 * 86_400_000, outboxAgeMs: 60_000, overdueMs: 180_000 }

export interface CheckBounds {
  readonly sinceWallMs: number
  readonly untilWallMs: number
  readonly secretAgeMs: number
  readonly outboxAgeMs: number
  /** Due for so long, and nothing sent to its endpoint in that time. */
  readonly overdueMs: number
}

export interface CheckCount {
  readonly name: string
  readonly what: string
  readonly count: number
  readonly ids: readonly string[]
}

export interface CheckResult {
  /** Later than asked for where the window holds more than EVENTS_MAX events. */
  readonly sinceWallMs: number
  readonly untilWallMs: number
  readonly events: number
  readonly deliveries: number
  readonly counts: readonly CheckCount[]
}

type Counted = readonly [count: number, ids: readonly (string | number)[] | null]

async function readOne<Row>(
  link: Link<PostgresPool>,
  ctx: Ctx,
  text: string,
  values: readonly unknown[],
): Promise<Row> {
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows[0] as Row
}

/** `[how many, the first few]` of the rows where `condition` holds. */
const counted = (id: string, condition: string): string =>
  `json_build_array(count(*) filter (where ${condition}), (array_agg(${id}::text order by ${id}) filter (where ${condition}))[1:${SHOWN}])`

export async function checkDelivery(link: Link<PostgresPool>, ctx: Ctx, bounds: CheckBounds): Promise<CheckResult> {
  const window = await checkWindow(link, ctx, bounds)
  const rest = await checkRest(link, ctx, bounds)
  const count = (name: string, what: string, [count, ids]: Counted): CheckCount => ({
    name,
    what,
    count,
    ids: (ids ?? []).map(String),
  })
  return {
    sinceWallMs: window.is_cut ? window.first_ms : bounds.sinceWallMs,
    untilWallMs: bounds.untilWallMs,
    events: window.events,
    deliveries: window.deliveries,
    counts: [
      count('events_without_deliveries', 'events whose deliveries are all gone', window.without),
      count(
        'events_with_missing_deliveries',
        'events that have fewer deliveries than were made with them',
        window.fewer,
      ),
      count('events_with_extra_deliveries', 'events that have more deliveries than were made with them', window.more),
      count('deliveries_in_two_places', 'deliveries that are undone and dead letters at once', window.twice),
      count('undone_without_event', 'undone deliveries whose event is not there', rest.eventless),
      count(
        'undone_without_endpoint',
        'lanes of undone deliveries whose endpoint is deleted, or never was',
        rest.homeless,
      ),
      count(
        'overdue_with_free_capacity',
        'lanes with a delivery that is long due, of an active endpoint that gets nothing',
        rest.overdue,
      ),
      count('shards_without_owner', 'shards that no process owns: nothing of them is sent', rest.shards),
      count('secrets_over_age', 'signing secrets older than they may be', rest.secrets),
      count('partitions_missing', 'tables without a partition for tomorrow', rest.partitions),
      count('outbox_waiting', 'rows of the outbox that wait for longer than they should', rest.outbox),
    ],
  }
}

interface WindowRow {
  readonly events: number
  readonly deliveries: number
  readonly is_cut: boolean
  readonly first_ms: number
  readonly without: Counted
  readonly fewer: Counted
  readonly more: Counted
  readonly twice: Counted
}

function checkWindow(
  link: Link<PostgresPool>,
  ctx: Ctx,
  { sinceWallMs, untilWallMs }: CheckBounds,
): Promise<WindowRow> {
  const ofWindow = `kind = 'webhook' and replay_id is null and message_id >= (select first from span) and message_id < (select last from span)`
  const text = `
    with looked as materialized (
      select event_id, fan_out from ripstop.events
      where event_id >= ripstop.least_id_at(to_timestamp($1::float8 / 1000)) and event_id < ripstop.least_id_at(to_timestamp($2::float8 / 1000))
      order by event_id desc limit ${EVENTS_MAX}),
    span as materialized (
      select (select event_id from looked order by event_id limit 1) as first, ripstop.least_id_at(to_timestamp($2::float8 / 1000)) as last, count(*) = ${EVENTS_MAX} as is_cut from looked),
    undone as materialized (select message_id, delivery_id from ripstop.deliveries where ${ofWindow}),
    dead as materialized (select message_id, delivery_id from ripstop.dead_letters where ${ofWindow}),
    made as (
      select message_id, count(*) as made from (
        select * from undone union select * from dead union
        select message_id, delivery_id from ripstop.attempts
        where ${ofWindow} and attempt_id >= ripstop.least_id_at(to_timestamp($1::float8 / 1000) - interval '1 day')) as every
      group by message_id),
    compared as (
      select event_id, fan_out, coalesce(made, 0) as made from looked left join made on message_id = event_id)
    select count(*)::integer as events, coalesce(sum(made), 0)::float8 as deliveries,
      ${counted('event_id', 'fan_out > 0 and made = 0')} as without,
      ${counted('event_id', 'made > 0 and made < fan_out')} as fewer,
      ${counted('event_id', 'made > fan_out')} as more,
      (select ${counted('delivery_id', 'true')} from (select delivery_id from undone intersect select delivery_id from dead) as both_at_once) as twice,
      (select is_cut from span) as is_cut,
      coalesce((select ('x' || left(replace(first::text, '-', ''), 12))::bit(48)::bigint from span), 0)::float8 as first_ms
    from compared`
  return readOne<WindowRow>(link, ctx, text, [sinceWallMs, untilWallMs])
}

type RestRow = Readonly<
  Record<'eventless' | 'homeless' | 'overdue' | 'shards' | 'secrets' | 'partitions' | 'outbox', Counted>
>

/** The lanes of undone deliveries are found by skip scan, and of each what is due first is looked at; of a key only the oldest counts. */
function checkRest(link: Link<PostgresPool>, ctx: Ctx, bounds: CheckBounds): Promise<RestRow> {
  const { secretAgeMs, outboxAgeMs, overdueMs } = bounds
  const ago = (parameter: number): string => `now() - $${parameter}::float8 * interval '1 ms'`
  const first = 'select d.target_id, d.lane, d.due_at, d.delivery_id, d.key_hash, d.kind'
  const text = `
    with recursive lanes as (
      (${first}, 1 as place from ripstop.deliveries d order by d.target_id, d.lane, d.due_at limit 1)
      union all
      select next.*, lanes.place + 1 from lanes cross join lateral (
        ${first} from ripstop.deliveries d where (d.target_id, d.lane) > (lanes.target_id, lanes.lane)
        order by d.target_id, d.lane, d.due_at limit 1) as next
      where lanes.place < ${LANES_MAX}),
    known as (
      select lanes.*, e.endpoint_id is null or e.deleted_at < ${ago(3)} as is_homeless,
        e.state = 'active' and e.deleted_at is null and lanes.due_at < ${ago(3)}
          and not exists (
            select from ripstop.deliveries older
            where older.target_id = lanes.target_id and older.lane = lanes.lane and older.key_hash = lanes.key_hash
              and older.delivery_id < lanes.delivery_id)
          and not exists (
            select from ripstop.attempts a
            where a.target_id = lanes.target_id and a.attempt_id >= ripstop.least_id_at(${ago(3)})) as is_overdue
      from lanes left join ripstop.endpoints e on e.endpoint_id = lanes.target_id where lanes.kind = 'webhook'),
    undone as (
      select delivery_id, message_id from ripstop.deliveries where kind = 'webhook' order by message_id limit ${UNDONE_MAX}),
    waiting as (select outbox_id, created_at from ripstop.outbox order by outbox_id limit ${UNDONE_MAX})
    select
      (select ${counted('delivery_id', 'true')} from undone
       where not exists (select from ripstop.events e where e.event_id = undone.message_id)) as eventless,
      (select ${counted('delivery_id', 'is_homeless')} from known) as homeless,
      (select ${counted('delivery_id', 'is_overdue')} from known) as overdue,
      (select ${counted('shard', 'expires_at <= now()')} from ripstop.delivery_shards) as shards,
      (select ${counted('secret_id', 'true')} from ripstop.endpoint_secrets s join ripstop.endpoints e using (endpoint_id)
       where s.signs_until is null and e.deleted_at is null and s.created_at < ${ago(1)}) as secrets,
      (select ${counted('parent', 'true')} from unnest(array['events', 'attempts', 'deferred_requests']) as parent
       where to_regclass(format('ripstop.%I', parent || to_char((now() + interval '1 day') at time zone 'UTC', '_YYYYMMDD'))) is null) as partitions,
      (select ${counted('outbox_id', `created_at < ${ago(2)}`)} from waiting) as outbox`
  return readOne<RestRow>(link, ctx, text, [secretAgeMs, outboxAgeMs, overdueMs])
}
