import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { readLog } from './body-store.ts'
import { testSessionStore } from './conformance.fixture.ts'
import { createFirst, createNext, idOf, type NextOptions, verifyChain } from './conformance-writing.fixture.ts'
import { drain, NO_MARK, readCursors } from './drain-store.ts'
import { setEpoch, startSide } from './redis.fixture.ts'
import { shardOf } from './redis-keys.ts'
import type { StoredSession } from './store.ts'
import {
  addEntries,
  commitIn,
  createIn,
  drained,
  readSessionRow,
  refOf,
  startGround,
  TENANTS,
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
    addEntries: (ref, entries) => addEntries(ground, ref, entries),
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

  test('WB1: a batch that was not read from where all cursors are does nothing, not even for the others', async () => {
    const { ctx, mesh } = ground
    const { link } = mesh
    const { session, first } = createFirst(refOf(1))
    const { epoch, version, hash, text, publish } = first
    const batch = (froms: readonly [string, string][]) => ({
      moves: froms.map(([id, hash], shard) => ({ shard, from: { id, hash }, to: { id: '1-1', hash: 'first' } })),
      entries: [{ ...refOf(1), epoch, version, hash, text, publish }],
      places: [{ ...session, shard: 0, deadlineMs: null, isEnded: false, isCreated: true, isDeleted: false }],
    })
    await readCursors(link, ctx, [0, 1])
    for (const stale of [
      ['1-1', ''],
      ['', 'first'],
      ['0-9', 'other'],
    ] as const) {
      expect(await drain(link, ctx, batch([['', ''], [...stale]]))).toMatchObject({ isDone: false, forks: [] })
    }
    expect([await ground.rows(), await rowOf(1)]).toEqual([[], undefined])
    const cursors = async () => [...(await readCursors(link, ctx, [0, 1])).values()]
    expect(await cursors()).toEqual([NO_MARK, NO_MARK])
    const current = batch([
      ['', ''],
      ['', ''],
    ])
    expect(await drain(link, ctx, current)).toMatchObject({ isDone: true, forks: [] })
    expect(await drain(link, ctx, current)).toMatchObject({ isDone: false, forks: [] })
    expect(await ground.rows()).toHaveLength(1)
    expect(await cursors()).toEqual([
      { id: '1-1', hash: 'first' },
      { id: '1-1', hash: 'first' },
    ])
  })

  test('WB2: the same entry with another hash is kept apart, counted and told; what was there stays', async () => {
    const session = await create(1)
    const other = createNext(session, { note: 'of somebody else' })
    await addEntries(ground, session, other.entries)
    const ours = await commit(session, { publish: '{"type":"x"}' })
    const before = ground.metric('sessions_forks_total') ?? 0
    await using _ = ground.drain()
    await drained(ground)
    const rows = await ground.rows()
    expect(rows.map(({ hash }) => hash)).toEqual([session.head, other.to.head])
    expect(await ground.mesh.query('select version, kept_hash, other_hash from ripstop.session_forks')).toEqual([
      { version: 2, kept_hash: other.to.head, other_hash: ours.head },
    ])
    expect(await ground.mesh.query('select from ripstop.outbox')).toEqual([])
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
    await addEntries(ground, session, newer.entries)
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
})
