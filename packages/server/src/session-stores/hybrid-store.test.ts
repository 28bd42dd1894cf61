import { RipstopError } from '@ripstop/kernel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestMesh } from '../testing/mesh.ts'
import { until } from '../testing/processes.ts'
import { testSessionStore } from './conformance.fixture.ts'
import { createNext } from './conformance-writing.fixture.ts'
import { whichIsAhead } from './copies.ts'
import { begun, placeOf, played, refOf, startHybrid, type TestHybrid } from './hybrid.fixture.ts'
import { createHybridStore } from './hybrid-store.ts'
import { setEpoch as setRedisEpoch } from './redis.fixture.ts'
import { memberOf, sessionKeyOf, shardOf } from './redis-keys.ts'
import type { FeedMessage, StoredSession } from './store.ts'
import { drained, startGround, TENANTS, type TestGround } from './write-behind.fixture.ts'

let ground: TestGround
let hybrid: TestHybrid

beforeAll(async () => {
  ground = await startGround()
})
afterAll(() => ground[Symbol.asyncDispose]())

for (const mode of ['redis', 'postgres'] as const) {
  testSessionStore(`the hybrid store under ${mode}`, async () => {
    const opened = await startHybrid(ground)
    const { authority } = opened
    // The suite counts epochs from 1.
    await ground.mesh.query('delete from ripstop.session_epochs')
    const given = { ...authority, term: () => ({ epoch, mode }) }
    let epoch = 0
    const setEpoch = async (next: number): Promise<void> => {
      await ground.mesh.query(
        `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values ($1, $2, 0, 0, 'test')`,
        [next, mode],
      )
      if (mode === 'redis') await setRedisEpoch(ground.side, next)
      epoch = next
    }
    await setEpoch(1)
    const deps = { log: ground.mesh.log, metrics: opened.metrics, authority: given, redis: ground.side.store }
    const create = () => createHybridStore({ ...deps, postgres: opened.postgres, link: ground.mesh.link })
    return {
      ctx: ground.ctx,
      store: create(),
      other: create(),
      tenants: TENANTS,
      setEpoch,
      addEntries: undefined,
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    }
  })
}

test('HY1: a later epoch wins, then a later version; two at one place with other heads are a fork', () => {
  const at = (epoch: number, version: number, head = 'a') => ({ epoch, version, head })
  expect(whichIsAhead(at(1, 9), at(2, 3))).toBe('postgres')
  expect(whichIsAhead(at(2, 3), at(1, 9))).toBe('redis')
  expect(whichIsAhead(at(2, 3), at(2, 4))).toBe('postgres')
  expect(whichIsAhead(at(2, 5), at(2, 4))).toBe('redis')
  expect(whichIsAhead(at(2, 4), at(2, 4))).toBe('same')
  expect(whichIsAhead(at(2, 4), at(2, 4, 'b'))).toBe('fork')
})

