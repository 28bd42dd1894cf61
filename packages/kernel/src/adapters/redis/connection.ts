// One connection to Redis. ioredis speaks the protocol and does nothing else: it does not reconnect, queue, resend or time
// out, because the link does. Its word 'ready' is not taken as proof either (ioredis #2099): the link probes.
// A command whose caller gave up stays in ioredis's queue until its answer comes; if none does, the probe that its caller's
// deadline caused ends the generation, and the queue with it: that bounds it.
// Invariants:
//   RD1. Opening settles by its ctx, whatever stage the server dies or hangs in, and leaves no socket behind.
//   RD2. Any error of the connection, and any answer that contradicts the proof, is the loss of the generation.

import { type RedisOptions as IoredisOptions, Redis } from 'ioredis'
import type { GenerationEvents } from '../../adapter.ts'
import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'
import { isDisproving, replyPrefixOf } from './fault.ts'
import { formatTarget, type RedisSettings } from './settings.ts'

const KEEP_ALIVE_MS = 10_000

export interface OpenHooks extends GenerationEvents {
  /** An error that ended the connection: commands may reject with the same one. */
  readonly connectionError: (error: Error) => void
}

/** Rejects with a RipstopError, `sent: 'no'`. */
export function openConnection(settings: RedisSettings, ctx: Ctx, hooks: OpenHooks): Promise<Redis> {
  return new Promise((resolve, reject) => {
    const { signal } = ctx
    if (signal.aborted) return reject(openFault(signal.reason, settings))
    let step: 'opening' | 'open' | 'over' = 'opening'
    const end = (why: unknown): void => {
      const before = step
      step = 'over'
      signal.removeEventListener('abort', over)
      if (before === 'opening') {
        closeConnection(redis)
        reject(openFault(why, settings))
      } else if (before === 'open') hooks.lost(why)
    }
    const over = (): void => end(signal.reason)
    const answeredError = (error: Error): void => {
      // Later, so that the caller whose command it was hears of it first.
      if (step === 'open' && isDisproving(error)) setImmediate(() => end(error))
    }
    const redis = new Redis(createOptions(settings, ctx, answeredError))
    redis.on('error', (error: Error) => {
      hooks.connectionError(error)
      end(error) // also where ioredis would go on: a SELECT that failed leaves it ready in the wrong database
    })
    redis.on('close', () => end(new Error('the connection was closed')))
    signal.addEventListener('abort', over)
    redis.connect().then(
      () => {
        if (step !== 'opening') return
        step = 'open'
        signal.removeEventListener('abort', over)
        resolve(redis)
      },
      (error) => end(error),
    )
  })
}

/** Synchronous and final. `disconnect` alone would wait for the peer's FIN, which a silent peer never sends. */
export function closeConnection(redis: Redis): void {
  redis.disconnect(false)
  // Undefined while the name is still being looked up; then `disconnect` itself prevents the socket.
  const stream: Redis['stream'] | undefined = redis.stream
  stream?.destroy()
}

/**
 * One round trip, PING and HELLO written together. PING is refused while loading and by a replica cut off from its primary;
 * HELLO tells the role without the rights that ROLE and INFO need. Throws PEER_WRONG_ROLE for a replica.
 */
export async function proveConnection(redis: Redis, settings: RedisSettings): Promise<void> {
  const [ping, hello] = (await redis.pipeline([['ping'], ['hello']]).exec()) ?? []
  const refused = replyPrefixOf(ping?.[0])
  // It can't persist: reads are served and nothing better is to be had, so writers are told one by one.
  if (ping?.[0] && refused !== 'MISCONF') throw refused === 'MASTERDOWN' ? wrongRole(settings) : ping[0]
  if (hello?.[0]) throw hello[0]
  const role = readRole(hello?.[1])
  if (role !== 'master') throw wrongRole(settings)
}

/** HELLO's answer as ioredis gives a map: names and values in turn. */
function readRole(answer: unknown): unknown {
  return Array.isArray(answer) ? answer[answer.indexOf('role') + 1] : undefined
}

function wrongRole(settings: RedisSettings): RipstopError {
  return new RipstopError('PEER_WRONG_ROLE', `redis: ${formatTarget(settings)} is a replica`, { sent: 'no' })
}

function openFault(why: unknown, settings: RedisSettings): RipstopError {
  const refused = /^(?:WRONGPASS|NOAUTH|NOPERM)$/.test(replyPrefixOf(why) ?? '')
  // A refused login may name the user: no part of the credentials belongs in a message, nor in what is logged with it.
  const said = refused ? 'it refused the login' : why instanceof Error ? why.message : String(why)
  const code = refused ? 'PEER_REFUSED' : 'LINK_LOST'
  return new RipstopError(code, `redis: ${said}, opening ${formatTarget(settings)}`, {
    ...(refused ? {} : { cause: why }),
    sent: 'no',
  })
}

/** Every option is said, even where it is ioredis's default: defaults changed with 6.0 and will again. */
function createOptions(
  settings: RedisSettings,
  ctx: Ctx,
  answeredError: (error: Error) => void,
): IoredisOptions & { replyMapping: 'legacy' } {
  return {
    host: settings.host,
    port: settings.port,
    family: 0,
    username: settings.username,
    password: settings.password(),
    db: settings.database,
    ...(settings.tls === false ? {} : { tls: settings.tls }),
    connectionName: settings.name,
    lazyConnect: true,
    connectTimeout: Number.isFinite(ctx.remainingMs) ? Math.ceil(ctx.remainingMs) : 0,
    disconnectTimeout: 100,
    keepAlive: KEEP_ALIVE_MS,
    noDelay: true,
    // The link reconnects, retries, waits and gives up: ioredis does none of it.
    retryStrategy: () => null,
    reconnectOnError: (error) => {
      answeredError(error)
      return false
    },
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableReadyCheck: false, // it waits for a loading server on a timer of its own; the probe refuses it instead
    maxLoadingRetryTime: 0,
    // commandTimeout, socketTimeout and blockingTimeout stay unset: deadlines are the link's, and a probe finds silence.
    enableAutoPipelining: false,
    autoPipeliningIgnoredCommands: [],
    disableClientInfo: true,
    readOnly: false,
    monitor: false,
    stringNumbers: false,
    protocol: 3,
    replyMapping: 'legacy',
    keyPrefix: '',
  }
}
