// The entrance: which session a request asks for, and what it shows.
// Browsers can't set headers of a WebSocket, so what would be in Authorization may come as a subprotocol, or in the query for clients of SyncKairos.
// Invariants:
//   WX6. Whoever shows something that is no token is refused, also where nothing would have let him in; an API key is none, since addresses
//        end up in logs: it belongs in a header.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { RipstopError } from '@ripstop/kernel'
import { SESSION_PROTOCOL, TOKEN_PROTOCOL } from '@ripstop/protocol/sessions'

export interface Entrance {
  /** Empty: none was named. */
  readonly sessionId: string
  /** As for any request: `authorization` or `x-api-key`, or neither. */
  readonly headers: IncomingHttpHeaders
}

const PATH = '/ws'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isForSockets({ url = '' }: IncomingMessage): boolean {
  return url === PATH || url.startsWith(`${PATH}?`)
}

/** Undefined: SyncKairos's protocol is spoken, and none is named. */
export function chooseProtocol(offered: ReadonlySet<string>): string | undefined {
  return offered.has(SESSION_PROTOCOL) ? SESSION_PROTOCOL : undefined
}

/** Throws UNAUTHENTICATED (WX6). */
export function readEntrance({ url = '', headers }: IncomingMessage): Entrance {
  const query = new URLSearchParams(url.slice(PATH.length + 1))
  const sessionId = query.get('sessionId') ?? ''
  const { authorization, 'x-api-key': apiKey } = headers
  if (authorization !== undefined || apiKey !== undefined) {
    return { sessionId, headers: { ...(authorization && { authorization }), ...(apiKey && { 'x-api-key': apiKey }) } }
  }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  const token =
    offered.find((name) => name.startsWith(TOKEN_PROTOCOL))?.slice(TOKEN_PROTOCOL.length) ?? query.get('token')
  if (token === null) return { sessionId, headers: {} }
  if (!/^rst_[\w.-]+$/.test(token)) {
    throw new RipstopError(
      'UNAUTHENTICATED',
      'this is no session token; an API key is sent as `Authorization: Bearer rs_…`',
    )
  }
  return { sessionId, headers: { authorization: `Bearer ${token}` } }
}

export function isSessionId(text: string): boolean {
  return UUID.test(text)
}
