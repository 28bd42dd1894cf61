import { startFaultProxy } from '@ripstop/faults'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { migrateTestDatabase } from '../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startTestRedis } from '../testing/redis.ts'
import { age, holds, startTestNode, type TestNode } from './authority.fixture.ts'

let database: TestDatabase

beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database[Symbol.asyncDispose]())

const start = (redisUrl?: string, nodeId = 'node'): Promise<TestNode> =>
  startTestNode(database.url, { redisUrl, nodeId })
const periodsOf = ({ mesh }: TestNode) =>
  mesh.query<{ epoch: number; mode: string; reason: string; ms: number }>(
    'select epoch::int as epoch, mode, reason, (until_ms - since_ms)::int as ms from ripstop.session_epochs order by 1',
  )
const reasonsOf = async (node: TestNode): Promise<readonly string[]> =>
  (await periodsOf(node)).map(({ reason }) => reason)
const epochInRedis = async ({ redis, mesh }: TestNode) =>
  redis?.call(mesh.ctx, (client) => client.get('ripstop:{s3}:epoch'))
const linkOf = ({ mesh }: TestNode) => mesh.mesh.graph().links.find(({ name }) => name === 'sessions.authority')
const isDegraded = (node: TestNode) => linkOf(node)?.live.degradation?.active
const gauge = ({ mesh }: TestNode, name: string) =>
  mesh.mesh.metrics.read().find((family) => family.name === name)?.values[0]

describe('without Redis', () => {
  test('nothing is known before the first beat; then Postgres has the authority, and that is no degradation', async () => {
    await using node = await start()
    expect(() => node.authority.term()).toThrow('not known yet')
    expect(await holds(node, { epoch: 1 })).toEqual({ epoch: 1, mode: 'postgres' })
    await until('its link is up', () => linkOf(node)?.live.state === 'up')
    expect(linkOf(node)?.target).toBe('postgres, epoch 1')
    expect([gauge(node, 'sessions_epoch'), gauge(node, 'sessions_degraded'), isDegraded(node)]).toEqual([1, 0, false])
  })

  test('AY1, AY5: five processes that start after an interruption begin one epoch, and know of the same outage', async () => {
    {
      await using first = await start()
      await holds(first, { epoch: 1 })
      await first.authority[Symbol.asyncDispose]()
      await age(first.mesh, 10_000)
    }
    const nodes = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((nodeId) => start(undefined, nodeId)))
    await using held = new AsyncDisposableStack()
    for (const node of nodes) held.use(node)
    for (const node of nodes) await holds(node, { epoch: 2 })
    const [first] = nodes as [TestNode]
    expect(await reasonsOf(first)).toEqual(['first', 'interrupted'])
    const outages = await Promise.all(nodes.map((node) => node.authority.outagesAfter(node.mesh.ctx, 1)))
    expect(outages[0]?.map(({ sinceMs, untilMs }) => untilMs - sinceMs >= 10_000)).toEqual([true])
    for (const outage of outages) expect(outage).toEqual(outages[0])
    expect(nodes.flatMap((node) => node.events('session.epoch_began'))).toHaveLength(1)
    expect(await first.authority.outagesAfter(first.mesh.ctx, 0)).toHaveLength(2)
  })

  test('a term that was refused is read anew, also where another process began the next', async () => {
    await using one = await start(undefined, 'one')
    const refused = await holds(one, { epoch: 1 })
    await one.mesh.query(
      `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values (2, 'postgres', 5, 5, 'interrupted')`,
    )
    expect(await one.authority.renew(one.mesh.ctx.within(5_000), refused)).toEqual({ epoch: 2, mode: 'postgres' })
    expect(await one.authority.renew(one.mesh.ctx.within(5_000), refused)).toEqual({ epoch: 2, mode: 'postgres' })
    const inVain = one.authority.renew(one.mesh.ctx.within(100), one.authority.term())
    await expect(inVain).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  })
})

