// SQL of the write-behind: one statement for a batch of what was drained from Redis, which moves the cursors and writes what lies between.
// Invariants:
//   WB1. A record is drained exactly once, whoever drains and however often that dies: the statement does nothing unless all cursors are still
//        where the batch was read from.
//   WB2. The same entry with another hash is a fork: what is there is kept, the other one too, apart, and it is told.
//   WB3. What an earlier epoch left does not move a session that stands in a later one.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { composeStatement, type Part } from '#platform/postgres'
import type { SessionRef, StoredSession } from './store.ts'

type Db = Link<PostgresPool>

/** Of a record in the stream of a shard. */
export interface Mark {
  readonly id: string
  readonly hash: string
}

export const NO_MARK: Mark = { id: '', hash: '' }

/** How far each of `shards` is drained. */
export async function readCursors(link: Db, ctx: Ctx, shards: readonly number[]): Promise<ReadonlyMap<number, Mark>> {
  const text = `
    with made as (
      insert into ripstop.session_cursors (shard) select unnest($1::smallint[]) on conflict do nothing returning shard, last_id, last_hash)
    select shard, last_id, last_hash from made union all
    select shard, last_id, last_hash from ripstop.session_cursors where shard = any($1::smallint[])`
  type Row = { shard: number; last_id: string; last_hash: string }
  const ask = (pool: PostgresPool, ctx: Ctx) => pool.query<Row>(ctx, text, [shards])
  const { rows } = await link.call(ctx, ask, { idempotent: true })
  return new Map(rows.map((row) => [row.shard, { id: row.last_id, hash: row.last_hash }]))
}

export interface DrainedEntry extends SessionRef {
  readonly epoch: number
  readonly version: number
  readonly hash: string
  readonly text: string
  readonly publish: string | undefined
}

/** Where a session stands after the batch. */
export interface DrainedPlace extends Omit<StoredSession, 'body' | 'deadlineMs'> {
  readonly shard: number
  readonly deadlineMs: number | null
  readonly isEnded: boolean
  readonly isCreated: boolean
  /** Of a session that the batch only deletes, epoch and version are 0. */
  readonly isDeleted: boolean
}

export interface DrainBatch {
  readonly moves: readonly { readonly shard: number; readonly from: Mark; readonly to: Mark }[]
  /** In the order of their streams; none has the key of another one. */
  readonly entries: readonly DrainedEntry[]
  /** One a session. */
  readonly places: readonly DrainedPlace[]
}

export interface Fork extends SessionRef {
  readonly epoch: number
  readonly version: number
}

export interface Drained {
  /** False: somebody else moved a cursor; nothing was done. */
  readonly isDone: boolean
  readonly forks: readonly Fork[]
}

/** May be repeated: what was done once is not done again. */
export async function drain(link: Db, ctx: Ctx, { moves, entries, places }: DrainBatch): Promise<Drained> {
  const { text, values } = composeStatement(
    [
      heldFor(moves),
      movedBy(moves),
      given('entry', ENTRY_COLUMNS, entries.map(toEntryRow), moves.length),
      given('place', PLACE_COLUMNS, places.map(toPlaceRow), moves.length),
      ...WRITING,
    ],
    `select
      exists (select from moved) as "isDone",
      (select coalesce(json_agg(json_build_object(
        'tenantId', tenant_id, 'sessionId', session_id, 'epoch', epoch, 'version', version)), '[]') from forked) as forks,
      (select count(id) from published) as published`,
  )
  const ask = (pool: PostgresPool, ctx: Ctx) => pool.query<Drained>(ctx, text, values)
  const { rows } = await link.call(ctx, ask, { idempotent: true })
  return rows[0] ?? { isDone: false, forks: [] }
}

/** The cursors, locked in the same order by all. */
function heldFor(moves: DrainBatch['moves']): Part {
  return {
    name: 'held',
    text: `
      select cursor.shard from ripstop.session_cursors as cursor
      join unnest($1::smallint[], $2::text[], $3::text[]) as move (shard, id, hash) using (shard)
      where cursor.last_id = move.id and cursor.last_hash = move.hash
      order by cursor.shard for update of cursor`,
    values: [moves.map(({ shard }) => shard), moves.map(({ from }) => from.id), moves.map(({ from }) => from.hash)],
  }
}

const allHeld = (parameter: string): string => `(select count(*) from held) = ${parameter}::integer`

function movedBy(moves: DrainBatch['moves']): Part {
  return {
    name: 'moved',
    text: `
      update ripstop.session_cursors as cursor set last_id = move.id, last_hash = move.hash
      from unnest($1::smallint[], $2::text[], $3::text[]) as move (shard, id, hash)
      where cursor.shard = move.shard and ${allHeld('$4')} returning cursor.shard`,
    values: [
      moves.map(({ shard }) => shard),
      moves.map(({ to }) => to.id),
      moves.map(({ to }) => to.hash),
      moves.length,
    ],
  }
}

