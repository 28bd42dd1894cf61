// The archive: Postgres as what sessions are recovered from while Redis has the authority. It reads and writes whatever the epoch is; who may
// is decided by who asks, and what stands further is never put back.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { LogEntry } from '#session-log'
import { loadWhole, read, readLog, readRow, toSession } from './body-store.ts'
import { type DueSession, isEnded, type LogQuery, type SessionRef, type StoredSession } from './store.ts'

/** `operations`: its last ones, as operations.ts encodes them. */
export type Archived =
  | { readonly kind: 'there'; readonly session: StoredSession; readonly operations: Buffer }
  | { readonly kind: 'deleted' | 'absent' }

export interface DuePlace extends DueSession {
  readonly epoch: number
  readonly version: number
  /** For the next page. */
  readonly dueMs: number
}

export interface ForkedEntry extends SessionRef {
  readonly epoch: number
  readonly version: number
  readonly keptHash: string
  readonly otherHash: string
  readonly otherText: string
}

export interface SessionArchive {
  find(ctx: Ctx, ref: SessionRef): Promise<Archived>
  log(ctx: Ctx, query: LogQuery): Promise<readonly LogEntry[]>
  /** Sessions that have not ended and have a deadline, in a fixed order, after the last one of the page before. */
  listDue(ctx: Ctx, after: DuePlace | undefined, limit: number): Promise<readonly DuePlace[]>
  /**
   * Puts a session there with the entries that led to it, unless it was deleted or stands there already or further: false. Idempotent, but for
   * its answer.
   */
  write(ctx: Ctx, session: StoredSession, entries: readonly LogEntry[]): Promise<boolean>
  /** Keeps an entry that lost against another one of its place. Idempotent. */
  addFork(ctx: Ctx, fork: ForkedEntry): Promise<void>
}

type Db = Link<PostgresPool>

export function createArchive(link: Db): SessionArchive {
  return {
    find: (ctx, ref) => find(link, ctx, ref),
    log: (ctx, query) => readLog(link, ctx, query),
    listDue: (ctx, after, limit) => listDue(link, ctx, after, limit),
    write: (ctx, session, entries) => write(link, ctx, session, entries),
    addFork: (ctx, fork) => addFork(link, ctx, fork),
  }
}

async function find(link: Db, ctx: Ctx, ref: SessionRef): Promise<Archived> {
  const whole = await loadWhole(link, ctx, ref)
  if (whole !== undefined) return { kind: 'there', session: toSession(ref, whole), operations: whole.operations }
  const row = await readRow(link, ctx, ref)
  if (row === undefined) return { kind: 'absent' }
  return row.is_deleted ? { kind: 'deleted' } : await find(link, ctx, ref) // it was drained in between
}

interface PlaceRow {
  readonly tenant_id: string
  readonly session_id: string
  readonly epoch: number
  readonly version: number
  readonly deadline_ms: number
  readonly due_ms: number
}

async function listDue(link: Db, ctx: Ctx, after: DuePlace | undefined, limit: number): Promise<readonly DuePlace[]> {
  const text = `
    select tenant_id, session_id, epoch::float8 as epoch, version, deadline_ms::float8 as deadline_ms, due_ms::float8 as due_ms
    from ripstop.sessions
    where due_ms is not null and deleted_at is null and deadline_ms is not null and ended_at is null
      and ($1::bigint is null or (due_ms, tenant_id, session_id) > ($1::bigint, $2::uuid, $3::uuid))
    order by due_ms, tenant_id, session_id limit $4`
  const values = [after?.dueMs ?? null, after?.tenantId ?? null, after?.sessionId ?? null, limit]
  const rows = await read<PlaceRow>(link, ctx, text, values)
  return rows.map(({ tenant_id, session_id, epoch, version, deadline_ms, due_ms }) => ({
    tenantId: tenant_id,
    sessionId: session_id,
    epoch,
    version,
    deadlineMs: deadline_ms,
    dueMs: due_ms,
  }))
}

async function write(link: Db, ctx: Ctx, session: StoredSession, entries: readonly LogEntry[]): Promise<boolean> {
  const text = `
    with given as (
      select $1::uuid as tenant_id, $2::uuid as session_id, $3::bigint as epoch, $4::integer as version, $5 as head, $6 as status,
        $7::bigint as deadline_ms, $8 as body, $9::boolean as is_ended),
    put as (
      insert into ripstop.sessions as s
        (tenant_id, session_id, epoch, version, head, status, deadline_ms, due_ms, body, body_version, ended_at)
      select tenant_id, session_id, epoch, version, head, status, deadline_ms, case when not is_ended then deadline_ms end, body, version,
        case when is_ended then now() end
      from given
      on conflict (tenant_id, session_id) do update set
        epoch = excluded.epoch, version = excluded.version, head = excluded.head, status = excluded.status,
        deadline_ms = excluded.deadline_ms, due_ms = case when excluded.ended_at is null then least(s.due_ms, excluded.due_ms) end,
        body = excluded.body, body_version = excluded.version, ended_at = excluded.ended_at, updated_at = now()
      where s.deleted_at is null and (s.epoch, s.version) < (excluded.epoch, excluded.version)
      returning tenant_id, session_id),
    logged as (
      insert into ripstop.session_log (tenant_id, session_id, epoch, version, hash, text)
      select put.*, entry.* from put cross join unnest($10::bigint[], $11::integer[], $12::text[], $13::text[]) as entry
      on conflict do nothing)
    select from put`
  const { tenantId, sessionId, epoch, version, head, status, deadlineMs, body } = session
  const rows = await read(link, ctx, text, [
    ...[tenantId, sessionId, epoch, version, head, status, deadlineMs ?? null, body, isEnded(status)],
    entries.map((entry) => entry.epoch),
    entries.map((entry) => entry.version),
    entries.map((entry) => entry.hash),
    entries.map((entry) => entry.text),
  ])
  return rows.length > 0
}

async function addFork(link: Db, ctx: Ctx, fork: ForkedEntry): Promise<void> {
  const text = `
    insert into ripstop.session_forks (tenant_id, session_id, epoch, version, kept_hash, other_hash, other_text)
    values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`
  const { tenantId, sessionId, epoch, version, keptHash, otherHash, otherText } = fork
  await read(link, ctx, text, [tenantId, sessionId, epoch, version, keptHash, otherHash, otherText])
}
