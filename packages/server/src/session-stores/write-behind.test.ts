import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { migrateTestDatabase, startTestMesh } from '../testing/mesh.ts'
import { startTestCluster } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startTestRedis } from '../testing/redis.ts'
import { readLog } from './body-store.ts'
import { testSessionStore } from './conformance.fixture.ts'
import { createFirst, createNext, idOf, verifyChain } from './conformance-writing.fixture.ts'
import { emptyRedis, setEpoch, startSide } from './redis.fixture.ts'
import { shardOf } from './redis-keys.ts'
import type { LogEntry, SessionRef, StoredSession } from './store.ts'
import { drained, keptRecords, startGround, TENANTS, type TestGround } from './write-behind.fixture.ts'

let ground: TestGround

beforeAll(async () => {
  ground = await startGround()
})

afterAll(() => ground[Symbol.asyncDispose]())
beforeEach(() => ground.empty())

const refOf = (number: number): SessionRef => ({ tenantId: TENANTS[0], sessionId: idOf(number) })

async function create(number: number, as: Partial<StoredSession> = {}): Promise<StoredSession> {
  const { session, first } = createFirst(refOf(number), as)
  expect(await ground.side.store.create(ground.ctx, session, first)).toEqual({ kind: 'created' })
  return session
}

async function commit(from: StoredSession, options: Parameters<typeof createNext>[1] = {}): Promise<StoredSession> {
  const next = createNext(from, options)
  expect(await ground.side.store.commit(ground.ctx, next)).toEqual({ kind: 'committed' })
  return next.to
}

