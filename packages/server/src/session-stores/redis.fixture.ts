// A Redis of a test's own, and what stands on it, twice: as two processes have it.

import { background, type Ctx, createEnv, type Env, type Link, Mesh } from '@ripstop/kernel'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import type { Redis } from 'ioredis'
import { createRedisFeed, type RedisFeed } from './redis-feed.ts'
import { SHARD_KEYS } from './redis-keys.ts'
import { runScript, SET_EPOCH } from './redis-scripts.ts'
import { createRedisStore, type RedisStore, type RedisStoreDeps } from './redis-store.ts'

export interface TestSide extends AsyncDisposable {
  readonly env: Env
  readonly ctx: Ctx
  readonly mesh: Mesh
  readonly link: Link<Redis>
  readonly feed: RedisFeed
  readonly store: RedisStore
}

/** One process. Up when it resolves. */
export async function startSide(
  url: string,
  options: Partial<RedisStoreDeps> & { readonly feedUrl?: string } = {},
): Promise<TestSide> {
  const env = createEnv()
  const ctx = background(env)
  const mesh = new Mesh(env)
  const link = mesh.link('redis.main', createRedisAdapter({ url }), { deadlineMs: 2_000 })
  const feed = createRedisFeed({ mesh, adapter: createRedisAdapter({ url: options.feedUrl ?? url }) })
  for (const each of [link, feed.link]) each.start()
  for (const each of [link, feed.link]) await each.whenUp(ctx.within(10_000))
  return {
    env,
    ctx,
    mesh,
    link,
    feed,
    store: createRedisStore({ env, link, feed, ...options }),
    [Symbol.asyncDispose]: async () => {
      using limit = ctx.within(2_000)
      await mesh.drain(limit)
    },
  }
}

/** Empties it, and begins an epoch there. */
export async function emptyRedis({ link, ctx }: Pick<TestSide, 'link' | 'ctx'>, epoch = 1): Promise<void> {
  await link.call(ctx, (redis) => redis.flushall())
  await setEpoch({ link, ctx }, epoch)
}

export async function setEpoch({ link, ctx }: Pick<TestSide, 'link' | 'ctx'>, epoch: number): Promise<void> {
  const set = (redis: Redis) =>
    Promise.all(SHARD_KEYS.map((keys) => runScript(redis, SET_EPOCH, [keys.epoch, keys.run], [epoch])))
  await link.call(ctx, set)
}
