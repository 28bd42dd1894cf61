import { background, createEnv, isRipstopError, Mesh } from '@ripstop/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../testing/postgres.ts'
import { until } from '../../testing/processes.ts'
import { parseConfig } from '../config/config.ts'
import { createPostgresLink } from './postgres-link.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())

function createLink(settings: Record<string, unknown>, url?: string) {
  const env = createEnv()
  const mesh = new Mesh(env)
  const { postgres } = parseConfig({ postgres: settings }, url === undefined ? {} : { DATABASE_URL: url })
  const ctx = background(env)
  const drain = async () => mesh.drain(ctx.within(3_000))
  return { ...createPostgresLink({ mesh, postgres }), mesh, ctx, env, [Symbol.asyncDispose]: drain }
}

describe('the link to Postgres', () => {
  test('without an address it waits, critical and not ready, and is up soon after it hears of one', async () => {
    await using main = createLink({})
    main.link.start()
    await until('it has tried', () => main.link.state === 'down')
    expect(main.mesh.notReady().map(({ name, why }) => `${name}: ${why}`)).toEqual([
      'postgres.main: LINK_DOWN: the embedded Postgres is still starting',
    ])
    main.moveTo(database.url)
    await main.link.whenUp(main.ctx.within(3_000))
    expect(main.mesh.notReady()).toEqual([])
  })

  test('it follows a server that moves', async () => {
    await using main = createLink({ url: 'postgres://ripstop:wrong@127.0.0.1:1/nowhere' })
    main.link.start()
    await until('nothing is there', () => main.link.state === 'down')
    main.moveTo(database.url)
    await main.link.whenUp(main.ctx.within(3_000))
    const { target } = main.link.snapshot()
    expect(database.url).toContain(target)
    expect(target).not.toMatch(/@|ripstop:/)
  })

  test('the pool’s contract: its size, a bound on waiting that says nothing was sent, and the waiting measured', async () => {
    await using main = createLink({ pool_size: 2, wait_ms: 150 }, database.url)
    main.link.start()
    await main.link.whenUp(main.ctx.within(3_000))
    const sleep = (seconds: number) =>
      main.link.call(main.ctx, (pool, ctx) => pool.query(ctx, 'select pg_sleep($1)', [seconds]))
    const long = [sleep(0.8), sleep(0.8)]
    await until('both run', () => main.link.snapshot().pool?.inUse === 2)
    const startedMs = main.env.clock.monoMs()
    const error = await sleep(0).catch((caught: unknown) => caught)
    expect(isRipstopError(error) && [error.code, error.sent]).toEqual(['OVERLOADED', 'no'])
    expect(main.env.clock.monoMs() - startedMs).toBeLessThan(700)
    expect(main.link.snapshot().pool).toMatchObject({ size: 2, inUse: 2 })
    await Promise.all(long)
    await sleep(0)
    const metrics = main.mesh.metrics.text()
    // One more than there were calls: the link tries the refused one again.
    expect(metrics).toContain('pool_wait_seconds_count{link="postgres.main"} 5')
    expect(metrics).toContain('pool_size{link="postgres.main"} 2')
  })
})
