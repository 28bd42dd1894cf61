// A Redis, a database, and what drains one into the other, for tests.

import type { Ctx } from '@ripstop/kernel'
import { expect } from 'vitest'
import type { LogEntry } from '#session-log'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startTestRedis, type TestRedis } from '../testing/redis.ts'
import { readLog } from './body-store.ts'
import { createFirst, createNext, idOf, type NextOptions } from './conformance-writing.fixture.ts'
import { emptyRedis, startSide, type TestSide } from './redis.fixture.ts'
import { SHARD_KEYS } from './redis-keys.ts'
import type { SessionRef, StoredSession } from './store.ts'
import { startWriteBehind, type WriteBehindDeps } from './write-behind.ts'

export const TENANTS = [idOf(101), idOf(102)] as const

export interface TestGround extends AsyncDisposable {
  readonly ctx: Ctx
  readonly redis: TestRedis
  readonly database: TestDatabase
  readonly mesh: TestMesh
  /** Its log reads on in Postgres. */
  readonly side: TestSide
  /** Empties both, and begins epoch 1 in Redis. */
  readonly empty: () => Promise<void>
  readonly drain: (options?: Partial<WriteBehindDeps>) => AsyncDisposable
  /** Of this process's metrics. */
  readonly metric: (name: string) => number | undefined
  /** Rows of the log, in order. */
  readonly rows: () => Promise<readonly LogRow[]>
}

export interface LogRow {
  readonly session_id: string
  readonly epoch: number
  readonly version: number
  readonly hash: string
}

export async function startGround(): Promise<TestGround> {
  await using starting = new AsyncDisposableStack()
  const redis = starting.use(await startTestRedis())
  const database = starting.use(await createTestDatabase())
  const mesh = starting.use(await startTestMesh(database.url))
  const side = starting.use(
    await startSide(redis.url, { archive: { log: (ctx, query) => readLog(mesh.link, ctx, query) } }),
  )
  const { env, log, link, query } = mesh
  const owned = starting.move()
  return {
    ctx: mesh.ctx,
    redis,
    database,
    mesh,
    side,
    empty: async () => {
      await emptyRedis(side)
      for (const table of ['sessions', 'session_log', 'session_cursors', 'session_forks', 'outbox', 'leases']) {
        await query(`delete from ripstop.${table}`)
      }
      log.lines.length = 0
    },
    drain: (options = {}) =>
      startWriteBehind({ env, log, metrics: mesh.mesh.metrics, redis: side.link, link, leaseMs: 1_000, ...options }),
    metric: (name) => mesh.mesh.metrics.read().find((family) => family.name === name)?.values[0],
    rows: () =>
      query<LogRow>(
        `select session_id, epoch::float8 as epoch, version, hash from ripstop.session_log order by session_id, epoch, version`,
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export async function drained({ side, ctx }: Pick<TestGround, 'side' | 'ctx'>, limitMs = 10_000): Promise<void> {
  await until('all is drained', async () => (await side.store.backlog(ctx)) === 0, limitMs)
}

/** How many records the streams hold. */
export async function keptRecords({ link, ctx }: Pick<TestSide, 'link' | 'ctx'>): Promise<number> {
  const lengths = await Promise.all(SHARD_KEYS.map(({ log }) => link.call(ctx, (redis) => redis.xlen(log))))
  return lengths.reduce((sum, length) => sum + length, 0)
}

type Writing = Pick<TestGround, 'side' | 'ctx' | 'mesh'>

export const refOf = (number: number): SessionRef => ({ tenantId: TENANTS[0], sessionId: idOf(number) })

export async function createIn(
  ground: Writing,
  number: number,
  as: Partial<StoredSession> = {},
): Promise<StoredSession> {
  const { session, first } = createFirst(refOf(number), as)
  expect(await ground.side.store.create(ground.ctx, session, first)).toEqual({ kind: 'created' })
  return session
}

export async function commitIn(
  ground: Writing,
  from: StoredSession,
  options: NextOptions = {},
): Promise<StoredSession> {
  const next = createNext(from, options)
  expect(await ground.side.store.commit(ground.ctx, next)).toEqual({ kind: 'committed' })
  return next.to
}

export interface SessionRow {
  readonly epoch: number
  readonly version: number
  readonly head: string
  readonly status: string
  readonly deadline_ms: number | null
  readonly due_ms: number | null
  readonly body_version: number
  readonly is_ended: boolean
  readonly is_deleted: boolean
}

export async function readSessionRow(ground: Writing, number: number): Promise<SessionRow | undefined> {
  const [row] = await ground.mesh.query<SessionRow>(
    `select epoch::float8 as epoch, version, head, status, deadline_ms::float8 as deadline_ms, due_ms::float8 as due_ms, body_version,
       ended_at is not null as is_ended, deleted_at is not null as is_deleted
     from ripstop.sessions where session_id = $1`,
    [idOf(number)],
  )
  return row
}

export async function addEntries(
  ground: Writing,
  { tenantId, sessionId }: SessionRef,
  entries: readonly LogEntry[],
): Promise<void> {
  for (const { epoch, version, hash, text } of entries) {
    const row =
      'insert into ripstop.session_log (tenant_id, session_id, epoch, version, hash, text) values ($1, $2, $3, $4, $5, $6)'
    await ground.mesh.query(row, [tenantId, sessionId, epoch, version, hash, text])
  }
}