interface Row {
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

async function rowOf(number: number): Promise<Row | undefined> {
  const [row] = await ground.mesh.query<Row>(
    `select epoch::float8 as epoch, version, head, status, deadline_ms::float8 as deadline_ms, due_ms::float8 as due_ms, body_version,
       ended_at is not null as is_ended, deleted_at is not null as is_deleted
     from ripstop.sessions where session_id = $1`,
    [idOf(number)],
  )
  return row
}

async function addEntries({ tenantId, sessionId }: SessionRef, entries: readonly LogEntry[]): Promise<void> {
  for (const { epoch, version, hash, text } of entries) {
    const row =
      'insert into ripstop.session_log (tenant_id, session_id, epoch, version, hash, text) values ($1, $2, $3, $4, $5, $6)'
    await ground.mesh.query(row, [tenantId, sessionId, epoch, version, hash, text])
  }
}

// While it is drained, and nothing is kept in Redis that need not be: what is read comes from both.
testSessionStore('the Redis store, being drained', async () => {
  const { side, mesh, redis, ctx } = ground
  const other = await startSide(redis.url, { archive: { log: (ctx, query) => readLog(mesh.link, ctx, query) } })
  const drain = ground.drain({ keepMs: 0 })
  return {
    ctx,
    store: side.store,
    other: other.store,
    tenants: TENANTS,
    setEpoch: (epoch) => setEpoch(side, epoch),
    addEntries,
    [Symbol.asyncDispose]: async () => {
      await drain[Symbol.asyncDispose]()
      await other[Symbol.asyncDispose]()
    },
  }
})

describe('write-behind', () => {
  test('WB1: what Redis took is in Postgres, word for word: the log, and where sessions stand', async () => {
    const { side, ctx, mesh } = ground
    const running = await commit(await create(1), { status: 'running', deadlineMs: 5_000, entries: 3 })
    const paused = await commit(await commit(await create(2), { status: 'running', deadlineMs: 70 }), {
      status: 'paused',
      deadlineMs: undefined,
    })
    const over = await commit(await create(3, { status: 'running', deadlineMs: 60 }), { status: 'expired' })
    const before = await Promise.all(
      [running, paused, over].map((session) => side.store.log(ctx, { ...session, afterVersion: 0, limit: 100 })),
    )
    await using _ = ground.drain()
    await drained(ground)
    expect(await rowOf(1)).toMatchObject({
      ...{ epoch: 1, version: 4, head: running.head, status: 'running', deadline_ms: 5_000, due_ms: 5_000 },
      ...{ is_ended: false, is_deleted: false, body_version: 0 },
    })
    expect(await rowOf(2)).toMatchObject({ version: 3, head: paused.head, status: 'paused', deadline_ms: null })
    expect(await rowOf(3)).toMatchObject({ version: 2, status: 'expired', due_ms: null, is_ended: true })
    for (const [place, session] of [running, paused, over].entries()) {
      const log = await readLog(mesh.link, ctx, { ...session, afterVersion: 0, limit: 100 })
      expect(log).toEqual(before[place])
      expect(verifyChain(log)).toBe(session.head)
    }
  })

  test('WB1: what comes in pieces adds up: deadlines that move, sessions that end or are deleted', async () => {
    const { side, ctx } = ground
    await using _ = ground.drain()
    const first = await create(1, { status: 'running', deadlineMs: 900 })
    await create(2, { status: 'running', deadlineMs: 900 })
    await drained(ground)
    const later = await commit(first, { deadlineMs: 2_000 })
    await drained(ground)
    expect(await rowOf(1)).toMatchObject({ version: 2, deadline_ms: 2_000, due_ms: 900 })
    const sooner = await commit(later, { deadlineMs: 300 })
    await drained(ground)
    expect(await rowOf(1)).toMatchObject({ version: 3, deadline_ms: 300, due_ms: 300 })
    await commit(sooner, { status: 'completed', deadlineMs: undefined })
    await side.store.remove(ctx, refOf(2))
    await drained(ground)
    expect(await rowOf(1)).toMatchObject({ version: 4, due_ms: null, is_ended: true, is_deleted: false })
    expect(await rowOf(2)).toMatchObject({ version: 1, due_ms: null, is_deleted: true })
    // For those who follow the log.
    expect((await ground.rows()).filter(({ version }) => version === 0)).toMatchObject([{ session_id: idOf(2) }])
    await create(3)
    await side.store.remove(ctx, refOf(3))
    await drained(ground)
    expect(await rowOf(3)).toMatchObject({ is_deleted: true })
  })

  test('WB1: an event is published once, in order, also when the stream is read again', async () => {
    const { mesh } = ground
    const event = (n: number) => JSON.stringify({ type: 'session.timeout', data: { n, odd: '\0\ud800"\\u0000' } })
    let session = await create(1)
    for (let n = 0; n < 3; n++) session = await commit(session, { publish: event(n) })
    const published = async () =>
      (await mesh.query<{ n: number; tenant: string }>(
        `select (event->'data'->>'n')::int as n, tenant from ripstop.outbox order by outbox_id`,
      )) as readonly unknown[]
    {
      await using _ = ground.drain()
      await drained(ground)
    }
    await mesh.query(`update ripstop.session_cursors set last_id = '9999999999999-0'`)
    await using _ = ground.drain()
    await commit(session, { publish: event(3) })
    await until('it is published', async () => (await published()).length === 4)
    expect(await published()).toEqual([0, 1, 2, 3].map((n) => ({ n, tenant: TENANTS[0] })))
  })

  test('WB1: two that drain at the same time do it once between them', async () => {
    const owners = ['00000000-0000-7000-8000-0000000000aa', '00000000-0000-7000-8000-0000000000aa']
    // Of the same name: both hold the lease.
    const drains = owners.map((owner) => ground.drain({ owner }))
    const sessions = await Promise.all(Array.from({ length: 20 }, (_, number) => create(number + 1)))
    for (let round = 0; round < 20; round++) {
      for (const [place, session] of sessions.entries()) sessions[place] = await commit(session, { publish: '{"n":1}' })
    }
    await drained(ground)
    for (const each of drains) await each[Symbol.asyncDispose]()
    expect(await ground.rows()).toHaveLength(20 * 21)
    expect(await ground.mesh.query('select from ripstop.outbox')).toHaveLength(20 * 20)
    expect(ground.metric('sessions_forks_total')).toBe(0)
  })

  test('WB2: the same entry with another hash is kept apart, counted and told; what was there stays', async () => {
    const session = await create(1)
    const other = createNext(session, { note: 'of somebody else' })
    await addEntries(session, other.entries)
    const ours = await commit(session)
    const before = ground.metric('sessions_forks_total') ?? 0
    await using _ = ground.drain()
    await drained(ground)
    const rows = await ground.rows()
    expect(rows.map(({ hash }) => hash)).toEqual([session.head, other.to.head])
    expect(await ground.mesh.query('select version, kept_hash, other_hash from ripstop.session_forks')).toEqual([
      { version: 2, kept_hash: other.to.head, other_hash: ours.head },
    ])
    expect(ground.metric('sessions_forks_total')).toBe(before + 1)
    expect(ground.mesh.log.lines).toContainEqual(
      expect.objectContaining({ event: 'session.forked', sessionId: idOf(1), epoch: 1, version: 2 }),
    )
  })

  test('WB2: a fork within one stream is found, too', async () => {
    const { side, ctx } = ground
    const session = await create(1)
    const lost = createNext(session, { note: 'lost' })
    await side.store.commit(ctx, lost)
    // Redis went back to an earlier state, and the authority did not notice.
    await side.store.restore(ctx, session, lost.to)
    const kept = await commit(session, { note: 'kept' })
    await using _ = ground.drain()
    await drained(ground)
    expect(await ground.mesh.query('select kept_hash, other_hash from ripstop.session_forks')).toEqual([
      { kept_hash: lost.to.head, other_hash: kept.head },
    ])
  })

  test('WB3: what an earlier epoch left is written, and moves nothing', async () => {
    const { mesh } = ground
    const session = await create(1)
    const late = await commit(await commit(session), { entries: 2, status: 'expired' })
    const newer = createNext(session, { epoch: 2, status: 'running', deadlineMs: 4_000 })
    await addEntries(session, newer.entries)
    await mesh.query(
      `insert into ripstop.sessions (tenant_id, session_id, epoch, version, head, status, deadline_ms, due_ms, body, body_version)
       values ($1, $2, 2, 2, $3, 'running', 4000, 4000, 'b', 2)`,
      [session.tenantId, session.sessionId, newer.to.head],
    )
    await using _ = ground.drain()
    await drained(ground)
    expect(await rowOf(1)).toMatchObject({
      ...{ epoch: 2, version: 2, head: newer.to.head, status: 'running', deadline_ms: 4_000, due_ms: 4_000 },
      ...{ is_ended: false, body_version: 2 },
    })
    expect(await ground.rows()).toHaveLength(1 + 3 + 1)
    expect((await readLog(mesh.link, ground.ctx, { ...late, afterVersion: 0, limit: 9 })).map((e) => e.epoch)).toEqual([
      1, 2,
    ])
  })

  test('WB4: records that nobody can read hold up nothing, and are told', async () => {
    const { side, ctx } = ground
    const session = await create(1)
    const { log, added } = shardOf(session.sessionId)
    const odd = [
      ...['', 'nonsense', `${'x'.repeat(73)}{}`, `${session.tenantId}:${session.sessionId}{"entries":[{}]}`],
      ...['"version":9e9,"hash":"h"', '"version":9,"hash":"\\u0000"', '"version":9,"hash":"\\ud800"'].map(
        (said) =>
          `${session.tenantId}:${session.sessionId}{"status":"running","entries":[{"epoch":1,${said},"text":""}]}`,
      ),
    ]
    for (const record of odd) {
      const number = await side.link.call(ctx, (redis) => redis.incr(added))
      await side.link.call(ctx, (redis) => redis.xadd(log, '*', 'number', number, 'before', '', 'record', record))
    }
    await side.link.call(ctx, (redis) => redis.incr(added))
    await side.link.call(ctx, (redis) => redis.xadd(log, '*', 'x', 'y'))
    await commit(session)
    await using _ = ground.drain()
    await until('what comes after is drained', async () => (await rowOf(1))?.version === 2)
    const told = ground.mesh.log.lines.filter(({ event }) => event === 'session.record_unreadable')
    expect(told).toHaveLength(odd.length + 1)
  })

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
