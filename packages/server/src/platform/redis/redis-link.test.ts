import { background, createEnv, Mesh } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { until } from '../../testing/processes.ts'
import { startTestRedis } from '../../testing/redis.ts'
import { parseConfig } from '../config/config.ts'
import { createRedisLink } from './redis-link.ts'

const redisConfig = (url?: string) => parseConfig({}, url === undefined ? {} : { REDIS_URL: url }).redis

test('without REDIS_URL there is no link', () => {
  const mesh = new Mesh(createEnv())
  expect(createRedisLink({ mesh, redis: redisConfig() })).toBeUndefined()
  expect(mesh.links()).toEqual([])
})

test('with it there is one that is never critical, and names what answers when it is down', {
  timeout: 30_000,
}, async () => {
  await using redis = await startTestRedis()
  const env = createEnv()
  const mesh = new Mesh(env)
  const ctx = background(env)
  const link = createRedisLink({ mesh, redis: redisConfig(redis.url) })?.link
  link?.start()
  await link?.whenUp(ctx.within(5_000))
  expect(await link?.call(ctx, (client) => client.set('a', '1'))).toBe('OK')
  expect(link?.snapshot().target).toBe(`127.0.0.1:${redis.port}/0`)
  await redis.kill('SIGKILL')
  await until('the link is down', () => link?.state === 'down')
  expect(mesh.notReady()).toEqual([])
  expect(
    await link?.callOr(
      ctx,
      (client) => client.get('a'),
      () => 'local',
    ),
  ).toBe('local')
  expect(link?.snapshot().degradation).toMatchObject({ name: 'local-rate-limit', active: true })
  await redis.restart()
  await until('the link is up', () => link?.state === 'up')
  await mesh.drain(ctx.within(1_000))
})
