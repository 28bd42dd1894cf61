import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { testSessionStore } from './conformance.fixture.ts'
import { createFirst, createNext, idOf, verifyChain, wholeLog } from './conformance-writing.fixture.ts'
import { playChess } from './game.fixture.ts'
import { startTestData, TENANTS, type TestData } from './postgres.fixture.ts'
import { startPostgresStore } from './postgres-store.ts'
import type { Commit, Committed, SessionStore, StoredSession } from './store.ts'

let data: TestData
let store: SessionStore & AsyncDisposable

beforeAll(async () => {
  data = await startTestData()
  store = startPostgresStore(data.mesh)
})

afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await data[Symbol.asyncDispose]()
})

beforeEach(() => data.clear())

testSessionStore('the Postgres store', async () => {
  await using starting = new AsyncDisposableStack()
  const own = starting.use(startPostgresStore(data.mesh))
  const other = starting.use(startPostgresStore(data.mesh))
  const owned = starting.move()
  const { addEntries, beginEpoch, mesh } = data
  return {
    ctx: mesh.ctx,
    store: own,
    other,
    tenants: TENANTS,
    setEpoch: beginEpoch,
    addEntries,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
})

const REF = { tenantId: TENANTS[0], sessionId: idOf(1) }

async function created(as: Partial<StoredSession> = {}): Promise<StoredSession> {
  const { session, first } = createFirst(REF, as)
  expect(await store.create(data.mesh.ctx, session, first)).toEqual({ kind: 'created' })
  return session
}

const commit = (wanted: Commit): Promise<Committed> => store.commit(data.mesh.ctx, wanted)
const waiting = async (what: string): Promise<number> => {
  const text = `select count(*)::int as count from pg_stat_activity where wait_event_type = 'Lock' and query like $1 and datname = current_database()`
  return (await data.mesh.query<{ count: number }>(text, [`%${what}%`]))[0]?.count ?? 0
}

describe('epochs', () => {
  test('SP1, SS3: an epoch does not begin before a commit of the one before is through', async () => {
    const session = await created()
    await using blocking = await data.connect()
    await blocking.query('begin')
    await blocking.query('select from ripstop.sessions for update')
    const committing = commit(createNext(session))
    await until('the commit waits for the row', async () => (await waiting('hold_session_epoch')) === 1)
    const beginning = data.beginEpoch(2)
    await until('the epoch waits for the commit', async () => (await waiting('into ripstop.session_epochs')) === 1)
    await blocking.query('rollback')
    expect(await committing).toEqual({ kind: 'committed' })
    await beginning
    expect((await store.load(data.mesh.ctx, session))?.version).toBe(2)
    expect(await commit(createNext(session, { epoch: 1 }))).toEqual({ kind: 'fenced' })
  })

  test('SP1, SS3: a commit or a creation that was begun before an epoch, and waits for it, is of the past', async () => {
    const session = await created()
    const late = createFirst({ ...REF, sessionId: idOf(2) })
    await using blocking = await data.connect()
    await blocking.query('begin')
    await blocking.query(
      `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values (2, 'postgres', 0, 0, 'test')`,
    )
    const results = Promise.all([commit(createNext(session)), store.create(data.mesh.ctx, late.session, late.first)])
    await until('both wait', async () => (await waiting('hold_session_epoch')) === 2)
    await blocking.query('commit')
    expect(await results).toEqual([{ kind: 'fenced' }, { kind: 'fenced' }])
    expect(await store.load(data.mesh.ctx, session)).toEqual(session)
    expect(await store.load(data.mesh.ctx, late.session)).toBeUndefined()
  })

  test('SP1, SS3: in an epoch in which Redis has the authority nothing is committed here', async () => {
    const session = await created()
    await data.mesh.query(
      `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values (2, 'redis', 0, 0, 'test')`,
    )
    expect(await commit(createNext(session, { epoch: 2 }))).toEqual({ kind: 'fenced' })
  })
})

describe('commits', () => {
  test('SP3: events are published with the commit, in order, for its tenant; a refused one publishes nothing', async () => {
    const session = await created()
    const event = (type: string): string => JSON.stringify({ type, data: { odd: `'"\\ ${type}` } })
    const wanted = createNext(session, { publish: event('a.b') })
    const both = { ...wanted, entries: [...wanted.entries.map((entry) => ({ ...entry, publish: event('c') }))] }
    expect(await commit(both)).toEqual({ kind: 'committed' })
    expect((await commit(createNext(session, { publish: event('never') }))).kind).toBe('conflict')
    const next = createNext(wanted.to, { entries: 2, publish: event('d') })
    expect(
      await commit({
        ...next,
        entries: next.entries.map((entry) => ({ ...entry, publish: event(`d${entry.version}`) })),
      }),
    ).toEqual({
      kind: 'committed',
    })
    const rows = await data.mesh.query('select tenant, event from ripstop.outbox order by outbox_id')
    expect(rows).toEqual(
      ['c', 'd3', 'd4'].map((type) => ({ tenant: REF.tenantId, event: JSON.parse(event(type)) as unknown })),
    )
  })

  test('SP3: what can not be published is not committed either', async () => {
    const session = await created()
    await expect(commit(createNext(session, { publish: 'no JSON' }))).rejects.toThrow('json')
    expect(await store.load(data.mesh.ctx, session)).toEqual(session)
  })

  test('SS2: a session that is being written holds up no claim of others, and is due when that is over', async () => {
    const due = { status: 'running', deadlineMs: 10 } as const
    await created(due)
    const other = createFirst({ ...REF, sessionId: idOf(2) }, due)
    await store.create(data.mesh.ctx, other.session, other.first)
    const claim = (nowMs: number) => store.claimDue(data.mesh.ctx.within(5_000), { nowMs, leaseMs: 100, limit: 10 })
    await using blocking = await data.connect()
    await blocking.query('begin')
    await blocking.query('select from ripstop.sessions where session_id = $1 for update', [idOf(1)])
    expect((await claim(20)).map(({ sessionId }) => sessionId)).toEqual([idOf(2)])
    await blocking.query('rollback')
    expect((await claim(20)).map(({ sessionId }) => sessionId)).toEqual([idOf(1)])
  })

  test('most commits of a running session touch no index', async () => {
    const updates = async () => {
      const text = `
        select n_tup_upd::int as every, n_tup_hot_upd::int as hot from pg_stat_user_tables where relname = 'sessions'`
      return (await data.mesh.query<{ every: number; hot: number }>(text))[0] ?? { every: 0, hot: 0 }
    }
    const before = await updates()
    let current = await created({ status: 'running', deadlineMs: 1_000 })
    for (let turn = 1; turn <= 200; turn++) {
      const next = createNext(current, { deadlineMs: 1_000 + turn, operationId: `${turn}` })
      expect(await commit(next)).toEqual({ kind: 'committed' })
      current = next.to
    }
    const after = await until('statistics have come', async () => {
      const now = await updates()
      return now.every >= before.every + 200 && now
    })
    expect(after.hot - before.hot).toBeGreaterThan(180)
  })
})

describe('sessions that were drained from Redis', () => {
  const game = playChess(REF, 300)
  const at = (version: number): StoredSession => game.sessions[version - 1] as StoredSession
  const drainTo = (version: number, from = 0, body?: StoredSession) =>
    data.drain(at(version), game.entries.slice(from, version), body)
  const bodyVersion = async () =>
    (await data.mesh.query<{ at: number }>('select body_version as at from ripstop.sessions'))[0]?.at

  test('SB2, SS2: are loaded as they stand, with no body, one of the past, and one that is whole', async () => {
    await drainTo(1)
    expect(await store.load(data.mesh.ctx, REF)).toEqual(at(1))
    await drainTo(100, 1)
    expect(await store.load(data.mesh.ctx, REF)).toEqual(at(100))
    expect(await bodyVersion()).toBe(0)
    await data.clear()
    await drainTo(200, 0, at(77))
    expect(await store.load(data.mesh.ctx, REF)).toEqual(at(200))
    await data.clear()
    await drainTo(90, 0, at(90))
    expect(await store.load(data.mesh.ctx, REF)).toEqual(at(90))
  })

  test('SB2: a body that is far behind is written anew by who loads it; then the rest is folded onto that', async () => {
    await drainTo(256, 0, at(1))
    expect(await store.load(data.mesh.ctx, REF)).toEqual(at(256))
    expect(await bodyVersion()).toBe(1)
    await drainTo(257, 256)
    expect(await store.load(data.mesh.ctx, REF)).toEqual(at(257))
    expect(await bodyVersion()).toBe(257)
    await drainTo(270, 257)
    expect(await store.load(data.mesh.ctx, REF)).toEqual(at(270))
    expect(await store.findOperation(data.mesh.ctx, REF, 'operation 265')).toBe(265)
    expect(await store.findOperation(data.mesh.ctx, REF, 'operation 200')).toBeUndefined()
    expect(await store.findOperation(data.mesh.ctx, REF, 'operation 271')).toBeUndefined()
  })

  test('SS1, SS4: commits go on from where they stand, and what was done in Redis is not done again', async () => {
    await drainTo(40)
    expect(await commit(createNext(at(39)))).toEqual({ kind: 'conflict', current: at(40) })
    const again = createNext(at(40), { operationId: 'operation 7' })
    expect(await commit(again)).toEqual({ kind: 'repeated', version: 7 })
    const next = createNext(at(40), { operationId: 'a new one' })
    expect(await commit(next)).toEqual({ kind: 'committed' })
    expect(await commit(createNext(next.to, { operationId: 'operation 40' }))).toEqual({
      kind: 'repeated',
      version: 40,
    })
    expect(await store.load(data.mesh.ctx, REF)).toEqual(next.to)
    expect(verifyChain(await wholeLog(store, data.mesh.ctx, REF))).toBe(next.to.head)
  })

  test('SB3: what does not lead to the head is not taken for the session', async () => {
    await drainTo(20)
    await data.mesh.query('delete from ripstop.session_log where version = 12')
    await expect(store.load(data.mesh.ctx, REF)).rejects.toMatchObject({ code: 'INTERNAL' })
    await data.addEntries(REF, [game.entries[11] as never])
    await data.mesh.query('update ripstop.sessions set head = $1', [at(19).head])
    await expect(store.load(data.mesh.ctx, REF)).rejects.toMatchObject({ code: 'INTERNAL' })
  })
})
