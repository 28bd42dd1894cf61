import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { migrateTestDatabase, startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { type FeedNews, startAttemptFeed } from './attempt-feed.ts'
import { addAttempt, OTHER_TENANT, TENANT } from './reading.fixture.ts'

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(() => mesh.query('delete from ripstop.attempts'))

const id = () => createId(Date.now())
const start = (over = {}, on = mesh) => startAttemptFeed({ env: on.env, link: on.link, pollMs: 20, ...over })

function createListener(tenantId = TENANT, endpointId?: string, unread = 0) {
  const news: FeedNews[] = []
  const hear = (one: FeedNews) => {
    news.push(one)
    return unread
  }
  const ids = () => news.flatMap((one) => (one.type === 'attempt' ? [one.line.attemptId] : []))
  return { tenantId, endpointId, hear, news, ids }
}

describe('what listeners hear', () => {
  test('DR5: every attempt once, of their tenant and endpoint only, also one that commits late or in another order', async () => {
    await using feed = start()
    const [mine, of, theirs] = [createListener(), createListener(TENANT, id()), createListener(OTHER_TENANT)]
    for (const listener of [mine, of, theirs]) feed.listen(listener)
    const wanted: string[] = []
    // Ids of up to 4 s ago come after younger ones.
    for (const lateMs of [0, 4_000, 10, 3_000, 0, 2_000]) {
      const attemptId = createId(Date.now() - lateMs)
      wanted.push(await addAttempt(mesh, '1', { attemptId, endpointId: of.endpointId ?? '' }))
      await until('it is heard', () => of.ids().includes(attemptId))
    }
    const other = await addAttempt(mesh, '2', {})
    await addAttempt(mesh, '3', { tenantId: OTHER_TENANT })
    await until('the last are heard', () => mine.ids().includes(other) && theirs.ids().length === 1)
    expect(of.ids()).toEqual(wanted)
    expect(mine.ids()).toEqual([...wanted, other])
    expect(theirs.ids()).toHaveLength(1)
  })

  test('DR5: whoever comes later begins a few seconds back, once, and one that left hears no more', async () => {
    await using feed = start()
    const [early, late] = [createListener(), createListener()]
    const leave = feed.listen(early)
    const first = await addAttempt(mesh, '1', {})
    await until('the first hears it', () => early.ids().length === 1)
    feed.listen(late)
    expect(late.ids()).toEqual([first])
    leave()
    const second = await addAttempt(mesh, '1', {})
    await until('the second hears the next', () => late.ids().length === 2)
    expect([early.ids(), late.ids()]).toEqual([[first], [first, second]])
  })

  test('DR5: more than a look takes, and more than is remembered, still comes once and in order', async () => {
    await using feed = start({ seenMax: 700 })
    const listener = createListener()
    feed.listen(listener)
    await mesh.query(
      `insert into ripstop.attempts (attempt_id, delivery_id, tenant_id, kind, target_id, message_id, n, outcome, duration_ms)
       select (substr(ripstop.least_id_at(now())::text, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid, n, $1, 'webhook', $1, $1, 1, 'delivered', 1
       from generate_series(1, 3000) n`,
      [TENANT],
    )
    await until('all have come', () => listener.ids().length >= 3_000)
    const last = await addAttempt(mesh, '1', { attemptId: createId(Date.now() + 10) })
    await until('and the next', () => listener.ids().includes(last))
    expect(listener.ids()).toHaveLength(3_001)
    expect(new Set(listener.ids()).size).toBe(3_001)
    expect(listener.ids()).toEqual([...listener.ids()].sort())
  })

  test('DR5: what happens while the database is away comes when it is back', { timeout: 60_000 }, async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using own = await startTestMesh(cluster.url)
    // The feed looks again only when the row is there: it was made long before, by a process that could not write it.
    let mayLook = Promise.resolve()
    const link = {
      call: async (...given: Parameters<typeof own.link.call>) => mayLook.then(() => own.link.call(...given)),
    }
    await using feed = start({ overlapMs: 200, link: link as typeof own.link }, own)
    const listener = createListener()
    feed.listen(listener)
    const first = await addAttempt(own, '1', {})
    await until('it hears', () => listener.ids().length === 1)
    await cluster.kill('SIGKILL')
    await until('it is told', () => listener.news.some(({ type }) => type === 'interrupted'))
    const attemptId = id()
    const looking = Promise.withResolvers<void>()
    mayLook = looking.promise
    await cluster.restart()
    await own.link.whenUp(own.ctx.within(20_000))
    await until(
      'it is older than the overlap',
      () => Date.now() - Number.parseInt(attemptId.replace('-', '').slice(0, 12), 16) > 300,
    )
    await addAttempt(own, '1', { attemptId })
    looking.resolve()
    await until('it hears again', () => listener.ids().length === 2, 20_000)
    expect(listener.ids()).toEqual([first, attemptId])
    expect(listener.news.filter(({ type }) => type === 'interrupted')).toHaveLength(1)
  })
})

describe('bounds', () => {
  test('DR6: so many listeners of a tenant and in all, and no more', async () => {
    await using feed = start()
    const leave: (() => void)[] = []
    const join = (tenantId: string) => {
      feed.checkRoom(tenantId)
      leave.push(feed.listen(createListener(tenantId)))
    }
    for (let index = 0; index < 16; index++) join(TENANT)
    expect(() => join(TENANT)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }))
    for (let tenant = 1; tenant < 4; tenant++)
      for (let index = 0; index < 16; index++) join(`${OTHER_TENANT.slice(0, -1)}${tenant}`)
    expect(feed.listeners()).toBe(64)
    expect(() => join(OTHER_TENANT)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }))
    leave[0]?.()
    join(TENANT)
  })

  test('DR7: one that does not read is told and ended, and the others hear everything', async () => {
    await using feed = start()
    const [slow, quick] = [createListener(TENANT, undefined, 200_000), createListener()]
    for (const listener of [slow, quick]) feed.listen(listener)
    for (let index = 0; index < 3; index++) await addAttempt(mesh, '1', {})
    await until('the quick one has all', () => quick.ids().length === 3)
    expect(slow.news.map(({ type }) => type)).toEqual(['attempt', 'bye'])
    expect(feed.listeners()).toBe(1)
  })
})
