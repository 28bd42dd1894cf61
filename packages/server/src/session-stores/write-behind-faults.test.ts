import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { migrateTestDatabase, startTestMesh } from '../testing/mesh.ts'
import { startTestCluster } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startTestRedis } from '../testing/redis.ts'
import { createFirst, createNext, type NextOptions, verifyChain } from './conformance-writing.fixture.ts'
import { emptyRedis, setEpoch, startSide } from './redis.fixture.ts'
import type { StoredSession } from './store.ts'
import {
  commitIn,
  createIn,
  drained,
  keptRecords,
  readSessionRow,
  refOf,
  startGround,
  type TestGround,
} from './write-behind.fixture.ts'

let ground: TestGround

beforeAll(async () => {
  ground = await startGround()
})

afterAll(() => ground[Symbol.asyncDispose]())
beforeEach(() => ground.empty())

const create = (number: number, as?: Partial<StoredSession>) => createIn(ground, number, as)
const commit = (from: StoredSession, options?: NextOptions) => commitIn(ground, from, options)
const rowOf = (number: number) => readSessionRow(ground, number)

describe('write-behind', () => {
  test('WB5, SR5: nothing is trimmed that Postgres has not, nor what is younger than what is kept; the log is whole', async () => {
    const { side } = ground
    let session = await create(1)
    for (let n = 1; n < 500; n++) session = await commit(session)
    {
      await using _ = ground.drain({ keepMs: 60_000 })
      await drained(ground)
    }
    expect(await keptRecords(side)).toBe(500)
    for (let n = 0; n < 300; n++) session = await commit(session)
    {
      await using _ = ground.drain({ keepMs: 0 })
      await drained(ground)
    }
    // Redis trims whole nodes of 100; the cursor's record stays.
    expect(await keptRecords(side)).toBeLessThanOrEqual(101)
    expect(await keptRecords(side)).toBeGreaterThan(0)
    expect(await ground.rows()).toHaveLength(800)
    for (let n = 0; n < 200; n++) session = await commit(session)
    expect(await keptRecords(side)).toBeGreaterThan(200)
    // Most of it is in Postgres alone, some in both, the rest in Redis alone.
    const log = await side.store.log(ground.ctx, { ...session, afterVersion: 0, limit: 5_000 })
    expect(log).toHaveLength(1_000)
    expect(verifyChain(log)).toBe(session.head)
    const page = await side.store.log(ground.ctx, { ...session, afterVersion: 790, limit: 20 })
    expect(page).toEqual(log.slice(790, 810))
  })

  test.each([
    ['is emptied, and its clock is behind', `update ripstop.session_cursors set last_id = '9999999999999-0'`],
    [
      'has another record where the cursor is',
      `update ripstop.session_cursors set last_hash = 'x' where last_id <> ''`,
    ],
  ])('WB7: a Redis that %s is drained from its beginning', async (_, change) => {
    const session = await create(1)
    {
      await using _ = ground.drain()
      await drained(ground)
    }
    await ground.mesh.query(change)
    const later = await commit(await commit(session))
    await create(2)
    await using _drain = ground.drain()
    await until('it is drained', async () => (await rowOf(1))?.version === 3 && (await rowOf(2)) !== undefined)
    expect(await ground.rows()).toHaveLength(4)
    expect(await ground.mesh.query('select from ripstop.session_forks')).toEqual([])
    expect((await rowOf(1))?.head).toBe(later.head)
    expect(ground.mesh.log.lines.map(({ event }) => event)).toContain('session.stream_replaced')
  })

  test('WB7: sessions of a Redis that was emptied while it was drained are drained', async () => {
    await using _ = ground.drain()
    for (let round = 0; round < 3; round++) {
      await create(10 + round)
      await drained(ground)
      await emptyRedis(ground.side, 2 + round)
      const { session, first } = createFirst(refOf(20 + round), { epoch: 2 + round })
      await ground.side.store.create(ground.ctx, session, first)
      await until('it is drained', async () => (await rowOf(20 + round)) !== undefined)
      await emptyRedis(ground.side)
    }
  })

  test('WB6: without Postgres it waits, tells that it does, and loses nothing', { timeout: 60_000 }, async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using mesh = await startTestMesh(cluster.url)
    const { side } = ground
    await using _ = ground.drain({ link: mesh.link })
    let session = await create(1)
    await drained(ground)
    await cluster.kill('SIGKILL')
    for (let n = 0; n < 50; n++) session = await commit(session)
    await until('it waits', () => ground.mesh.log.lines.some(({ event }) => event === 'session.write_behind_waits'))
    expect(ground.metric('sessions_write_behind_failures_total')).toBeGreaterThan(0)
    expect(await side.store.backlog(ground.ctx)).toBe(50)
    await until('the lag is told', () => ground.metric('sessions_write_behind_lag') === 50)
    await cluster.restart()
    await drained(ground, 20_000)
    const [row] = await mesh.query<{ head: string }>('select head from ripstop.sessions')
    expect(row?.head).toBe(session.head)
    expect(await mesh.query('select from ripstop.session_log')).toHaveLength(51)
  })
  test('WB6: a statement that takes longer than its deadline, and its term, is told and tried again', async () => {
    const { database, mesh } = ground
    await using drain = ground.drain({ leaseMs: 200 })
    const session = await create(1)
    await drained(ground)
    const before = ground.metric('sessions_write_behind_failures_total') ?? 0
    const client = new Client({ connectionString: database.url })
    await client.connect()
    try {
      await client.query('begin')
      await client.query('lock table ripstop.session_log')
      await commit(session)
      await until('it failed', () => (ground.metric('sessions_write_behind_failures_total') ?? 0) > before)
    } finally {
      await client.end()
    }
    await drained(ground)
    expect(mesh.log.lines.map(({ event }) => event)).toContain('session.write_behind_waits')
    expect(await ground.rows()).toHaveLength(2)
    await drain[Symbol.asyncDispose]()
  })

  test('WB6: without Redis it waits, and goes on where it was', { timeout: 60_000 }, async () => {
    await using redis = await startTestRedis({ settings: { appendonly: 'yes' } })
    await using side = await startSide(redis.url)
    await setEpoch(side, 1)
    const { session, first } = createFirst(refOf(1))
    await side.store.create(ground.ctx, session, first)
    await using _ = ground.drain({ redis: side.link })
    await drained({ side, ctx: ground.ctx })
    await redis.restart()
    await until('it waits', () => ground.mesh.log.lines.some(({ event }) => event === 'session.write_behind_waits'))
    await until('Redis is back', () => side.link.state === 'up')
    await setEpoch(side, 2)
    const next = createNext(session, { epoch: 2 })
    expect(await side.store.commit(ground.ctx, next)).toEqual({ kind: 'committed' })
    await drained({ side, ctx: ground.ctx })
    expect((await rowOf(1))?.head).toBe(next.to.head)
    expect(ground.mesh.log.lines.map(({ event }) => event)).not.toContain('session.stream_replaced')
  })

  test('SR4: what has ended goes once it is drained and its time is over; what took its place stays', async () => {
    const { side, ctx } = ground
    const ended = await commit(await create(1), { status: 'completed' })
    const removed = await create(2)
    await side.store.remove(ctx, removed)
    const replaced = await commit(await create(3), { status: 'expired' })
    await side.store.restore(ctx, { ...replaced, epoch: 2, version: 3, status: 'running' }, replaced)
    await using _ = ground.drain({ endedTtlMs: 30 })
    await until('what ended is gone', async () => {
      const found = await Promise.all([ended, removed].map((session) => side.store.find(ctx, session)))
      return found.every(({ kind }) => kind === 'absent')
    })
    expect(await side.store.load(ctx, replaced)).toMatchObject({ epoch: 2, version: 3 })
    expect((await side.store.log(ctx, { ...ended, afterVersion: 0, limit: 9 })).map((entry) => entry.version)).toEqual([
      1, 2,
    ])
  })
})
