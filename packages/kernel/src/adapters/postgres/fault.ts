// What a failure of Postgres means to a caller: the one place that reads SQLSTATEs (Postgres 18, appendix A).
// `sent: 'no'` is a promise that nothing was applied. A statement or transaction that the server ended with an ERROR was
// rolled back, so it holds; where the server ended the whole connection, or nobody answered, it does not.

import { RipstopError, type Sent } from '../../errors.ts'

interface Meaning {
  readonly code: 'LINK_LOST' | 'PEER_FAILED' | 'PEER_REFUSED' | 'PEER_WRONG_ROLE' | 'DEADLINE_EXCEEDED'
  readonly sent: Sent
}

const LOST: Meaning = { code: 'LINK_LOST', sent: 'maybe' }
const FAILED: Meaning = { code: 'PEER_FAILED', sent: 'no' }

/** By SQLSTATE, else by its class. What is not here is an answer about the caller's own statement. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  '08': LOST, // connection exception; poolers report everything with 08P01
  '25006': { code: 'PEER_WRONG_ROLE', sent: 'no' }, // read-only transaction: a primary that was demoted
  '25P03': LOST, // idle in transaction for too long: the server closed the connection
  '25P04': LOST, // transaction timeout
  '28': { code: 'PEER_REFUSED', sent: 'no' }, // login
  '3D000': { code: 'PEER_REFUSED', sent: 'no' }, // no such database
  '40001': FAILED, // serialization failure
  '40P01': FAILED, // deadlock
  '53': FAILED, // too many connections, disk full, out of memory
  '57014': { code: 'DEADLINE_EXCEEDED', sent: 'no' }, // statement_timeout, or somebody cancelled it
  '57P01': LOST, // admin shutdown
  '57P02': LOST, // crash shutdown: another backend died
  '57P03': FAILED, // starting up or shutting down
  '57P04': LOST, // the database was dropped
  '57P05': LOST, // idle session timeout
  '58': FAILED, // system error, as an I/O error
  XX: FAILED, // internal error, corrupted data
}

/** The SQLSTATE of a server's error; undefined for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('severity' in error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** A failure of the server or of the way to it; undefined: an answer (or a mistake of the caller's own). */
export function postgresFault(error: unknown): RipstopError | undefined {
  const sqlState = sqlStateOf(error)
  if (sqlState === undefined || !(error instanceof Error)) return undefined
  const meaning = MEANINGS[sqlState] ?? MEANINGS[sqlState.slice(0, 2)]
  if (meaning === undefined) return undefined
  const { code, sent } = meaning
  // A refused login names the user: no part of the credentials belongs in a message, nor in what is logged with it.
  if (sqlState.startsWith('28')) {
    return new RipstopError(code, `postgres: it refused the login (${sqlState})`, { sent, details: { sqlState } })
  }
  const message = `postgres: ${error.message} (${sqlState})`
  return new RipstopError(code, message, { cause: error, sent, details: { sqlState } })
}

/** Why a connection could not be opened: always a fault, and never were a statement's bytes sent. */
export function openFault(error: unknown, where: string): RipstopError {
  const fault = postgresFault(error)
  const sqlState = sqlStateOf(error)
  const code = fault?.code ?? (sqlState === undefined ? 'LINK_LOST' : 'PEER_REFUSED')
  const message = fault?.message ?? `postgres: ${error instanceof Error ? error.message : String(error)}`
  return new RipstopError(code, `${message}, opening ${where}`, {
    cause: fault === undefined ? error : fault.cause,
    sent: 'no',
    ...(sqlState === undefined ? {} : { details: { sqlState } }),
  })
}

/** The same failure, for a caller whose earlier statements may have been applied. */
export function asSent(fault: RipstopError, sent: Sent): RipstopError {
  if (fault.sent === sent) return fault
  return new RipstopError(fault.code, fault.message, {
    cause: fault.cause ?? fault,
    details: fault.details,
    sent,
    ...(fault.retryAfterMs === undefined ? {} : { retryAfterMs: fault.retryAfterMs }),
  })
}