describe('with Redis', () => {
  test('AY3, AY6: killed, Postgres serves within 3 s, visibly; back again, so is the authority', async () => {
    await using redis = await startTestRedis()
    await using one = await start(redis.url, 'one')
    await using two = await start(redis.url, 'two')
    await holds(one, { epoch: 1, mode: 'redis' })
    await holds(two, { epoch: 1, mode: 'redis' })
    expect(await epochInRedis(one)).toBe('1')
    await redis.kill('SIGKILL')
    const killedMs = performance.now()
    await holds(one, { epoch: 2, mode: 'postgres' })
    await holds(two, { epoch: 2, mode: 'postgres' })
    expect(performance.now() - killedMs).toBeLessThan(5_000)
    await until('it shows', () => isDegraded(one) === true)
    expect([gauge(one, 'sessions_epoch'), gauge(one, 'sessions_degraded')]).toEqual([2, 1])
    expect(one.events('session.authority_moved')).toMatchObject([{ from: 'redis', to: 'postgres', epoch: 2 }])
    await redis.restart()
    // Already while Postgres serves Redis refuses whoever holds the term before.
    await until('Redis is told', async () => (await epochInRedis(one).catch(() => undefined)) === '2')
    await holds(one, { epoch: 3, mode: 'redis' })
    await holds(two, { epoch: 3, mode: 'redis' })
    expect(await epochInRedis(two)).toBe('3')
    await until('it shows no more', () => isDegraded(one) === false)
    const periods = await periodsOf(one)
    expect(periods.map(({ reason }) => reason)).toEqual(['first', 'redis_gone', 'redis_back'])
    expect(periods[1]?.ms).toBeGreaterThan(1_900)
    expect(periods[2]?.ms).toBe(0)
  })

  test('AY6: a process that alone lost Redis moves nothing', async () => {
    await using redis = await startTestRedis()
    await using one = await start(redis.url, 'one')
    await holds(one, { epoch: 1, mode: 'redis' })
    await using lonely = await start(`redis://127.0.0.1:1`, 'lonely')
    const sees = async () =>
      (await one.mesh.query(`select from ripstop.session_nodes where node_id = 'lonely'`)).length > 0
    await until('the lonely one beats', sees)
    const startedMs = performance.now()
    await until('3 s are over', () => performance.now() - startedMs > 3_000)
    expect(await reasonsOf(one)).toEqual(['first'])
    expect(lonely.term()).toBeUndefined()
    await expect(
      lonely.authority.renew(lonely.mesh.ctx.within(300), { epoch: 0, mode: 'redis' }),
    ).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    })
  })

  test('AY6: slow, but within the deadline of commands, it is there', async () => {
    await using redis = await startTestRedis()
    await using proxy = await startFaultProxy({ upstream: { host: '127.0.0.1', port: redis.port } })
    await using one = await start(proxy.through(redis.url))
    await holds(one, { epoch: 1, mode: 'redis' })
    await proxy.add({ type: 'latency', name: 'slow', attributes: { latency: 225 } })
    const startedMs = performance.now()
    await until('5 s are over', () => performance.now() - startedMs > 5_000)
    expect(await reasonsOf(one)).toEqual(['first'])
  })

  test('AY5: stopped, it costs every beat a look in vain, and that is no interruption of what Postgres serves', async () => {
    await using redis = await startTestRedis()
    await using one = await start(redis.url)
    await holds(one, { epoch: 1, mode: 'redis' })
    await redis.kill('SIGSTOP')
    await until('postgres serves', () => one.term()?.mode === 'postgres', 10_000)
    const startedMs = performance.now()
    await until('6 s are over', () => performance.now() - startedMs > 6_000)
    expect(await reasonsOf(one)).toEqual(['first', 'redis_gone'])
    await redis.kill('SIGCONT')
  })

  test('flushed: it lost what it had, and a new epoch begins that credits next to nothing', async () => {
    await using redis = await startTestRedis()
    await using one = await start(redis.url, 'one')
    await using two = await start(redis.url, 'two')
    await holds(two, { epoch: 1 })
    await holds(one, { epoch: 1 })
    await one.redis?.call(one.mesh.ctx, (client) => client.flushall())
    await holds(one, { epoch: 2, mode: 'redis' })
    await holds(two, { epoch: 2, mode: 'redis' })
    expect(await epochInRedis(one)).toBe('2')
    const periods = await periodsOf(one)
    expect(periods.map(({ reason }) => reason)).toEqual(['first', 'redis_lost'])
    expect(periods[1]?.ms).toBeLessThan(1_500)
  })

  test('restarted with its AOF: it is another server, and a new epoch begins in Redis', async () => {
    await using redis = await startTestRedis({ settings: { appendonly: 'yes', appendfsync: 'everysec' } })
    await using one = await start(redis.url)
    await holds(one, { epoch: 1 })
    await redis.restart()
    await holds(one, { epoch: 2, mode: 'redis' })
    expect(await reasonsOf(one)).toEqual(['first', 'redis_replaced'])
    expect(await epochInRedis(one)).toBe('2')
  })

  test('a Redis that takes no writes is not there', async () => {
    await using redis = await startTestRedis()
    await using one = await start(redis.url)
    await holds(one, { epoch: 1, mode: 'redis' })
    await one.redis?.call(one.mesh.ctx, (client) => client.config('SET', 'maxmemory', '1'))
    await holds(one, { epoch: 2, mode: 'postgres' })
    expect(one.events('session.redis_unseen')).toHaveLength(1)
  })
})