describe('from one store to the other', () => {
  beforeEach(async () => {
    hybrid = await startHybrid(ground)
  })
  afterEach(() => hybrid[Symbol.asyncDispose]())

  const flush = () => ground.side.link.call(ground.ctx, (redis) => redis.flushall())
  const load = (number: number) => hybrid.store.load(ground.ctx, refOf(number))
  const notNow = () => Promise.reject(new RipstopError('LINK_DOWN', 'Redis is away', { sent: 'no' }))
  const wholeLog = async (number: number) =>
    (await hybrid.store.log(ground.ctx, { ...refOf(number), afterVersion: 0, limit: 1_000 })).map(
      ({ epoch, version }) => `${epoch}.${version}`,
    )
  const inRedis = async (number: number) => {
    const found = await ground.side.store.find(ground.ctx, refOf(number))
    return found.kind === 'there' ? placeOf(found.session) : found.kind
  }

  test('HY5: while Postgres serves, of a session that only Redis may have nothing is said that may be wrong', async () => {
    const ref = await begun(hybrid, ground, 1)
    const { authority, store, postgres } = hybrid
    const from = await load(1)
    await authority.begin('postgres')
    const away = { ...ground.side.store, find: notNow, remove: notNow }
    const deps = { log: ground.mesh.log, metrics: hybrid.metrics, authority, postgres, link: ground.mesh.link }
    const without = createHybridStore({ ...deps, redis: away })
    const commit = createNext(from as StoredSession, { epoch: 2 })
    for (const at of [store, without]) {
      await expect(at.load(ground.ctx, ref)).rejects.toMatchObject({ code: 'NOT_READY' })
      await expect(at.commit(ground.ctx, commit)).rejects.toMatchObject({ code: 'NOT_READY' })
    }
    await expect(without.remove(ground.ctx, ref)).rejects.toMatchObject({ code: 'NOT_READY' })
    await expect(without.load(ground.ctx, refOf(2))).rejects.toMatchObject({ code: 'NOT_READY' })
    expect(await store.load(ground.ctx, refOf(2))).toBeUndefined()
    // What Postgres knows to be deleted is deleted.
    await begun(hybrid, ground, 3)
    expect(await without.remove(ground.ctx, refOf(3))).toBe(true)
    expect(await without.load(ground.ctx, refOf(3))).toBeUndefined()
    expect(await without.remove(ground.ctx, refOf(3))).toBe(false)
    await authority.begin('redis')
    expect(placeOf(await load(1))).toEqual([1, 2])
  })

  test('HY2, SR5: the log of a session that nobody asked for since Postgres served is that of where it stands', async () => {
    const ref = await begun(hybrid, ground, 1)
    {
      await using _ = ground.drain()
      await drained(ground)
    }
    // Redis accepts one more that Postgres does not get to know before it goes on.
    await played(hybrid, ground, ref)
    await hybrid.authority.begin('postgres')
    await played(hybrid, ground, ref)
    await played(hybrid, ground, ref, 'complete')
    const log = await wholeLog(1)
    await hybrid.authority.begin('redis')
    expect(await wholeLog(1)).toEqual(log)
  })

  test('HY2, HY3: the level is that of the store that has the authority', async () => {
    await begun(hybrid, ground, 1)
    expect(hybrid.store.level).toBe('accepted')
    await hybrid.authority.begin('postgres')
    expect(hybrid.store.level).toBe('durable')
  })

  test('HY2: Redis is emptied: sessions come back from Postgres as they were, with their operations and their log', async () => {
    {
      await using _ = ground.drain()
      const ref = await begun(hybrid, ground, 1)
      await played(hybrid, ground, ref, 'switch', 'a move')
      await drained(ground)
    }
    const before = await load(1)
    await flush()
    await hybrid.authority.begin('redis')
    expect(await load(1)).toEqual(before)
    expect(await inRedis(1)).toEqual([1, 3])
    expect(await hybrid.store.findOperation(ground.ctx, refOf(1), 'a move')).toBe(3)
    const again = await hybrid.engine.command(
      ground.ctx,
      refOf(1),
      { kind: 'switch' },
      { receivedMs: hybrid.engine.nowMs(), actor: 'open', operationId: 'a move' },
    )
    expect(again.isRepeated).toBe(true)
    await played(hybrid, ground, refOf(1))
    expect(await wholeLog(1)).toEqual(['1.1', '1.2', '1.3', '2.4', '2.5'])
  })

  test('HY2: what Postgres took while Redis was gone is there when Redis is back, and outages are credited on both ways', async () => {
    await using _ = ground.drain()
    const ref = await begun(hybrid, ground, 1)
    await drained(ground)
    await hybrid.authority.begin('postgres', 10_000)
    const durable = await played(hybrid, ground, ref)
    expect([durable.level, durable.epoch, durable.state.version]).toEqual(['durable', 2, 4])
    await hybrid.authority.begin('redis')
    expect(await inRedis(1)).toEqual([1, 2])
    const accepted = await played(hybrid, ground, ref)
    expect(ground.mesh.log.lines.filter(({ event }) => event === 'session.superseded')).toEqual([])
    expect([accepted.level, accepted.epoch]).toEqual(['accepted', 3])
    expect(await wholeLog(1)).toEqual(['1.1', '1.2', '2.3', '2.4', '3.5', '3.6'])
    await drained(ground)
    await hybrid.authority.begin('postgres')
    expect(placeOf(await load(1))).toEqual([3, 6])
  })

  test('HY1, HY2: what Redis accepted and nobody drained goes on, if nobody else went on meanwhile', async () => {
    const ref = await begun(hybrid, ground, 1)
    {
      await using _ = ground.drain()
      await drained(ground)
    }
    await played(hybrid, ground, ref)
    await hybrid.authority.begin('redis')
    expect(placeOf(await load(1))).toEqual([1, 3])
  })

  test('HY1: what was not drained is superseded by what Postgres took after it: kept, and no part of the log', async () => {
    const ref = await begun(hybrid, ground, 1)
    {
      await using _ = ground.drain()
      await drained(ground)
    }
    await played(hybrid, ground, ref)
    await played(hybrid, ground, ref)
    await hybrid.authority.begin('postgres', 5_000)
    await played(hybrid, ground, ref)
    await hybrid.authority.begin('redis')
    expect(placeOf(await load(1))).toEqual([2, 4])
    const told = ground.mesh.log.lines.filter(({ event }) => event === 'session.superseded')
    expect(told).toMatchObject([{ epoch: 1, version: 4, byEpoch: 2 }])
    await using _ = ground.drain()
    await drained(ground)
    expect(await wholeLog(1)).toEqual(['1.1', '1.2', '2.3', '2.4'])
    expect((await ground.rows()).map(({ epoch, version }) => `${epoch}.${version}`)).toEqual([
      ...['1.1', '1.2', '1.3', '1.4'],
      ...['2.3', '2.4'],
    ])
    await played(hybrid, ground, ref)
    await drained(ground)
    await hybrid.authority.begin('postgres')
    expect(placeOf(await load(1))).toEqual([3, 6])
  })

  test('HY1: a fork is told of, and Postgres goes on', async () => {
    const ref = await begun(hybrid, ground, 1)
    await using _ = ground.drain()
    await drained(ground)
    const kept = await load(1)
    const key = sessionKeyOf(shardOf(ref.sessionId), memberOf(ref))
    await ground.side.link.call(ground.ctx, (redis) => redis.hset(key, 'head', 'another'))
    await hybrid.authority.begin('redis')
    expect(await load(1)).toEqual(kept)
    expect(await ground.side.store.load(ground.ctx, ref)).toEqual(kept)
    const forks = await ground.mesh.query('select version, kept_hash, other_hash from ripstop.session_forks')
    expect(forks).toEqual([{ version: 2, kept_hash: kept?.head, other_hash: 'another' }])
    expect(ground.metric('sessions_forks_total')).toBeGreaterThan(0)
    expect(ground.mesh.log.lines).toContainEqual(expect.objectContaining({ event: 'session.forked', version: 2 }))
  })

  test('HY2: what Redis does not have comes back under a commit, which is then made', async () => {
    const ref = await begun(hybrid, ground, 1)
    await using _ = ground.drain()
    await drained(ground)
    const session = (await load(1)) as StoredSession
    const key = sessionKeyOf(shardOf(ref.sessionId), memberOf(ref))
    await ground.side.link.call(ground.ctx, (redis) => redis.del(key))
    const commit = createNext(session)
    expect(await hybrid.store.commit(ground.ctx, commit)).toEqual({ kind: 'committed' })
    expect(await load(1)).toEqual(commit.to)
  })

  test('HY3: a commit that was decided in a term that has passed changes nothing, in either store', async () => {
    const { store, authority } = hybrid
    await begun(hybrid, ground, 1)
    const session = await load(1)
    const commit = {
      from: { epoch: 1, version: 2 },
      to: { ...(session as NonNullable<typeof session>), version: 3 },
      entries: [],
      operationId: undefined,
    }
    await authority.begin('postgres')
    expect(await store.commit(ground.ctx, commit)).toEqual({ kind: 'fenced' })
    await authority.begin('redis')
    expect(await store.commit(ground.ctx, commit)).toEqual({ kind: 'fenced' })
    expect(placeOf(await load(1))).toEqual([1, 2])
  })

  test('HY4: what was deleted in either store stays deleted in the other, and its id stays taken', async () => {
    await using _ = ground.drain()
    for (const number of [1, 2]) await begun(hybrid, ground, number)
    await drained(ground)
    expect(await hybrid.store.remove(ground.ctx, refOf(1))).toBe(true)
    await drained(ground)
    await hybrid.authority.begin('postgres')
    expect(await load(1)).toBeUndefined()
    // With Redis out of sight, as it is then.
    expect(await hybrid.postgres.remove(ground.ctx, refOf(2))).toBe(true)
    await hybrid.authority.begin('redis')
    expect(await inRedis(2)).toEqual([1, 2])
    expect(await load(2)).toBeUndefined()
    expect(await inRedis(2)).toBe('deleted')
    await flush()
    await hybrid.authority.begin('redis')
    for (const number of [1, 2]) {
      expect(await load(number)).toBeUndefined()
      await expect(begun(hybrid, ground, number)).rejects.toMatchObject({ code: 'CONFLICT' })
    }
  })

  test('HY4: what Redis lost can be deleted, and is deleted in Redis too while Postgres serves', async () => {
    await using _ = ground.drain()
    for (const number of [1, 2]) await begun(hybrid, ground, number)
    await drained(ground)
    await hybrid.authority.begin('postgres')
    expect(await hybrid.store.remove(ground.ctx, refOf(2))).toBe(true)
    expect(await inRedis(2)).toBe('deleted')
    await flush()
    await hybrid.authority.begin('redis')
    expect(await hybrid.store.remove(ground.ctx, refOf(1))).toBe(true)
    expect(await hybrid.store.remove(ground.ctx, refOf(1))).toBe(false)
    await drained(ground)
    expect(await ground.mesh.query('select from ripstop.sessions where deleted_at is null')).toHaveLength(0)
  })

  test('HY5: with Postgres away, sessions go on that Redis kept; of others nothing is said', async () => {
    await begun(hybrid, ground, 1)
    await hybrid.authority.begin('redis')
    await using away = await startTestMesh('postgres://nobody@127.0.0.1:1/none', { wait: false })
    const { authority, postgres, metrics } = hybrid
    const deps = { log: ground.mesh.log, metrics, authority, redis: ground.side.store, postgres, link: away.link }
    const store = createHybridStore(deps)
    await expect(store.load(ground.ctx, refOf(1))).rejects.toMatchObject({ code: 'LINK_DOWN' })
    await expect(store.load(ground.ctx, refOf(2))).rejects.toMatchObject({ code: 'LINK_DOWN' })
    authority.hasKept = (epoch) => epoch === 1
    expect(placeOf(await store.load(ground.ctx, refOf(1)))).toEqual([1, 2])
    await expect(store.load(ground.ctx, refOf(2))).rejects.toMatchObject({ code: 'LINK_DOWN' })
  })

  test('HY6: a watcher hears the store of the present term, and of a gap whenever an epoch begins', async () => {
    const ref = await begun(hybrid, ground, 1)
    // Both feeds have others who hear already: they give a new watcher no gap.
    const others: string[] = []
    using _inPostgres = hybrid.postgres.watch(ref, ({ kind }) => others.push(`postgres ${kind}`))
    using _inRedis = ground.side.store.watch(ref, ({ kind }) => others.push(`redis ${kind}`))
    await until('they hear', () => ['postgres gap', 'redis gap'].every((gap) => others.includes(gap)))
    const heard: FeedMessage[] = []
    using _ = hybrid.store.watch(ref, (message) => heard.push(message))
    const hears = (kind: FeedMessage['kind'], version?: number) =>
      until(`it hears of ${kind} ${version ?? ''}`, () => {
        const isIt = (message: FeedMessage) =>
          message.kind === kind &&
          (version === undefined ||
            (message.kind === 'entries' && message.entries.some((entry) => entry.version === version)))
        return heard.some(isIt)
      })
    await played(hybrid, ground, ref)
    await hears('entries', 3)
    {
      await using __ = ground.drain()
      await drained(ground)
    }
    heard.length = 0
    await hybrid.authority.begin('postgres')
    await hears('gap')
    await played(hybrid, ground, ref)
    await hears('entries', 5)
    heard.length = 0
    await hybrid.authority.begin('redis')
    await hears('gap')
    await played(hybrid, ground, ref)
    await hears('entries', 7)
  })

  test('without Redis a process serves while Postgres has the authority, and says why it does not otherwise', async () => {
    const { authority, postgres, metrics } = hybrid
    const deps = { log: ground.mesh.log, metrics, authority, redis: undefined, postgres, link: ground.mesh.link }
    const store = createHybridStore(deps)
    await expect(store.load(ground.ctx, refOf(1))).rejects.toMatchObject({ code: 'NOT_READY' })
    await authority.begin('postgres')
    expect(await store.load(ground.ctx, refOf(1))).toBeUndefined()
  })
})
