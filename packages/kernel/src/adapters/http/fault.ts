// What a failure of an HTTP peer means to a caller: the one place that reads undici's and the system's codes.
// Whether bytes went out is known only to whoever watched the request start, so it is a parameter; the codes alone can
// promise `no` only for what fails before a connection exists.

import { RipstopError, type RipstopErrorOptions, type Sent } from '../../errors.ts'

/** No connection came to be: nothing of the request can have been sent. */
const UNCONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENFILE',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_CLOSED', // the pool was closed or destroyed before it took the request
  'UND_ERR_DESTROYED',
])
const LOST: ReadonlySet<string> = new Set([
  'UND_ERR_SOCKET',
  'UND_ERR_INFO',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ECONNABORTED',
])
const LATE: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])
/** It answered, but not with HTTP that can be passed on. */
const GARBLED: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_RES_EXCEEDED_MAX_SIZE',
])
const TLS = /^(CERT_|ERR_TLS_|ERR_SSL_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)/

/**
 * A failure of the peer or of the way to it; undefined: an answer, or a mistake of the caller's own. `started`: did the
 * request's first byte go to a connection? Undefined where nobody watched.
 */
export function httpFault(error: unknown, started?: boolean): RipstopError | undefined {
  const code = codeOf(error)
  if (code === undefined) return undefined
  const say = (sent: Sent): RipstopErrorOptions => ({
    cause: error,
    sent: started === undefined ? sent : started ? 'maybe' : 'no',
  })
  if (UNCONNECTED.has(code) || TLS.test(code)) return new RipstopError('LINK_DOWN', `no connection: ${code}`, say('no'))
  if (LOST.has(code))
    return new RipstopError('LINK_LOST', `the connection broke: ${describe(error, code)}`, say('maybe'))
  if (LATE.has(code)) return new RipstopError('DEADLINE_EXCEEDED', `the answer stalled: ${code}`, say('maybe'))
  if (GARBLED.has(code) || code.startsWith('HPE_')) {
    return new RipstopError('PEER_FAILED', `the answer is not valid HTTP: ${describe(error, code)}`, say('maybe'))
  }
  return undefined
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.name === 'HTTPParserError' ? 'HPE_INVALID' : undefined // undici leaves its code out
}

function describe(error: unknown, code: string): string {
  return error instanceof Error && error.message !== '' ? `${error.message} (${code})`.slice(0, 200) : code
}