describe('Postgres away', () => {
  test('AY4, AY5: the term goes on, and so does the time; what Redis served meanwhile is no outage', async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using redis = await startTestRedis()
    await using one = await startTestNode(cluster.url, { redisUrl: redis.url, nodeId: 'one' })
    await holds(one, { epoch: 1, mode: 'redis' })
    await cluster.kill('SIGKILL')
    const beforeMs = one.authority.nowMs()
    const startedMs = performance.now()
    await until('2.5 s are over', () => performance.now() - startedMs > 2_500)
    expect(one.term()).toEqual({ epoch: 1, mode: 'redis' })
    expect(one.authority.nowMs() - beforeMs).toBeGreaterThan(2_400)
    await expect(one.authority.renew(one.mesh.ctx.within(500), { epoch: 1, mode: 'redis' })).rejects.toThrow()
    await cluster.restart()
    await until('beats are answered', async () => {
      const [row] = await one.mesh
        .query<{ ok: boolean }>('select max(beat_ms) > $1 as ok from ripstop.session_nodes', [beforeMs + 2_500])
        .catch(() => [])
      return row?.ok === true
    })
    // One that starts now has not served, and reads in Redis that others did.
    await using two = await startTestNode(cluster.url, { redisUrl: redis.url, nodeId: 'two' })
    await holds(two, { epoch: 1, mode: 'redis' })
    expect(await reasonsOf(one)).toEqual(['first'])
  })

  test('both gone and back: one outage that covers all of it', async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using redis = await startTestRedis()
    await using one = await startTestNode(cluster.url, { redisUrl: redis.url, nodeId: 'one' })
    await holds(one, { epoch: 1, mode: 'redis' })
    await cluster.kill('SIGKILL')
    await redis.kill('SIGKILL')
    const startedMs = performance.now()
    await until('2 s are over', () => performance.now() - startedMs > 2_000)
    await redis.restart()
    await cluster.restart()
    await until('it is redis again', () => one.term()?.mode === 'redis' && (one.term()?.epoch ?? 0) > 1, 15_000)
    const credited = (await periodsOf(one)).reduce((sum, { ms }) => sum + ms, 0)
    expect(credited).toBeGreaterThan(1_500)
  })

  test('AY6: where Postgres is back first, Redis keeps the authority: what it holds is newer', async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using redis = await startTestRedis()
    await using one = await startTestNode(cluster.url, { redisUrl: redis.url, nodeId: 'one' })
    await holds(one, { epoch: 1, mode: 'redis' })
    await cluster.kill('SIGKILL')
    await redis.kill('SIGKILL')
    const startedMs = performance.now()
    await until('it was gone for longer than Redis may be', () => performance.now() - startedMs > 3_000)
    await cluster.restart()
    await until('beats are answered again', async () => (await periodsOf(one).catch(() => [])).length > 0)
    await redis.restart()
    await until('a new epoch', () => (one.term()?.epoch ?? 0) > 1, 15_000)
    expect(await reasonsOf(one)).not.toContain('redis_gone')
  })
})
