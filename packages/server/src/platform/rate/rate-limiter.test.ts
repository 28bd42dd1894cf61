// Rates over several processes, on a real Redis that is taken away.

import { background, createEnv, Mesh } from '@ripstop/kernel'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import { createFakeClock } from '@ripstop/kernel/testing'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../../testing/processes.ts'
import { startTestRedis, type TestRedis } from '../../testing/redis.ts'
import { RateLimiter, type RateLink } from './rate-limiter.ts'
import { perMinute } from './rate-table.ts'

let server: TestRedis
let mesh: Mesh
const newLink = (name: string) =>
  mesh.link<Redis>(
    name,
    createRedisAdapter({ url: server.url }),
    { deadlineMs: 250, fallback: 'local-rate-limit', heartbeatMs: 200, probeDeadlineMs: 100 },
    { name: 'redis', kind: 'cache' },
  )

beforeAll(async () => {
  server = await startTestRedis()
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  mesh = new Mesh(createEnv())
})

async function startProcess(
  name: string,
  deadlineMs?: number,
): Promise<{ limiter: RateLimiter; link: ReturnType<typeof newLink>; calls: () => number }> {
  const link = newLink(name)
  link.start()
  await until('redis is up', () => link.state === 'up')
  let calls = 0
  const counting: RateLink = {
    callOr: (ctx, run, fallback, options) => {
      calls++
      return link.callOr(ctx, run, fallback, options)
    },
  }
  const limiter = new RateLimiter({
    ctx: background(mesh.env),
    redis: counting,
    processes: 2,
    entriesMax: 1_000,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  })
  return { limiter, link, calls: () => calls }
}

const drainMesh = async (): Promise<void> => {
  using ctx = background(mesh.env).within(100)
  await mesh.drain(ctx)
}

