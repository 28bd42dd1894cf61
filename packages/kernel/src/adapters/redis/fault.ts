// What a failure of Redis means to a caller: the one place that reads its error prefixes and ioredis's errors.
// It never promises `sent: 'no'`: a call may have sent other commands before the one that failed, and the connection is
// ioredis's own object, which can't say whose they were. What never left is refused by the link before it comes here.

import { RipstopError } from '../../errors.ts'

type FaultCode = 'LINK_LOST' | 'PEER_FAILED' | 'PEER_WRONG_ROLE'

/** By the first word of the server's error. What is not here is an answer about the caller's own command. */
const MEANINGS: Readonly<Record<string, FaultCode>> = {
  READONLY: 'PEER_WRONG_ROLE', // a write at a replica: a primary that was demoted
  MASTERDOWN: 'PEER_WRONG_ROLE', // a replica without its primary
  LOADING: 'PEER_FAILED', // it has just started and reads its data
  NOAUTH: 'PEER_FAILED', // the password was changed under us
  BUSY: 'PEER_FAILED', // a script runs for too long, and nobody else is served
  MISCONF: 'PEER_FAILED', // it can't persist and refuses writes
  OOM: 'PEER_FAILED',
  NOREPLICAS: 'PEER_FAILED', // min-replicas-to-write
  TRYAGAIN: 'PEER_FAILED',
  CLUSTERDOWN: 'PEER_FAILED',
  UNKILLABLE: 'PEER_FAILED',
}

/** Errors after which this connection is not what was proved: the link is told, and proves another one. */
const DISPROVING: readonly string[] = ['READONLY', 'MASTERDOWN', 'LOADING', 'NOAUTH']

/** ioredis says these with plain errors: the message is all there is. */
const LOST_MESSAGES: readonly string[] = [
  'Connection is closed.',
  "Stream isn't writeable and enableOfflineQueue options is false",
  'Command aborted due to connection close',
]
const LOST_NAMES: readonly string[] = ['AbortError', 'InterruptError', 'MaxRetriesPerRequestError']

/** The first word of an error that the server answered with; undefined for any other error. */
export function replyPrefixOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined
  return error.message.split(' ', 1)[0]
}

export function isDisproving(error: unknown): boolean {
  return DISPROVING.includes(replyPrefixOf(error) ?? '')
}

/** A failure of the server or of the way to it; undefined: an answer (or a mistake of the caller's own). */
export function redisFault(error: unknown, isOfConnection: boolean): RipstopError | undefined {
  if (!(error instanceof Error)) return undefined
  const prefix = replyPrefixOf(error)
  const lost = isOfConnection || LOST_NAMES.includes(error.name) || LOST_MESSAGES.includes(error.message)
  const code = prefix !== undefined ? MEANINGS[prefix] : lost ? 'LINK_LOST' : undefined
  if (code === undefined) return undefined
  return new RipstopError(code, `redis: ${error.message}`, {
    cause: error,
    sent: 'maybe',
    ...(prefix === undefined ? {} : { details: { prefix } }),
  })
}
