// A mesh of one link on a test database, for tests of stores and of what runs on them.

import { background, type Ctx, createEnv, type Env, type Link, Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { parseConfig } from '../platform/config/config.ts'
import { createPostgresLink, type PostgresLink } from '../platform/postgres/postgres-link.ts'
import { startMigrations } from '../platform/postgres/start.ts'
import { createRecordingLog, type RecordingLog } from './http.ts'

export interface TestMesh extends AsyncDisposable {
  readonly mesh: Mesh
  readonly env: Env
  readonly ctx: Ctx
  readonly log: RecordingLog
  readonly postgres: PostgresLink
  readonly link: Link<PostgresPool>
  readonly query: <Row>(text: string, values?: readonly unknown[]) => Promise<Row[]>
}

/** Connects, and is up when it resolves, unless told not to wait. */
export async function startTestMesh(url: string, { wait = true } = {}): Promise<TestMesh> {
  const env = createEnv()
  const ctx = background(env)
  const mesh = new Mesh(env)
  const postgres = createPostgresLink({ mesh, postgres: parseConfig({}, { DATABASE_URL: url }).postgres })
  const { link } = postgres
  link.start()
  if (wait) await link.whenUp(ctx.within(10_000))
  return {
    mesh,
    env,
    ctx,
    log: createRecordingLog(),
    postgres,
    link,
    query: async <Row>(text: string, values?: readonly unknown[]) =>
      (await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values))).rows,
    [Symbol.asyncDispose]: async () => {
      using limit = ctx.within(2_000)
      await mesh.drain(limit)
    },
  }
}

/** Brings a database up to this binary: what every test database is copied from. */
export async function migrateTestDatabase(url: string): Promise<void> {
  await using mesh = await startTestMesh(url)
  await using migrations = startMigrations({ env: mesh.env, log: mesh.log, postgres: mesh.postgres })
  await migrations.done
}