const KEY = 'tenant_id, session_id, epoch, version'
const ENTRY_COLUMNS =
  'tenant_id uuid, session_id uuid, epoch bigint, version integer, hash text, text text, publish text'
const PLACE_COLUMNS =
  'tenant_id uuid, session_id uuid, epoch bigint, version integer, head text, status text, deadline_ms bigint, is_ended boolean, is_created boolean, is_deleted boolean'

/**
 * Rows, numbered in order; none unless all cursors are held. As JSON: it takes half the time of arrays of text that holds quotes. The condition is
 * no join: what is estimated of one made the planner compare all rows with all others.
 */
function given(name: string, columns: string, rows: readonly object[], moves: number): Part {
  const text = `
    select given.* from rows from (json_to_recordset($1::json) as (${columns})) with ordinality as given
    where ${allHeld('$2')}`
  return { name, text, values: [JSON.stringify(rows), moves] }
}

function toEntryRow({ tenantId, sessionId, epoch, version, hash, text, publish }: DrainedEntry): object {
  return { tenant_id: tenantId, session_id: sessionId, epoch, version, hash, text, publish }
}

function toPlaceRow(place: DrainedPlace): object {
  const { tenantId, sessionId, epoch, version, head, status, deadlineMs } = place
  return {
    ...{ tenant_id: tenantId, session_id: sessionId, epoch, version, head, status, deadline_ms: deadlineMs },
    ...{ is_ended: place.isEnded, is_created: place.isCreated, is_deleted: place.isDeleted },
  }
}

/** WB3. */
const IS_NEWER = '(s.epoch, s.version) < (place.epoch, place.version)'
const newer = (column: string, value: string): string =>
  `${column} = case when ${IS_NEWER} then ${value} else s.${column} end`

const WRITING: readonly Part[] = [
  {
    // Not `do nothing`: that would not show a row that is written at this moment, whose hash has to be compared (WB2).
    name: 'logged',
    text: `
      insert into ripstop.session_log as log (${KEY}, hash, text)
      select ${KEY}, hash, text from entry order by ordinality
      on conflict (${KEY}) do update set hash = log.hash where log.hash <> excluded.hash
      returning ${KEY}, hash, xmax = 0 as is_new`,
    values: [],
  },
  {
    name: 'forked',
    text: `
      insert into ripstop.session_forks (${KEY}, kept_hash, other_hash, other_text)
      select ${KEY}, logged.hash, entry.hash, entry.text from logged join entry using (${KEY}) where not is_new
      on conflict do nothing returning ${KEY}`,
    values: [],
  },
  {
    name: 'published',
    text: `
      select ripstop.publish(publish::jsonb, tenant_id::text) as id from (
        select publish, tenant_id from logged join entry using (${KEY}) where is_new and publish is not null order by ordinality
      ) as event`,
    values: [],
  },
  {
    name: 'created',
    text: `
      insert into ripstop.sessions
        (${KEY}, head, status, deadline_ms, due_ms, body, body_version, ended_at, deleted_at)
      select ${KEY}, head, status, deadline_ms, case when not is_ended and not is_deleted then deadline_ms end, '', 0,
        case when is_ended then now() end, case when is_deleted then now() end
      from place where is_created
      on conflict do nothing`,
    values: [],
  },
  {
    name: 'told',
    text: `
      insert into ripstop.session_log (${KEY}, hash, text)
      select s.tenant_id, s.session_id, s.epoch, 0, '', ''
      from place join ripstop.sessions s on s.tenant_id = place.tenant_id and s.session_id = place.session_id
      where place.is_deleted and s.deleted_at is null
      on conflict do nothing`,
    values: [],
  },
  {
    name: 'placed',
    text: `
      update ripstop.sessions s set
        ${newer('epoch', 'place.epoch')}, ${newer('version', 'place.version')}, ${newer('head', 'place.head')},
        ${newer('status', 'place.status')}, ${newer('deadline_ms', 'place.deadline_ms')},
        due_ms = case
          when place.is_deleted or s.deleted_at is not null then null
          when not (${IS_NEWER}) then s.due_ms
          when not place.is_ended then least(s.due_ms, place.deadline_ms) end,
        ${newer('ended_at', 'case when place.is_ended then coalesce(s.ended_at, now()) end')},
        deleted_at = case when place.is_deleted then coalesce(s.deleted_at, now()) else s.deleted_at end,
        updated_at = now()
      from place
      where s.tenant_id = place.tenant_id and s.session_id = place.session_id
        and (${IS_NEWER} or place.is_deleted and s.deleted_at is null)`,
    values: [],
  },
]
