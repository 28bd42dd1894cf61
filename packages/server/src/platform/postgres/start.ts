// Migrating at start, beside everything else: the mesh starts without its database, and migrates as soon as it is there.

import { background, type Ctx, type Env, hasCode, isRipstopError, type Link, Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Log } from '#platform/telemetry'
import { type MigrationStatus, migrate, readMigrationStatus } from './migrations.ts'
import type { PostgresLink } from './postgres-link.ts'

/** A step may rebuild a large table. */
const STEP_DEADLINE_MS = 600_000
const OPEN_DEADLINE_MS = 1_000
const DRAIN_MS = 1_000

export interface MigrationsDeps {
  readonly env: Env
  readonly log: Log
  readonly postgres: Pick<PostgresLink, 'link' | 'adapter'>
  /** For tests; default: the files of this binary. */
  readonly directory?: string
}

export interface Migrations extends AsyncDisposable {
  /** Resolves once the schema is that of this binary. Rejects with MIGRATION_DRIFT, SCHEMA_TOO_NEW or MIGRATION_FAILED. */
  readonly done: Promise<void>
  /** As it was found last; `unknown` before that. */
  readonly status: () => MigrationStatus & { readonly checkedWallMs: number | undefined }
  /** Looks again. Throws what the link throws. */
  readonly check: (ctx: Ctx) => Promise<void>
}

/** Starts at once and goes on until it is done, however late the database comes; disposing of it gives up. */
export function startMigrations({ env, log, postgres, directory }: MigrationsDeps): Migrations {
  const root = background(env)
  const given = directory === undefined ? {} : { directory }
  let status: MigrationStatus = { state: 'unknown', version: undefined, newest: 0, problems: [] }
  let checkedWallMs: number | undefined
  const look = async (ctx: Ctx, link: Link<PostgresPool>): Promise<void> => {
    status = await readMigrationStatus(ctx, { link, ...given })
    checkedWallMs = env.clock.wallMs()
  }
  const run = async (): Promise<void> => {
    const link = startOwnLink(env, postgres)
    try {
      await migrate(root, { link, log, ...given })
    } catch (error) {
      if (isRipstopError(error) && !hasCode(error, 'CANCELLED')) {
        log.error({ event: 'migration.refused', code: error.code, why: error.message })
      }
      throw error
    } finally {
      if (root.reason === undefined) await look(root, link).catch(() => undefined) // the next check tells
      using limit = background(env).within(DRAIN_MS)
      await link.drain(limit)
    }
    if (status.problems.length > 0) log.warn({ event: 'migration.drift_found', problems: status.problems })
  }
  const done = run()
  done.catch(() => undefined) // for callers who don't wait: it is logged
  return {
    done,
    status: () => ({ ...status, checkedWallMs }),
    check: (ctx) => look(ctx, postgres.link),
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await done.catch(() => undefined)
    },
  }
}

/** One connection and a long deadline. Not in the mesh's own graph, where it would be shown as closed for ever. */
function startOwnLink(env: Env, postgres: MigrationsDeps['postgres']): Link<PostgresPool> {
  const link = new Mesh(env).link('postgres.migrations', postgres.adapter(1), {
    deadlineMs: STEP_DEADLINE_MS,
    openDeadlineMs: OPEN_DEADLINE_MS,
    whenDown: 'wait',
    breaker: 'none',
  })
  link.start()
  return link
}
