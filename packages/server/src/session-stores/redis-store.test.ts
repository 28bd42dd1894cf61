import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { startTestRedis, type TestRedis } from '../testing/redis.ts'
import { testSessionStore } from './conformance.fixture.ts'
import { createFirst, createNext, idOf } from './conformance-writing.fixture.ts'
import { encodeOperation } from './operations.ts'
import { emptyRedis, setEpoch, startSide, type TestSide } from './redis.fixture.ts'
import { memberOf, SHARD_KEYS, SHARDS, sessionKeyOf, shardOf } from './redis-keys.ts'
import { ENDED_TTL_MS } from './redis-store.ts'
import { OPERATIONS_KEPT, type SessionRef, type StoredSession } from './store.ts'

let redis: TestRedis
let near: TestSide
let far: TestSide

beforeAll(async () => {
  redis = await startTestRedis()
  near = await startSide(redis.url)
  far = await startSide(redis.url)
})

afterAll(async () => {
  await far[Symbol.asyncDispose]()
  await near[Symbol.asyncDispose]()
  await redis[Symbol.asyncDispose]()
})

testSessionStore('the Redis store', async () => {
  await emptyRedis(near)
  return {
    ctx: near.ctx,
    store: near.store,
    other: far.store,
    tenants: [idOf(101), idOf(102)],
    setEpoch: (epoch) => setEpoch(near, epoch),
    addEntries: undefined,
    [Symbol.asyncDispose]: async () => {},
  }
})

const refOf = (number: number): SessionRef => ({ tenantId: idOf(101), sessionId: idOf(number) })

async function create(number: number, as: Partial<StoredSession> = {}, by = near): Promise<StoredSession> {
  const { session, first } = createFirst(refOf(number), as)
  expect(await by.store.create(by.ctx, session, first)).toEqual({ kind: 'created' })
  return session
}

async function commit(from: StoredSession, options: Parameters<typeof createNext>[1] = {}, by = near) {
  const next = createNext(from, options)
  expect(await by.store.commit(by.ctx, next)).toEqual({ kind: 'committed' })
  return next.to
}

const ttlOf = (session: SessionRef): Promise<number> =>
  near.link.call(near.ctx, (client) => client.pttl(sessionKeyOf(shardOf(session.sessionId), memberOf(session))))

