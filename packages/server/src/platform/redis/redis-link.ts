import type { Adapter, Link, Mesh } from '@ripstop/kernel'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import type { Redis } from 'ioredis'
import type { Config } from '#platform/config'

const NAME = 'redis.main'
const CONCURRENT = 4_096 // one connection pipelines; this bounds what a stalled one may pile up
const QUEUE = 1_024

export interface RedisOfMesh {
  /** Start it with `link.start()`. */
  readonly link: Link<Redis>
  /** For links of their own to the same server: subscriptions, and commands that block. */
  readonly adapter: Adapter<Redis>
}

/**
 * Registers the link `redis.main`. Undefined: no Redis is configured, and everything works without. Shared limits, fan-out and, where it is
 * chosen, live sessions rest on it; each has a way without it, so it is never critical.
 */
export function createRedisLink({
  mesh,
  redis,
}: {
  readonly mesh: Mesh
  readonly redis: Config['redis']
}): RedisOfMesh | undefined {
  const { url, deadlineMs } = redis
  if (url === undefined) return undefined
  const { host, port, username, password, database, tls } = url
  const adapter = createRedisAdapter({
    host,
    port,
    database,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: password.reveal() }),
    tls: tls ? {} : false,
  })
  const link = mesh.link(
    NAME,
    adapter,
    {
      deadlineMs,
      critical: false,
      recoverWithinMs: 1_500,
      fallback: 'local-rate-limit',
      bulkhead: { concurrent: CONCURRENT, queue: QUEUE },
    },
    { name: 'redis', kind: 'cache' },
  )
  return { link, adapter }
}
