import type { Redis } from 'ioredis'
import type { Adapter } from '../../adapter.ts'
import { closeConnection, openConnection, proveConnection } from './connection.ts'
import { redisFault } from './fault.ts'
import { formatTarget, parseRedisSettings, type RedisOptions } from './settings.ts'

/**
 * One Redis (or Valkey) server behind a link: one connection that carries every call, with ioredis's own reconnecting off.
 * Blocking commands (BLPOP, XREAD BLOCK, WAIT) and subscriptions hold up or change the connection that they run on: give
 * each of these uses a link of its own. Don't close, duplicate or reconnect the resource: the link does.
 * Throws CONFIG_INVALID that names every option that is wrong.
 */
export function createRedisAdapter(options: RedisOptions): Adapter<Redis> {
  const settings = parseRedisSettings(options)
  const connectionErrors = new WeakSet<Error>()
  return {
    kind: 'redis',
    target: formatTarget(settings),
    sharedFate: true,
    open: (ctx, { lost }) =>
      openConnection(settings, ctx, { lost, connectionError: (error) => connectionErrors.add(error) }),
    probe: (redis) => proveConnection(redis, settings),
    close: closeConnection,
    fault: (error) => redisFault(error, error instanceof Error && connectionErrors.has(error)),
  }
}
