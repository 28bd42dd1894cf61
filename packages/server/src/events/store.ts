// SQL of events: the only file that names `events` and `event_keys`. What publishes is one statement, made of parts:
//   gates (what consumers relied on, the relay's lease, an Idempotency-Key) -> given (the events) -> keys (who named itself before?)
//   -> fresh (the events that are really new) -> the consumers' own parts, and a line in the audit log for each publisher.
// Bodies travel as one binary parameter and are cut apart by the server: as an array of bytea each would be written in hex,
// twice as long (6 us an event in node at 1 KB, 2026-11).
// Invariants:
//   EV1. An event, its key, what its consumers made of it and its line in the audit log are written together or not at all.
//   EV2. Of one tenant, source and id there is one event, however many publish it at the same time or again.
//   EV3. Where a gate does not hold, nothing is written.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { type AuditLine, auditLinesPart } from '#access'
import { composeStatement, type Done, type Part, runOnce } from '#platform/postgres'
import type { NewEvent, Plan } from './consumer.ts'

type Db = Link<PostgresPool>
type Once<Response> = Parameters<typeof runOnce<Response>>[2]

/** An event as it was published. */
export interface StoredEvent {
  readonly eventId: string
  readonly tenantId: string
  readonly source: string
  readonly id: string
  readonly type: string
  readonly typeVersion: number | undefined
  readonly subject: string | undefined
  readonly key: string | undefined
  readonly occurredWallMs: number
  readonly publishedWallMs: number
  /** CloudEvents 1.0, structured JSON: what receivers get. */
  readonly body: Buffer
  /** How many deliveries were made with it. */
  readonly fanOut: number
}

export interface EventBody {
  readonly eventId: string
  readonly tenantId: string
  readonly type: string
  readonly key: string | undefined
  readonly body: Buffer
}

interface EventRow {
  readonly event_id: string
  readonly tenant_id: string
  readonly source: string
  readonly id: string
  readonly type: string
  readonly type_version: number | null
  readonly subject: string | null
  readonly key: string | null
  readonly occurred: number
  readonly body: Buffer
  readonly fan_out: number
}

const COLUMNS = `event_id, tenant_id, source, id, type, type_version, subject, key,
  floor(extract(epoch from occurred_at) * 1000)::float8 as occurred, body, fan_out`

function toStored(row: EventRow): StoredEvent {
  return {
    eventId: row.event_id,
    tenantId: row.tenant_id,
    source: row.source,
    id: row.id,
    type: row.type,
    typeVersion: row.type_version ?? undefined,
    subject: row.subject ?? undefined,
    key: row.key ?? undefined,
    occurredWallMs: row.occurred,
    publishedWallMs: Number.parseInt(row.event_id.slice(0, 8) + row.event_id.slice(9, 13), 16),
    body: row.body,
    fanOut: row.fan_out,
  }
}

async function read<Row>(link: Db, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows
}

// Publishing

/** What one publishing statement writes. */
export interface Publication {
  readonly events: readonly NewEvent[]
  /** How many deliveries each event gets, by its place. */
  readonly fanOut: readonly number[]
  /** Parts of the consumers. */
  readonly plans: readonly Pick<Plan, 'parts' | 'current'>[]
  /** For the audit log, and which of them tells of each event, by its place. */
  readonly lines: readonly AuditLine[]
  readonly lineOf: readonly number[]
}

/** The parts of a publication, for a statement that may have others around them. */
export interface PublicationParts {
  readonly before: readonly Part[]
  /** The part `fresh` (event_id). */
  readonly fresh: Omit<Part, 'name'>
  /** They refer to `fresh`. */
  readonly after: readonly Part[]
  /** SQL that is true if everything that the plans relied on still holds. */
  readonly isCurrent: string
}

/** `gates`: names of parts that stand before these; without a row in each of them nothing is written. */
export function publicationParts(publication: Publication, gates: readonly string[] = []): PublicationParts {
  const { events, plans, lines } = publication
  const currents = plans.map(({ current }, place): Part => ({ ...current, name: `current_${place}` }))
  const isCurrent = conditionOf(currents.map(({ name }) => name))
  const isNamed = events.some(({ id, eventId }) => id !== eventId)
  const given = givenPart(publication, conditionOf([...gates, ...currents.map(({ name }) => name)]))
  const told: Part = {
    name: 'told',
    text: `
      select line, jsonb_build_object('events', count(*)) as found from fresh join given using (event_id) group by line`,
    values: [],
  }
  return {
    before: [...currents, given, ...(isNamed ? [KEYS] : [])],
    fresh: freshPart(events, isNamed),
    after: [...plans.flatMap(({ parts }) => parts), told, auditLinesPart(lines, 'told')],
    isCurrent,
  }
}

