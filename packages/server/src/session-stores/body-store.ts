// SQL of reading sessions: rows, logs, and bodies that are brought up to where their session is (fold.ts).

import { type Ctx, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { decodeBody, encodeBody, type LogEntry } from '#session-log'
import { foldEntries } from './fold.ts'
import { addOperations } from './operations.ts'
import type { LogQuery, SessionRef, StoredSession } from './store.ts'

type Db = Link<PostgresPool>

/** A body that is so far behind is written anew when it is loaded. */
const REFRESHED_FROM = 256
const FOLD_PAGE = 1_000
/** The session may go on while its log is read. */
const LOAD_TRIES = 5

export async function read<Row>(link: Db, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const ask = async (pool: PostgresPool, ctx: Ctx) => (await pool.query<Row>(ctx, text, values)).rows
  return await link.call(ctx, ask, { idempotent: true })
}

export interface SessionRow {
  readonly epoch: number
  readonly version: number
  readonly head: string
  readonly status: StoredSession['status']
  readonly deadline_ms: number | null
  readonly body: string
  readonly body_version: number
  readonly operations: Buffer
  readonly is_deleted: boolean
}

const COLUMNS = `s.epoch::float8 as epoch, s.version, s.head, s.status, s.deadline_ms::float8 as deadline_ms, s.body, s.body_version,
      s.operations, s.deleted_at is not null as is_deleted`

/** Deleted ones too, while they are kept. */
export async function readRow(link: Db, ctx: Ctx, ref: SessionRef): Promise<SessionRow | undefined> {
  const text = `select ${COLUMNS} from ripstop.sessions s where s.tenant_id = $1 and s.session_id = $2`
  const [row] = await read<SessionRow>(link, ctx, text, [ref.tenantId, ref.sessionId])
  return row
}

/** The row, and whether commits of `epoch` are taken. */
export async function readFenced(
  link: Db,
  ctx: Ctx,
  { tenantId, sessionId }: SessionRef,
  epoch: number,
): Promise<{ readonly holds: boolean; readonly row: SessionRow | undefined }> {
  const text = `
    select fence.holds, ${COLUMNS} from (select ripstop.hold_session_epoch($3) as holds) as fence
    left join ripstop.sessions s on s.tenant_id = $1 and s.session_id = $2`
  const [row] = await read<SessionRow & { holds: boolean }>(link, ctx, text, [tenantId, sessionId, epoch])
  return { holds: row?.holds === true, row: row?.body == null ? undefined : row }
}

export function isWhole({ version, body_version }: SessionRow): boolean {
  return version === body_version
}

/** The session of a row that is whole. */
export function toSession({ tenantId, sessionId }: SessionRef, row: SessionRow): StoredSession {
  const { epoch, version, head, status, body, deadline_ms } = row
  return { tenantId, sessionId, epoch, version, head, body, status, deadlineMs: deadline_ms ?? undefined }
}

/** The row with its body brought up to where the session is; undefined: there is none, or it was deleted. */
export async function loadWhole(link: Db, ctx: Ctx, ref: SessionRef): Promise<SessionRow | undefined> {
  for (let tries = 0; tries < LOAD_TRIES; tries++) {
    const row = await readRow(link, ctx, ref)
    if (row === undefined || row.is_deleted) return undefined
    if (isWhole(row)) return row
    const whole = await foldRow(link, ctx, ref, row)
    if (whole === undefined) continue
    const isFar = row.version - row.body_version >= REFRESHED_FROM
    if (isFar) await refresh(link, ctx, ref, row, whole).catch(() => undefined) // then whoever loads it next does
    return whole
  }
  throw new RipstopError('INTERNAL', 'the log of the session does not lead to its head', { details: { ...ref } })
}

/** Writes the body that was folded, unless somebody else did. */
export async function refresh(
  link: Db,
  ctx: Ctx,
  { tenantId, sessionId }: SessionRef,
  from: SessionRow,
  to: SessionRow,
): Promise<void> {
  const text = `
    update ripstop.sessions set body = $4, body_version = $5, operations = $6
    where tenant_id = $1 and session_id = $2 and body_version = $3 and version >= $5 and epoch >= $7`
  const values = [tenantId, sessionId, from.body_version, to.body, to.body_version, to.operations, to.epoch]
  await read(link, ctx, text, values)
}

/** The row with its body brought up; undefined: the log does not lead to its head, as far as can be seen now. */
async function foldRow(link: Db, ctx: Ctx, ref: SessionRef, row: SessionRow): Promise<SessionRow | undefined> {
  const { body_version, version } = row
  const body = body_version === 0 || body_version > version ? undefined : decodeBody(row.body)
  const afterVersion = body === undefined ? 0 : body_version - 1
  const folded = foldEntries(body, await readEntries(link, ctx, ref, afterVersion, version))
  if (folded === undefined || folded.head !== row.head) return undefined
  const operations = addOperations(body === undefined ? Buffer.alloc(0) : row.operations, folded.operations)
  return { ...row, body: encodeBody(folded.body), body_version: folded.version, operations }
}

async function readEntries(
  link: Db,
  ctx: Ctx,
  { tenantId, sessionId }: SessionRef,
  afterVersion: number,
  untilVersion: number,
): Promise<readonly LogEntry[]> {
  const entries: LogEntry[] = []
  for (let after = afterVersion; after < untilVersion; after = entries.at(-1)?.version as number) {
    const limit = Math.min(FOLD_PAGE, untilVersion - after)
    const page = await readLog(link, ctx, { tenantId, sessionId, afterVersion: after, limit })
    entries.push(...page)
    if (page.length < limit) break
  }
  return entries
}

interface EntryRow {
  readonly epoch: number
  readonly version: number
  readonly hash: string
  readonly text: string
}

export const toEntry = ({ epoch, version, hash, text }: EntryRow): LogEntry => ({
  epoch,
  version,
  hash,
  text,
  publish: undefined,
})

/**
 * A page of the log, superseded entries left out. An epoch's entries are live up to where a later one begins; where epochs begin is found by
 * skip scan, one probe of the key for each.
 */
export async function readLog(link: Db, ctx: Ctx, query: LogQuery): Promise<readonly LogEntry[]> {
  const of = 'l.tenant_id = $1 and l.session_id = $2'
  const text = `
    with recursive begun as (
      (select l.epoch, l.version from ripstop.session_log l where ${of} and l.version > 0 order by l.epoch, l.version limit 1)
      union all
      select next.* from begun cross join lateral (
        select l.epoch, l.version from ripstop.session_log l
        where ${of} and l.epoch > begun.epoch and l.version > 0 order by l.epoch, l.version limit 1) as next),
    live as (
      select epoch, min(version) over (order by epoch rows between 1 following and unbounded following) as ends from begun)
    select epoch::float8 as epoch, version, hash, text from live cross join lateral (
      select l.version, l.hash, l.text from ripstop.session_log l
      where ${of} and l.epoch = live.epoch and l.version > $3 and l.version < coalesce(live.ends, 2147483647)
      order by l.version limit $4) as entry
    order by version limit $4`
  const { tenantId, sessionId, afterVersion, limit } = query
  const rows = await read<EntryRow>(link, ctx, text, [tenantId, sessionId, Math.max(0, afterVersion), limit])
  return rows.map(toEntry)
}