describe('the Redis store', () => {
  test('SR1: every key carries the tag of its shard, and sessions spread over all shards', async () => {
    await emptyRedis(near)
    for (let number = 1; number <= 200; number++) {
      const session = await create(number, { status: 'running', deadlineMs: 5 })
      if (number % 3 === 0) await near.store.remove(near.ctx, session)
      else await commit(session, { operationId: 'x' })
    }
    const keys = await near.link.call(near.ctx, (client) => client.keys('*'))
    const tags = keys.map((key) => /^ripstop:(\{s\d+\}):/.exec(key)?.[1])
    expect(new Set(tags)).toEqual(new Set(SHARD_KEYS.map(({ shard }) => `{s${shard}}`)))
    for (const keys of SHARD_KEYS) {
      for (const key of Object.values(keys)) if (typeof key === 'string') expect(key).toContain(`{s${keys.shard}}:`)
    }
    // What is there cannot move: the hash is written down.
    expect([idOf(1), idOf(2), idOf(77)].map((id) => shardOf(id).shard)).toEqual([14, 11, 9])
    expect(SHARDS).toBe(16)
  })

  test('SR2, SR3: a server whose scripts were flushed takes what comes, and refused commits write nothing at all', async () => {
    await emptyRedis(near)
    await near.link.call(near.ctx, (client) => client.script('FLUSH'))
    const session = await create(1, { status: 'running', deadlineMs: 9 })
    await near.link.call(near.ctx, (client) => client.script('FLUSH'))
    await commit(session)
    const dump = async () => {
      const keys = (await near.link.call(near.ctx, (client) => client.keys('*'))).toSorted()
      return near.link.call(near.ctx, (client) => Promise.all(keys.map((key) => client.dumpBuffer(key))))
    }
    const before = await dump()
    const next = createNext(session, { operationId: 'late', deadlineMs: 1 })
    expect((await near.store.commit(near.ctx, next)).kind).toBe('conflict')
    expect((await near.store.commit(near.ctx, createNext(session, { epoch: 2 }))).kind).toBe('fenced')
    expect((await near.store.commit(near.ctx, { ...next, to: { ...next.to, sessionId: idOf(9) } })).kind).toBe(
      'missing',
    )
    expect(await dump()).toEqual(before)
  })

  test('SR4: what has not ended lives for ever; what has, at least until it is drained; a name that was used stays taken', async () => {
    await emptyRedis(near)
    const running = await commit(await create(1), { status: 'running' })
    const paused = await commit(running, { status: 'paused' })
    expect(await ttlOf(paused)).toBe(-1)
    const ended = await commit(await create(2), { status: 'completed' })
    expect(await ttlOf(ended)).toBeGreaterThan(100 * ENDED_TTL_MS)
    await near.store.remove(near.ctx, paused)
    expect(await ttlOf(paused)).toBeGreaterThan(100 * ENDED_TTL_MS)
    expect(await near.store.find(near.ctx, refOf(1))).toEqual({ kind: 'deleted' })
    expect(await near.store.find(near.ctx, refOf(2))).toEqual({ kind: 'there', session: ended })
    expect(await near.store.find(near.ctx, refOf(3))).toEqual({ kind: 'absent' })
  })

  test('SR6: at the bound of what is not drained nothing is created, and what there is goes on', async () => {
    await emptyRedis(near)
    await using side = await startSide(redis.url, { backlogMax: 3 })
    const first = await create(1, {}, side)
    const session = await commit(await commit(first, {}, side), {}, side)
    expect(await side.store.backlog(side.ctx)).toBe(3)
    const next = createFirst(refOf(2))
    await until('it is refused', async () => {
      const refused = await side.store.create(side.ctx, next.session, next.first).catch((error: unknown) => error)
      if (refused instanceof Error) expect(refused).toMatchObject({ code: 'BACKLOG_FULL', sent: 'no' })
      else await side.store.remove(side.ctx, next.session)
      return refused instanceof Error
    })
    await commit(session, {}, side)
    // As the write-behind does it.
    const { drained, added } = shardOf(idOf(1))
    await side.link.call(side.ctx, async (client) => client.set(drained, `1-1 ${await client.get(added)}`))
    const again = createFirst(refOf(3))
    await until('it is taken', () =>
      side.store.create(side.ctx, again.session, again.first).then(
        ({ kind }) => kind === 'created',
        () => false,
      ),
    )
  })

  test('SR7: restoring replaces what the caller compared with or nothing, brings operations and deadline, and writes no log', async () => {
    await emptyRedis(near)
    const { session } = createFirst(refOf(1), { epoch: 3, version: 40, status: 'running', deadlineMs: 700 })
    const operations = Buffer.concat(
      Array.from({ length: OPERATIONS_KEPT }, (_, n) => encodeOperation(`op ${n}`, n + 1)),
    )
    expect(await near.store.restore(near.ctx, session, { epoch: 1, version: 1 })).toBe(false)
    expect(await near.store.restore(near.ctx, session, undefined, operations)).toBe(true)
    expect(await near.store.restore(near.ctx, session, undefined)).toBe(false)
    expect(await far.store.load(far.ctx, refOf(1))).toEqual(session)
    expect(await far.store.findOperation(far.ctx, refOf(1), 'op 0')).toBe(1)
    expect(await near.store.claimDue(near.ctx, { nowMs: 700, leaseMs: 10, limit: 5 })).toHaveLength(1)
    expect(await near.store.backlog(near.ctx)).toBe(0)
    await setEpoch(near, 4)
    const next = await commit(session, { epoch: 4, operationId: 'next', deadlineMs: undefined })
    expect(await near.store.findOperation(near.ctx, refOf(1), 'op 0')).toBeUndefined()
    expect(await near.store.findOperation(near.ctx, refOf(1), 'op 1')).toBe(2)
    expect(await near.store.log(near.ctx, { ...next, afterVersion: 0, limit: 10 })).toHaveLength(1)
    // A later one, in its place; its log is elsewhere.
    const later = { ...next, epoch: 5, version: 50 }
    expect(await near.store.restore(near.ctx, later, session)).toBe(false)
    expect(await near.store.restore(near.ctx, later, next)).toBe(true)
    expect(await near.store.findOperation(near.ctx, refOf(1), 'next')).toBeUndefined()
    expect(await near.store.log(near.ctx, { ...next, afterVersion: 0, limit: 10 })).toEqual([])
    expect(await near.store.restore(near.ctx, { ...later, status: 'expired' }, later)).toBe(true)
    expect(await ttlOf(session)).toBeLessThanOrEqual(ENDED_TTL_MS)
    await near.store.remove(near.ctx, session)
    expect(await near.store.restore(near.ctx, session, undefined)).toBe(false)
  })

  test('SR8, SS3: a Redis that was killed has what it acknowledged, and takes nothing before an epoch is begun for it', {
    timeout: 60_000,
  }, async () => {
    await using durable = await startTestRedis({ settings: { appendonly: 'yes', appendfsync: 'everysec' } })
    await using side = await startSide(durable.url)
    await setEpoch(side, 1)
    const sessions = new Map<number, StoredSession>()
    let acknowledged = 0
    const write = async (writer: number): Promise<void> => {
      let session = await create(writer, {}, side)
      for (;;) {
        sessions.set(writer, session)
        const next = createNext(session, { operationId: `${session.version}` })
        const result = await side.store.commit(side.ctx, next).catch(() => undefined)
        if (result === undefined) return
        expect(result).toEqual({ kind: 'committed' })
        session = next.to
        acknowledged++
      }
    }
    const writing = Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(write))
    await until('much is acknowledged', () => acknowledged > 500)
    await durable.kill('SIGKILL')
    await writing
    await durable.restart()
    await until('it is back', () => side.link.state === 'up')
    for (const session of sessions.values()) {
      const kept = (await side.store.load(side.ctx, session)) as StoredSession
      // What was under way may be there, too.
      expect([session.version, session.version + 1]).toContain(kept.version)
      if (kept.version === session.version) expect(kept).toEqual(session)
      expect(await side.store.log(side.ctx, { ...kept, afterVersion: 0, limit: 10_000 })).toHaveLength(kept.version)
      expect(await side.store.commit(side.ctx, createNext(kept))).toEqual({ kind: 'fenced' })
    }
    const late = createFirst(refOf(99))
    expect(await side.store.create(side.ctx, late.session, late.first)).toEqual({ kind: 'fenced' })
    await setEpoch(side, 1) // by somebody who has not noticed
    const kept = (await side.store.load(side.ctx, refOf(1))) as StoredSession
    expect(await side.store.commit(side.ctx, createNext(kept))).toEqual({ kind: 'fenced' })
    await setEpoch(side, 2)
    await commit(kept, { epoch: 2 }, side)
  })
})