/** SQL that is true if each of the parts has a row. */
export function conditionOf(parts: readonly string[]): string {
  return ['true', ...parts.map((name) => `exists (select from ${name})`)].join(' and ')
}

function givenPart({ events, fanOut, lineOf }: Publication, condition: string): Part {
  const ends: number[] = []
  let end = 0
  for (const { body } of events) {
    end += body.length
    ends.push(end)
  }
  return {
    name: 'given',
    text: `
      select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::text[],
          $9::float8[], $10::integer[], $11::integer[], $12::integer[], $13::integer[])
        with ordinality as event (event_id, tenant_id, source, name, type, type_version, subject, key,
          occurred, body_end, body_bytes, fan_out, line, place)
      where ${condition}`,
    values: [
      events.map(({ eventId }) => eventId),
      events.map(({ tenantId }) => tenantId),
      events.map(({ source }) => source),
      events.map(({ id, eventId }) => (id === eventId ? null : id)),
      events.map(({ type }) => type),
      events.map(({ typeVersion }) => typeVersion ?? null),
      events.map(({ subject }) => subject ?? null),
      events.map(({ key }) => key ?? null),
      events.map(({ occurredWallMs }) => occurredWallMs),
      ends,
      events.map(({ body }) => body.length),
      fanOut,
      lineOf,
    ],
  }
}

/** In one order, so that two statements with the same names never wait for each other in a circle. */
const KEYS: Part = {
  name: 'keys',
  text: `
    insert into ripstop.event_keys (tenant_id, source, id, event_id)
    select tenant_id, source, name, event_id from given where name is not null order by tenant_id, source, name, place
    on conflict do nothing returning event_id`,
  values: [],
}

/** `on conflict` is for a statement that the link repeats, because the answer to the first one was lost. */
function freshPart(events: readonly NewEvent[], isNamed: boolean): Omit<Part, 'name'> {
  const isNew = isNamed ? 'left join keys using (event_id) where given.name is null or keys.event_id is not null' : ''
  const text = `
    insert into ripstop.events
      (event_id, tenant_id, source, id, type, type_version, subject, key, occurred_at, body, fan_out)
    select event_id, tenant_id, source, coalesce(name, event_id::text), type, type_version, subject, key,
      to_timestamp(occurred / 1000), substring($1::bytea from body_end - body_bytes + 1 for body_bytes), fan_out
    from given ${isNew} order by place
    on conflict (event_id) do nothing returning event_id`
  return { text, values: [Buffer.concat(events.map(({ body }) => body))] }
}

/** How many events were written; fewer than given: some were there, or something that the plans relied on has moved. */
export async function insertEvents(link: Db, ctx: Ctx, publication: Publication): Promise<number> {
  const { before, fresh, after } = publicationParts(publication)
  const parts = [...before, { name: 'fresh', ...fresh }, ...after]
  const { text, values } = composeStatement(parts, 'select count(*)::integer as written from fresh')
  const [row] = await read<{ written: number }>(link, ctx, text, values)
  return row?.written ?? 0
}

/** The same under an Idempotency-Key, whose claim is in the statement, too. Undefined: no event was written, and nothing is claimed. */
export async function insertEventsOnce<Response>(
  link: Db,
  ctx: Ctx,
  publication: Publication,
  once: Pick<Once<Response>, 'tenantId' | 'idempotency' | 'response'>,
): Promise<Done<Response> | undefined> {
  const { before, fresh, after } = publicationParts(publication, ['once'])
  const written: Part = { name: 'fresh', text: 'select event_id from effect', values: [] }
  return runOnce<Response>(link, ctx, { ...once, before, effect: fresh, also: [written, ...after] })
}

/** The id under which each event is there, by its place; undefined: it is not. */
export async function findWritten(
  link: Db,
  ctx: Ctx,
  events: readonly Pick<NewEvent, 'eventId' | 'tenantId' | 'source' | 'id'>[],
): Promise<readonly (string | undefined)[]> {
  const text = `
    select place::integer, coalesce(named.event_id, present.event_id) as event_id
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
      with ordinality as asked (event_id, tenant_id, source, name, place)
    left join ripstop.event_keys named
      on named.tenant_id = asked.tenant_id and named.source = asked.source and named.id = asked.name
    left join ripstop.events present on asked.name is null and present.event_id = asked.event_id`
  const values = [
    events.map(({ eventId }) => eventId),
    events.map(({ tenantId }) => tenantId),
    events.map(({ source }) => source),
    events.map(({ id, eventId }) => (id === eventId ? null : id)),
  ]
  const found: (string | undefined)[] = events.map(() => undefined)
  for (const row of await read<{ place: number; event_id: string | null }>(link, ctx, text, values)) {
    found[row.place - 1] = row.event_id ?? undefined
  }
  return found
}

