import type { Link, Mesh } from '@ripstop/kernel'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import type { Redis } from 'ioredis'
import type { Config } from '#platform/config'

const NAME = 'redis.main'
const CONCURRENT = 4_096 // one connection pipelines; this bounds what a stalled one may pile up
const QUEUE = 1_024

/**
 * Registers the link `redis.main`; start it with `link.start()`. Undefined: no Redis is configured, and everything works
 * without. Nothing but shared limits and fan-out rests on it, so it is never critical.
 */
export function createRedisLink({
  mesh,
  redis,
}: {
  readonly mesh: Mesh
  readonly redis: Config['redis']
}): Link<Redis> | undefined {
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
  return mesh.link(
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
}