describe('rate limiter', () => {
  test('RL1: two processes together grant the quota and no more, whichever the client meets', async () => {
    const [a, b] = [await startProcess('a', 200), await startProcess('b', 200)]
    for (const count of [10, 600]) {
      let granted = 0
      const startedMs = performance.now()
      for (let index = 0; index < count + 60; index++) {
        const verdict = await (index % 3 === 0 ? a : b).limiter.take(`sequential-${count}`, perMinute(count))
        if (verdict.allowed) granted++
      }
      const flowedBack = (count * (performance.now() - startedMs)) / 60_000
      expect(granted).toBeLessThanOrEqual(count + flowedBack + 1)
      // What one process had leased and not spent when the other found the quota empty.
      expect(granted).toBeGreaterThanOrEqual(count - Math.ceil(count / 50))
    }
    await drainMesh()
  })

  test('RL1: the same for a window of a second: ten are ten, and not six hundred', async () => {
    const [a, b] = [await startProcess('a', 200), await startProcess('b', 200)]
    const startedMs = performance.now()
    const quota = { count: 10, windowMs: 1_000 }
    const verdicts = await Promise.all(
      Array.from({ length: 60 }, (_, index) => (index % 2 === 0 ? a : b).limiter.take('quick', quota)),
    )
    const granted = verdicts.filter(({ allowed }) => allowed).length
    expect(granted).toBeLessThanOrEqual(10 + (10 * (performance.now() - startedMs)) / 1_000 + 1)
    expect(granted).toBeGreaterThanOrEqual(9)
    const refused = verdicts.filter(({ allowed }) => !allowed)
    for (const { retryAfterMs } of refused) expect(retryAfterMs).toBeLessThanOrEqual(1_000)
    await drainMesh()
  })

  test('RL1: the same under a burst from everywhere at once', async () => {
    const [a, b] = [await startProcess('a', 200), await startProcess('b', 200)]
    const startedMs = performance.now()
    const verdicts = await Promise.all(
      Array.from({ length: 1_500 }, (_, index) => (index % 2 === 0 ? a : b).limiter.take('burst', perMinute(1_000))),
    )
    const flowedBack = (1_000 * (performance.now() - startedMs)) / 60_000
    const granted = verdicts.filter(({ allowed }) => allowed).length
    expect(granted).toBeLessThanOrEqual(1_000 + flowedBack + 1)
    expect(granted).toBeGreaterThanOrEqual(980)
    const refused = verdicts.find(({ allowed }) => !allowed)
    expect(refused?.retryAfterMs).toBeGreaterThan(0)
    await drainMesh()
  })

  test('a busy client costs few round trips, a rare one leaves nothing lying about', async () => {
    const { limiter, calls } = await startProcess('a')
    for (let index = 0; index < 1_000; index++) {
      const taken = limiter.take('busy', perMinute(100_000))
      if ('then' in taken) await taken
    }
    expect(calls()).toBeLessThan(30)
    const before = calls()
    const { remaining } = await limiter.take('rare', perMinute(60))
    expect([calls() - before, remaining]).toEqual([1, 59])
    await drainMesh()
  })

  test('a script that Redis forgot is sent again', async () => {
    const { limiter, link, calls } = await startProcess('a')
    await limiter.take('before', perMinute(60))
    await link.call(background(mesh.env), (redis) => redis.script('FLUSH'))
    expect(await limiter.take('after', perMinute(60))).toMatchObject({ allowed: true, remaining: 59 })
    expect(calls()).toBe(2)
    await drainMesh()
  })

  test('RL2: Redis gone: the local share decides at once, visibly; back: it is shared again', async () => {
    const { limiter, link } = await startProcess('a')
    await limiter.take('warm', perMinute(10))
    await server.kill('SIGKILL')
    let slowestMs = 0
    let granted = 0
    for (let index = 0; index < 200; index++) {
      const startedMs = performance.now()
      if ((await limiter.take('client', perMinute(10))).allowed) granted++
      slowestMs = Math.max(slowestMs, performance.now() - startedMs)
    }
    expect(slowestMs).toBeLessThan(150)
    expect(granted, 'half of the limit: there are two processes').toBe(5)
    expect(link.snapshot().degradation).toMatchObject({ name: 'local-rate-limit', active: true })
    await server.restart()
    await until('it is shared again', async () => {
      await limiter.take(`probe-${performance.now()}`, perMinute(10))
      return link.snapshot().degradation?.active === false
    })
    await drainMesh()
  })

  test('RL2: the local share counts what was let through before', async () => {
    const { limiter } = await startProcess('a', 200)
    for (let index = 0; index < 6; index++) expect((await limiter.take('client', perMinute(20))).allowed).toBe(true)
    await server.kill('SIGKILL')
    let granted = 0
    for (let index = 0; index < 50; index++) if ((await limiter.take('client', perMinute(20))).allowed) granted++
    expect(granted, 'half of the limit is ten').toBeLessThanOrEqual(10 - 6 + 1)
    await server.restart()
    await drainMesh()
  })

  test('RL2: Redis frozen: one wait of 50 ms, then nobody waits', async () => {
    const { limiter } = await startProcess('a')
    await limiter.take('warm', perMinute(10))
    await server.kill('SIGSTOP')
    try {
      const startedMs = performance.now()
      await Promise.all(Array.from({ length: 100 }, (_, index) => limiter.take(`frozen-${index}`, perMinute(10))))
      expect(performance.now() - startedMs).toBeLessThan(400)
      const laterMs = performance.now()
      for (let index = 0; index < 1_000; index++) await limiter.take(`later-${index}`, perMinute(10))
      expect(performance.now() - laterMs).toBeLessThan(400)
    } finally {
      await server.kill('SIGCONT')
    }
    await drainMesh()
  })

  test('RL2: a Redis that did not answer is left alone for a while, by everybody', async () => {
    let calls = 0
    const redis: RateLink = {
      callOr: async (_ctx, _run, fallback) => {
        calls++
        return fallback()
      },
    }
    const clock = createFakeClock()
    const ctx = background(createEnv({ clock }))
    const limiter = new RateLimiter({ ctx, redis, processes: 1, entriesMax: 1_000 })
    for (let index = 0; index < 500; index++) await limiter.take(`client-${index}`, perMinute(10))
    expect(calls).toBe(1)
    await clock.advance(300)
    await limiter.take('client-0', perMinute(10))
    expect(calls).toBe(2)
  })

  test('RL2: an answer that is an error turns nobody away', async () => {
    const { limiter, link } = await startProcess('a')
    await link.call(background(mesh.env), (redis) => redis.set('ripstop:rate:odd', 'not a number'))
    await link.call(background(mesh.env), (redis) => redis.lpush('ripstop:rate:list', 'x'))
    expect((await limiter.take('list', perMinute(10))).allowed).toBe(true)
    expect((await limiter.take('odd', perMinute(10))).allowed).toBe(true)
    await drainMesh()
  })
})
