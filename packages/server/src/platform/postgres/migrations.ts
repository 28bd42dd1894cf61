// Migrations. Steps forward, each in one transaction with the lock, the record and the catalog that it left behind.
// The lock is taken by trying, never by waiting: a blocking advisory lock holds a snapshot open while it waits, on which
// concurrent index builds of the holder then wait in turn (measured with DBOS: 8 of 8 starts failed). It belongs to the
// transaction, so pgBouncer in transaction mode may stand in between, and the death of its holder frees it.
// Invariants:
//   MG1. Any number of processes may start at once, on an empty database too: every step is applied exactly once, and all
//        of them succeed.
//   MG2. A step is applied wholly or not at all, together with its record.
//   MG3. Drift is found before anything is applied, and named: files that changed or are missing, objects of the schema
//        that are missing or different. A database that a newer binary migrated is refused.

import { type Ctx, hasCode, isRipstopError, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool, Queryable } from '@ripstop/kernel/postgres'
import { pause } from '#platform/pause'
import type { Log } from '#platform/telemetry'
import { type Catalog, compareCatalogs, type Drift, readCatalog } from './migrations-catalog.ts'
import { type Migration, readMigrations } from './migrations-files.ts'
import { type Applied, planMigrations } from './migrations-plan.ts'
import { sqlStateOf } from './sql-state.ts'

const LOCK = 0x52495053 // 'RIPS'
const BUSY_MS = 50
const TROUBLE_MS = 250
/** A step that waits longer for a table than this gives way to the traffic, and tries again. */
const LOCK_TIMEOUT_MS = 3_000

export interface MigrateDeps {
  /** With a deadline long enough for the longest step. */
  readonly link: Link<PostgresPool>
  readonly log: Log
  /** For tests; default: the files of this binary. */
  readonly directory?: string
}

/**
 * Brings the database up to this binary, however long that takes: waits for the database and for other processes until
 * `ctx` is over. Throws MIGRATION_DRIFT, SCHEMA_TOO_NEW or MIGRATION_FAILED; then nothing more was applied.
 */
export async function migrate(ctx: Ctx, { link, log, directory }: MigrateDeps): Promise<void> {
  const files = await readMigrations(directory)
  const { clock, random } = ctx.env
  for (;;) {
    const startedMs = clock.monoMs()
    try {
      const step = await link.call(ctx, (pool, ctx) => stepOnce(pool, ctx, files))
      if (step === 'done') return
      if (step === 'busy') await pause(ctx, BUSY_MS * (0.5 + random()))
      else {
        const durationMs = Math.round(clock.monoMs() - startedMs)
        log.info({ event: 'migration.applied', version: step.version, name: step.name, durationMs })
      }
    } catch (error) {
      // What is no verdict of ours on a step may pass: a process that gave up would be there and do nothing, for ever.
      if (isRipstopError(error) && !isPassing(error)) throw error
      ctx.throwIfOver()
      log.warn({ event: 'migration.delayed', why: error instanceof Error ? error.message : String(error) })
      await pause(ctx, TROUBLE_MS * (0.5 + random()))
    }
  }
}

/** The database is away or busy: the same step may succeed later. */
function isPassing(error: unknown): boolean {
  const sqlState = sqlStateOf(error)
  if (sqlState === '55P03' || sqlState === '40P01') return true // lock timeout, deadlock
  return isRipstopError(error) && error.retry && !hasCode(error, 'CANCELLED')
}

/** Looks without the lock first: a database that is up to date, the usual case, then needs one read. */
async function stepOnce(
  pool: PostgresPool,
  ctx: Ctx,
  files: readonly Migration[],
): Promise<Migration | 'done' | 'busy'> {
  if (planMigrations(files, await readApplied(pool, ctx)).length === 0) return 'done'
  return pool.transaction(ctx, async (tx) => {
    const { rows } = await tx.query<{ free: boolean }>(ctx, 'select pg_try_advisory_xact_lock($1) as free', [LOCK])
    if (rows[0]?.free !== true) return 'busy'
    await createRecord(tx, ctx)
    const [next] = planMigrations(files, await readApplied(tx, ctx))
    if (next === undefined) return 'done'
    const stored = await readStoredCatalog(tx, ctx)
    if (stored !== undefined) refuseDrift(compareCatalogs(stored, await readCatalog(tx, ctx)))
    await apply(tx, ctx, next)
    return next
  })
}

