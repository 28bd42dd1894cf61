// What a failure of a WebSocket means to a caller: the one place that reads the codes of ws and of the system.

import { RipstopError } from '../../errors.ts'

/** No connection came to be: nothing can have been sent. */
const UNCONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EMFILE',
  'ENFILE',
])
const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED'])

/** A failure of the peer or of the way to it; undefined: a mistake of the caller's own. */
export function websocketFault(error: unknown): RipstopError | undefined {
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (UNCONNECTED.has(code))
    return new RipstopError('LINK_DOWN', `no connection: ${code}`, { cause: error, sent: 'no' })
  if (LOST.has(code))
    return new RipstopError('LINK_LOST', `the connection broke: ${code}`, { cause: error, sent: 'maybe' })
  // WS_ERR_INVALID_…, WS_ERR_UNSUPPORTED_…: the peer's frames or its close broke the protocol.
  if (code.startsWith('WS_ERR_'))
    return new RipstopError('PEER_FAILED', `websocket: ${code}`, { cause: error, sent: 'maybe' })
  return undefined
}

/** Why a connection could not be opened: always a fault, and never was a message sent. */
export function openFault(error: unknown, target: string): RipstopError {
  const said = error instanceof Error ? error.message : String(error)
  const code = websocketFault(error)?.code ?? 'PEER_FAILED' // an answer other than 101, a refused subprotocol
  return new RipstopError(code, `websocket: ${said}, opening ${target}`.slice(0, 300), { cause: error, sent: 'no' })
}
