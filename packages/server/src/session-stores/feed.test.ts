import type { Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { migrateTestDatabase, startTestMesh } from '../testing/mesh.ts'
import { startTestCluster } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { follow } from './conformance-watch.fixture.ts'
import { createFirst, createNext, idOf } from './conformance-writing.fixture.ts'
import { startTestData, TENANTS, type TestData } from './postgres.fixture.ts'
import { startPostgresStore } from './postgres-store.ts'
import type { FeedMessage, SessionStore, StoredSession } from './store.ts'

const REF = { tenantId: TENANTS[0], sessionId: idOf(1) }
let data: TestData

beforeAll(async () => {
  data = await startTestData()
})
afterAll(() => data[Symbol.asyncDispose]())
beforeEach(() => data.clear())

const kinds = (heard: readonly FeedMessage[]): string[] => heard.map(({ kind }) => kind)

async function created(store: SessionStore, ref = REF): Promise<StoredSession> {
  const { session, first } = createFirst(ref)
  expect(await store.create(data.mesh.ctx, session, first)).toEqual({ kind: 'created' })
  return session
}

test('SP2: commits of its own are heard before they are acknowledged, and once', async () => {
  await using store = startPostgresStore(data.mesh)
  const { ctx } = data.mesh
  const session = await created(store)
  const heard: FeedMessage[] = []
  using _ = store.watch(REF, (message) => heard.push(message))
  await until('it follows', () => heard.length > 0)
  let current = session
  for (let turn = 0; turn < 5; turn++) {
    const commit = createNext(current)
    await store.commit(ctx, commit)
    expect(heard.at(-1)).toEqual({ kind: 'entries', ref: REF, from: commit.from, entries: commit.entries })
    current = commit.to
  }
  await store.remove(ctx, REF)
  expect(heard.at(-1)).toEqual({ kind: 'deleted', ref: REF })
  // By now the log has told of them, too.
  await using other = startPostgresStore(data.mesh)
  const another = await created(other, { ...REF, sessionId: idOf(2) })
  using watch = follow(store, ctx, another)
  const commit = createNext(another)
  await other.commit(ctx, commit)
  await until('another commit is heard through the log', () => watch.place.version === 2)
  expect(kinds(heard)).toEqual(['gap', 'entries', 'entries', 'entries', 'entries', 'entries', 'deleted'])
})

test('SP2: what commits late is heard, however much was begun and heard after it', async () => {
  await using store = startPostgresStore(data.mesh)
  const { ctx } = data.mesh
  const late = await created(store)
  const early = await created(store, { ...REF, sessionId: idOf(2) })
  await using slow = await data.connect()
  const [commit] = [createNext(late)]
  const [entry] = commit.entries
  await slow.query('begin')
  const insert =
    'insert into ripstop.session_log (tenant_id, session_id, epoch, version, hash, text) values ($1, $2, 1, 2, $3, $4)'
  await slow.query(insert, [REF.tenantId, REF.sessionId, entry?.hash, entry?.text])
  const heard: FeedMessage[] = []
  using _ = store.watch(REF, (message) => heard.push(message))
  await using other = startPostgresStore(data.mesh)
  using quick = follow(store, ctx, early)
  let current = early
  for (let turn = 0; turn < 3; turn++) {
    const next = createNext(current)
    await other.commit(ctx, next)
    current = next.to
    await until('later commits are heard', () => quick.place.version === next.to.version)
  }
  await until('they are heard through the log', () => kinds(quick.heard).includes('entries'))
  expect(kinds(heard)).toEqual(['gap'])
  await slow.query('commit')
  await until('the late one is heard', () => heard.length === 2)
  expect(heard[1]).toEqual({ kind: 'entries', ref: REF, from: { epoch: 1, version: 1 }, entries: commit.entries })
})

test('SP2: with very many watched all are heard; more commits at once than can be read are a gap for all', async () => {
  await using store = startPostgresStore(data.mesh)
  await using other = startPostgresStore(data.mesh)
  const { ctx } = data.mesh
  const session = await created(store)
  const heard: FeedMessage[] = []
  await using watches = new AsyncDisposableStack()
  for (let number = 0; number < 600; number++) {
    watches.use(store.watch({ ...REF, sessionId: idOf(5_000 + number) }, (message) => heard.push(message)))
  }
  using watch = follow(store, ctx, session)
  await until('it follows', () => heard.length >= 600)
  const commit = createNext(session)
  await other.commit(ctx, commit)
  await until('it is heard', () => watch.place.version === 2)
  expect(kinds(watch.heard).at(-1)).toBe('entries')
  heard.length = 0
  await data.mesh.query(
    `insert into ripstop.session_log (tenant_id, session_id, epoch, version, hash, text)
     select $1, $1, 1, version, '', '' from generate_series(1, 5001) as version`,
    [idOf(7)],
  )
  await until('all are told of a gap', () => heard.length === 600)
  expect(new Set(kinds(heard))).toEqual(new Set(['gap']))
})

test('SP2: whoever comes while a poll is under way that did not ask for its session misses nothing', async () => {
  const { ctx, link } = data.mesh
  let gate: PromiseWithResolvers<void> | undefined
  let held = 0
  const call: typeof link.call = (ctx, use, options) =>
    link.call(
      ctx,
      async (pool, ctx) => {
        if (gate !== undefined) held++
        await gate?.promise
        return use(pool, ctx)
      },
      options,
    )
  await using store = startPostgresStore({ ...data.mesh, link: { call } as Link<PostgresPool> })
  await using other = startPostgresStore(data.mesh)
  const first = await created(other)
  const second = await created(other, { ...REF, sessionId: idOf(2) })
  using watch = follow(store, ctx, first)
  await until('it follows', () => watch.heard.length > 0)
  gate = Promise.withResolvers()
  await until('a poll is on its way', () => held > 0)
  const heard: FeedMessage[] = []
  using _ = store.watch(second, (message) => heard.push(message))
  await other.commit(ctx, createNext(second))
  gate.resolve()
  gate = undefined
  await until('it is told', () => heard.length > 0)
})

test('it asks nothing while nobody watches', async () => {
  const asked = { first: 0, second: 0 }
  const { link } = data.mesh
  const counting = (name: keyof typeof asked): Link<PostgresPool> => {
    const call: typeof link.call = (ctx, use, options) => {
      asked[name]++
      return link.call(ctx, use, options)
    }
    return { call } as Link<PostgresPool>
  }
  await using store = startPostgresStore({ ...data.mesh, link: counting('first') })
  await using other = startPostgresStore({ ...data.mesh, link: counting('second') })
  const session = await created(store)
  const watch = follow(store, data.mesh.ctx, session)
  await until('it asks', () => asked.first > 10)
  watch[Symbol.dispose]()
  const stopped = asked.first
  const begun = asked.second
  using _ = follow(other, data.mesh.ctx, session)
  await until('another one asks', () => asked.second > begun + 10)
  expect(asked.first - stopped).toBeLessThanOrEqual(1)
  using again = follow(store, data.mesh.ctx, session)
  await until('it follows again, and says that something may have been missed', () => kinds(again.heard)[0] === 'gap')
})

test('SP2: whoever watches over an outage of Postgres is told of a gap when it is back, and hears on', {
  timeout: 60_000,
}, async () => {
  await using cluster = await startTestCluster()
  await migrateTestDatabase(cluster.url)
  await using mesh = await startTestMesh(cluster.url)
  await mesh.query(
    `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values (1, 'postgres', 0, 0, 'test')`,
  )
  await using store = startPostgresStore(mesh)
  await using other = startPostgresStore(mesh)
  const { session, first } = createFirst(REF)
  await store.create(mesh.ctx, session, first)
  using watch = follow(store, mesh.ctx, session)
  await until('it follows', () => watch.heard.length > 0)
  await cluster.kill('SIGKILL')
  await until('it is noticed', () => mesh.log.lines.some(({ event }) => event === 'sessions.feed_failed'))
  expect(kinds(watch.heard)).toEqual(['gap'])
  await cluster.restart()
  await until('a gap is told', () => watch.heard.length === 2)
  const commit = createNext(session)
  await until('it is committed', async () => {
    const result = await other.commit(mesh.ctx, commit).catch(() => undefined)
    return result !== undefined
  })
  await until('it is heard', () => watch.place.version === 2)
  expect(kinds(watch.heard)).toEqual(['gap', 'gap', 'entries'])
})
