// Many callers share few connections while deadlines pass, callers cancel and connections break at random: nobody may ever
// get another's answer, and no connection may be lost to the pool. Prints its seed.

import { startFaultProxy } from '@ripstop/faults'
import { background, type Ctx, createEnv, createSeededRandom, hasCode, isRipstopError, Mesh } from '@ripstop/kernel'
import { createPostgresAdapter, type PostgresPool } from '@ripstop/kernel/postgres'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { until } from '../../packages/server/src/testing/processes.ts'

const SIZE = 4
const CALLERS = 24
const CALLS_EACH = 60

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000))

/** One of the things that callers do; resolves with whether the answer was its own. Only one of them leaves a row. */
async function callOnce(
  pool: PostgresPool,
  ctx: Ctx,
  n: number,
  random: () => number,
  transactions: Set<number>,
): Promise<boolean> {
  const sleep = random() < 0.4 ? random() * 0.03 : 0
  const ask = 'select $1::int as n, pg_sleep($2)'
  const kind = random()
  if (kind < 0.5) return (await pool.query<{ n: number }>(ctx, ask, [n, sleep])).rows[0]?.n === n
  if (kind < 0.6) {
    const error = await pool.query(ctx, `select ${n} / 0`).catch((caught: unknown) => caught)
    if (isRipstopError(error)) throw error
    return hasDivided(error)
  }
  if (kind < 0.7) return (await pool.query<{ n: number }>(ctx, `select 1; select ${n} as n`)).rows[0]?.n === n
  transactions.add(n)
  return pool.transaction(ctx, async (tx) => {
    await tx.query(ctx, 'insert into mixup values ($1)', [n])
    const own = (await tx.query<{ n: number }>(ctx, ask, [n, sleep])).rows[0]?.n === n
    if (random() < 0.3) throw new Error('rolled back on purpose')
    return own
  })
}

function hasDivided(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '22012'
}

test(`L7, QS2, QP3: nobody gets another's answer, sent no holds, and every connection comes back (SEED=${seed})`, async () => {
  await using database = await createTestDatabase()
  const server = new URL(database.url)
  await using proxy = await startFaultProxy({ upstream: { host: server.hostname, port: Number(server.port) } })
  const random = createSeededRandom(seed)
  const mesh = new Mesh(createEnv())
  const root = background(mesh.env)
  const link = mesh.link('postgres.main', createPostgresAdapter({ url: proxy.through(database.url), size: SIZE }), {
    deadlineMs: 1_000,
    whenDown: 'wait',
    bulkhead: { concurrent: SIZE + 2, queue: 256 },
    breaker: 'none',
  })
  await using _ = { [Symbol.asyncDispose]: () => mesh.drain(root.within(1_000)) }
  link.start()
  await link.whenUp(root.within(5_000))
  await link.call(root, (pg, call) => pg.query(call, 'create table mixup (n int)'))

  const outcomes = { own: 0, foreign: 0, failed: 0, surprising: [] as unknown[] }
  const answered: number[] = []
  const refused = new Set<number>()
  const transactions = new Set<number>()
  const caller = async (index: number): Promise<void> => {
    for (let turn = 0; turn < CALLS_EACH; turn++) {
      const n = index * 1_000 + turn
      const ctx = root.within(5_000)
      if (random() < 0.1) mesh.env.clock.schedule(random() * 30, () => ctx.cancel())
      if (random() < 0.005) proxy.drop('reset')
      try {
        const deadlineMs = random() < 0.4 ? 1 + random() * 40 : 1_000
        const own = await link.call(ctx, (pg, call) => callOnce(pg, call, n, random, transactions), { deadlineMs })
        outcomes[own ? 'own' : 'foreign']++
        answered.push(n)
      } catch (error) {
        outcomes.failed++
        if (!isRipstopError(error) || error.sent === 'no') refused.add(n)
        const expected = isRipstopError(error) || (error instanceof Error && error.message === 'rolled back on purpose')
        if (!expected || hasCode(error, 'INTERNAL')) outcomes.surprising.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, (_, index) => caller(index)))
  process.stdout.write(
    `${outcomes.own} answered, ${outcomes.failed} failed, generation ${link.snapshot().generation}\n`,
  )
  expect(outcomes).toMatchObject({ foreign: 0, surprising: [] })
  expect(outcomes.own).toBeGreaterThan(CALLERS * CALLS_EACH * 0.3)

  await link.whenUp(root.within(5_000))
  await until('every slot is back', () => link.snapshot().pool?.inUse === 0 && link.snapshot().inFlight === 0)
  const rows = link.call(root, (pg, call) => pg.query<{ n: number }>(call, 'select n from mixup'))
  const applied = (await rows).rows.map(({ n }) => n)
  expect(new Set(applied).size).toBe(applied.length)
  expect(applied.filter((n) => refused.has(n))).toEqual([]) // `sent: 'no'` is a promise (L7)
  const inserted = new Set(applied)
  expect(answered.filter((n) => transactions.has(n) && !inserted.has(n))).toEqual([])
  expect(applied.length).toBeGreaterThan(CALLERS)
  const { size } = link.snapshot().pool ?? { size: -1 }
  expect(size).toBeLessThanOrEqual(SIZE)
  // At the server: those, the one for probes, and none that is busy or in a transaction.
  await until('nothing is left at the server', async () => {
    const { rows } = await link.call(root, (pg, call) =>
      pg.query<{ state: string }>(
        call,
        'select state from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      ),
    )
    return rows.length <= SIZE && rows.every(({ state }) => state === 'idle')
  })
}, 60_000)