// Reading

/** What is sent, by id; what is older than the retention is not there. One statement. */
export async function readBodies(
  link: Db,
  ctx: Ctx,
  eventIds: readonly string[],
): Promise<ReadonlyMap<string, EventBody>> {
  const text = `select event_id, tenant_id, type, key, body from ripstop.events where event_id = any ($1::uuid[])`
  type Row = Pick<EventRow, 'event_id' | 'tenant_id' | 'type' | 'key' | 'body'>
  const rows = await read<Row>(link, ctx, text, [eventIds])
  return new Map(
    rows.map(({ event_id: eventId, tenant_id: tenantId, type, key, body }) => [
      eventId,
      { eventId, tenantId, type, key: key ?? undefined, body },
    ]),
  )
}

export interface EventRange {
  readonly tenantId: string
  /** Exact, or with a * at the end; undefined: all. */
  readonly types?: readonly string[] | undefined
  /** Where the last page ended; not itself. */
  readonly after?: string | undefined
  /** When it was published. */
  readonly sinceWallMs?: number | undefined
  readonly untilWallMs?: number | undefined
  readonly limit: number
}

/** Events in the order of their ids, which is that of their publishing: the oldest first, or `newest` first. */
export async function readEvents(
  link: Db,
  ctx: Ctx,
  range: EventRange,
  order: 'oldest' | 'newest' = 'oldest',
): Promise<readonly StoredEvent[]> {
  const [beyond, direction] = order === 'oldest' ? ['>', 'asc'] : ['<', 'desc']
  const text = `
    select ${COLUMNS} from ripstop.events
    where tenant_id = $1 and ($2::text[] is null or type = any ($2::text[]) or type like any ($3::text[]))
      and ($4::uuid is null or event_id ${beyond} $4::uuid)
      and ($5::float8 is null or event_id >= ripstop.least_id_at(to_timestamp($5::float8 / 1000)))
      and ($6::float8 is null or event_id < ripstop.least_id_at(to_timestamp($6::float8 / 1000)))
    order by event_id ${direction} limit $7`
  const { tenantId, types, after, sinceWallMs, untilWallMs, limit } = range
  const exact = types?.filter((type) => !type.endsWith('*')) ?? null
  const begins = types?.filter((type) => type.endsWith('*')).map(likeOf) ?? []
  const values = [tenantId, exact, begins, after ?? null, sinceWallMs ?? null, untilWallMs ?? null, limit]
  return (await read<EventRow>(link, ctx, text, values)).map(toStored)
}

function likeOf(pattern: string): string {
  return `${pattern.slice(0, -1).replaceAll(/[\\%_]/g, '\\$&')}%`
}

export async function findEvent(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  eventId: string,
): Promise<StoredEvent | undefined> {
  const text = `select ${COLUMNS} from ripstop.events where event_id = $2 and tenant_id = $1`
  const [row] = await read<EventRow>(link, ctx, text, [tenantId, eventId])
  return row === undefined ? undefined : toStored(row)
}

// Retention

/** Names that publishers gave longer ago than `afterMs`, at most `batch`; a row for each. For the holder of a lease. */
export function expireKeys(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.event_keys where ctid = any (array(
      select ctid from ripstop.event_keys
      where event_id < ripstop.least_id_at(now() - $1::float8 * interval '1 ms') and exists (select from held)
      order by event_id limit $2))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}

/** The oldest day of events, if it ended longer ago than `afterMs` and nothing of it is still to be sent. */
export function dropOldEvents(afterMs: number): Omit<Part, 'name'> {
  const text = `
    select ripstop.drop_oldest_partition('events', now() - $1::float8 * interval '1 ms', 'webhook', '{deliveries,dead_letters}') as deleted
    from held`
  return { text, values: [afterMs] }
}

/** Partitions for the days to come; it deletes nothing. */
export function makeEventPartitions(daysAhead: number): Omit<Part, 'name'> {
  return { text: `select 0 * ripstop.make_partitions('events', $1::integer) as deleted from held`, values: [daysAhead] }
}
