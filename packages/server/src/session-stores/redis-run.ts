// Which server a connection leads to: the same one for as long as it lasts. A server that was started anew has another run id, whatever
// data it has.

import { RipstopError } from '@ripstop/kernel'
import type { Redis } from 'ioredis'

/** The run id of a connection's server; asked once. Throws PEER_REFUSED where the server tells none. */
export function createRunIds(): (redis: Redis) => string | Promise<string> {
  const known = new WeakMap<Redis, string>()
  const ask = async (redis: Redis): Promise<string> => {
    const runId = /^run_id:(\w+)/m.exec(await redis.info('server'))?.[1]
    if (runId === undefined) throw new RipstopError('PEER_REFUSED', 'Redis does not tell its run id (INFO server)')
    known.set(redis, runId)
    return runId
  }
  return (redis) => known.get(redis) ?? ask(redis)
}
