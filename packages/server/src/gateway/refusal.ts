// Refusals. What a client gets instead of an answer of the upstream: the error envelope of the API. Messages name the
// upstream as the configuration does, and never an address behind the gateway.

import { type IncomingMessage, STATUS_CODES as REASONS, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Code, isRipstopError, RipstopError } from '@ripstop/kernel'

export interface Refusal {
  readonly status: number
  /** Names and values by turns. */
  readonly headers: readonly string[]
  readonly body: string | Buffer
}

export interface RefusalFacts {
  readonly upstream?: string
  readonly traceId?: string
}

/** Why a call through the upstream's link failed, for somebody who must not learn what is behind it. */
const LINK_MESSAGES: Readonly<Partial<Record<Code, string>>> = {
  DEADLINE_EXCEEDED: 'gave no answer in time',
  LINK_DOWN: 'is down',
  LINK_LOST: 'broke the connection before it had answered',
  LINK_CLOSED: 'is no longer served by this process',
  OVERLOADED: 'has more requests than it can take',
  BREAKER_OPEN: 'failed most recent requests',
  PEER_FAILED: 'gave an answer that is not valid HTTP',
}

export function createRefusal(error: unknown, facts: RefusalFacts): Refusal {
  const known = isRipstopError(error) ? error : new RipstopError('INTERNAL', 'the gateway failed', { cause: error })
  const message = describe(known, facts.upstream)
  const retryAfterMs = known.retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(known.retryAfterMs))
  const details = {
    ...known.details,
    ...(facts.upstream === undefined ? {} : { upstream: facts.upstream }),
    ...(known.sent === undefined ? {} : { sent: known.sent }),
    ...(facts.traceId === undefined ? {} : { trace_id: facts.traceId }),
  }
  const body = JSON.stringify({
    error: {
      code: known.code,
      message,
      ...(Object.keys(details).length === 0 ? {} : { details }),
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    },
  })
  const headers = ['Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(Buffer.byteLength(body))]
  headers.push('Cache-Control', 'no-store')
  if (retryAfterMs !== undefined) headers.push('Retry-After', String(Math.ceil(retryAfterMs / 1_000)))
  if (known.code === 'UNAUTHENTICATED') headers.push('WWW-Authenticate', 'Bearer')
  return { status: known.http, headers, body }
}

function describe(error: RipstopError, upstream: string | undefined): string {
  const said = LINK_MESSAGES[error.code]
  return said === undefined || upstream === undefined ? error.message : `the upstream ${upstream} ${said}`
}

/** Read and thrown away after a refusal, so that the client gets to read it: closing at once would reset what is on its way. */
const LINGER_BYTES_MAX = 1_048_576
/** A rest of this much is read by node itself, and the connection lives on. */
const REST_BYTES_MAX = 65_536

/**
 * Writes a refusal. If most of a body is still to come, the connection is closed after it: the answer's last byte goes
 * out at once, the rest of the body is read for as long as it is not too much, and whoever owns the response ends it by
 * its idle bound. `endsNow`: nothing more is to come that would be worth reading.
 */
export function sendRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  extra: readonly string[],
  endsNow: boolean,
): void {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers
  const isLong = !request.complete && (encoding !== undefined || Number(length) > REST_BYTES_MAX)
  const mustClose = isLong || endsNow
  response.writeHead(refusal.status, [...refusal.headers, ...extra, ...(mustClose ? ['Connection', 'close'] : [])])
  if (!isLong || endsNow) {
    response.end(refusal.body)
    return
  }
  response.write(refusal.body)
  let left = LINGER_BYTES_MAX
  const end = (): void => void response.end()
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) end()
  })
  request.once('end', end)
  request.once('error', end)
  request.resume()
}

/** The same on a bare socket, which is closed after it. */
export function sendRawRefusal(socket: Duplex, refusal: Refusal, extra: readonly string[]): void {
  if (socket.destroyed) return
  const lines = [`HTTP/1.1 ${refusal.status} ${REASONS[refusal.status] ?? 'Error'}`]
  const headers = [...refusal.headers, ...extra, 'Connection', 'close']
  for (let index = 0; index < headers.length; index += 2) lines.push(`${headers[index]}: ${headers[index + 1]}`)
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  socket.end(refusal.body, () => socket.destroy())
}
