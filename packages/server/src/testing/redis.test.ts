import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { isProcessAlive } from '../platform/postgres/embedded-binaries.ts'
import { startTestRedis } from './redis.ts'

async function ask<T>(url: string, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, {
    retryStrategy: () => null,
    connectTimeout: 500,
    commandTimeout: 500,
    lazyConnect: true,
  })
  redis.on('error', () => {})
  try {
    await redis.connect()
    return await question(redis)
  } finally {
    redis.disconnect()
  }
}

test('a test redis answers, keeps nothing over a restart, can be frozen, and goes with its disposal', async () => {
  const redis = await startTestRedis({ settings: { maxmemory: '32mb' } })
  const first = redis.pid
  await ask(redis.url, (client) => client.set('key', 'value'))
  expect(await ask(redis.url, (client) => client.config('GET', 'maxmemory'))).toEqual(['maxmemory', '33554432'])

  await redis.kill('SIGSTOP')
  await expect(ask(redis.url, (client) => client.ping())).rejects.toThrow()
  await redis.kill('SIGCONT')
  expect(await ask(redis.url, (client) => client.get('key'))).toBe('value')

  await redis.kill('SIGKILL')
  expect(await isProcessAlive(first)).toBe(false)
  await expect(ask(redis.url, (client) => client.ping())).rejects.toThrow()
  await redis.restart()
  expect(redis.pid).not.toBe(first)
  expect(await ask(redis.url, (client) => client.get('key'))).toBe(null)

  const last = redis.pid
  await redis.kill('SIGSTOP')
  await redis[Symbol.asyncDispose]() // a frozen one too
  expect(await isProcessAlive(last)).toBe(false)
})

test('a test redis on a taken port says so', async () => {
  await using redis = await startTestRedis()
  await expect(startTestRedis({ port: redis.port })).rejects.toThrow('ended')
})