async function apply(tx: Queryable, ctx: Ctx, { version, name, sha256, sql }: Migration): Promise<void> {
  // The call's own deadline bounds a step; the server's bound on statements is made for traffic.
  await tx.query(ctx, `set local statement_timeout = 0; set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
  try {
    await tx.query(ctx, sql)
  } catch (cause) {
    if (isRipstopError(cause) || isPassing(cause)) throw cause
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new RipstopError('MIGRATION_FAILED', `migration ${version} (${name}): ${said}`, { cause })
  }
  await tx.query(ctx, 'insert into ripstop.migrations (version, name, sha256, catalog) values ($1, $2, $3, $4)', [
    version,
    name,
    sha256,
    JSON.stringify(await readCatalog(tx, ctx)),
  ])
}

function refuseDrift({ broken }: Drift): void {
  if (broken.length === 0) return
  throw new RipstopError('MIGRATION_DRIFT', broken.join('; '), { details: { problems: broken } })
}

/** Not `if not exists` alone: that needs the right to create even where nothing is to be created. */
async function createRecord(tx: Queryable, ctx: Ctx): Promise<void> {
  if (await hasRecord(tx, ctx)) return
  await tx.query(
    ctx,
    `create schema if not exists ripstop;
     create table ripstop.migrations (
       version integer primary key,
       name text not null,
       sha256 text not null,
       applied_at timestamptz not null default now(),
       catalog jsonb not null
     )`,
  )
}

async function hasRecord(db: Queryable, ctx: Ctx): Promise<boolean> {
  const { rows } = await db.query<{ present: boolean }>(
    ctx,
    // Not to_regclass: inside a transaction that waited for the lock it may still answer from before (seen 2026-11: 1 of 3 first starts).
    `select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'ripstop' and c.relname = 'migrations') as present`,
  )
  return rows[0]?.present === true
}

async function readApplied(db: Queryable, ctx: Ctx): Promise<readonly Applied[]> {
  if (!(await hasRecord(db, ctx))) return []
  const { rows } = await db.query<Applied>(ctx, 'select version, name, sha256 from ripstop.migrations order by version')
  return rows
}

async function readStoredCatalog(db: Queryable, ctx: Ctx): Promise<Catalog | undefined> {
  const { rows } = await db.query<{ catalog: Catalog }>(
    ctx,
    'select catalog from ripstop.migrations order by version desc limit 1',
  )
  return rows[0]?.catalog
}

/** How a database stands; `state` as in /health/migrations. */
export interface MigrationStatus {
  readonly state: 'current' | 'pending' | 'drifted' | 'too_new' | 'unknown'
  /** Of the database; undefined if that is unknown or it has none. */
  readonly version: number | undefined
  /** That this binary brings. */
  readonly newest: number
  readonly problems: readonly string[]
}

/** Compares files, record and live catalog. Changes nothing. Throws only what the link throws. */
export async function readMigrationStatus(
  ctx: Ctx,
  { link, directory }: Omit<MigrateDeps, 'log'>,
): Promise<MigrationStatus> {
  const files = await readMigrations(directory)
  const newest = files.at(-1)?.version ?? 0
  const { applied, drift } = await link.call(ctx, (pool, ctx) => pool.transaction(ctx, (tx) => readAll(tx, ctx)), {
    idempotent: true,
  })
  const version = applied.at(-1)?.version
  const status = (state: MigrationStatus['state'], problems: readonly string[]): MigrationStatus => ({
    state,
    version,
    newest,
    problems,
  })
  try {
    const pending = planMigrations(files, applied)
    const told = [...drift.broken, ...drift.unexpected]
    if (drift.broken.length > 0) return status('drifted', told)
    return status(pending.length > 0 ? 'pending' : 'current', told)
  } catch (error) {
    if (hasCode(error, 'SCHEMA_TOO_NEW')) return status('too_new', [error.message])
    if (!hasCode(error, 'MIGRATION_DRIFT')) throw error
    return status('drifted', [...(error.details.problems as readonly string[]), ...drift.broken])
  }
}

async function readAll(
  tx: Queryable,
  ctx: Ctx,
): Promise<{ readonly applied: readonly Applied[]; readonly drift: Drift }> {
  const applied = await readApplied(tx, ctx)
  const stored = applied.length === 0 ? undefined : await readStoredCatalog(tx, ctx)
  if (stored === undefined) return { applied, drift: { broken: [], unexpected: [] } }
  return { applied, drift: compareCatalogs(stored, await readCatalog(tx, ctx)) }
}
