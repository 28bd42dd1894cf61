// Errors on the wire. Whatever was thrown becomes the one envelope; what is not ours becomes INTERNAL and tells nothing
// but the trace id: messages of drivers hold addresses and statements.

import type { ServerResponse } from 'node:http'
import { type Code, isRipstopError, RipstopError } from '@ripstop/kernel'
import type { ErrorEnvelope } from '@ripstop/protocol'
import '@ripstop/protocol' // registers the codes of the edge: without it every one of them would be a 500

const UNMIGRATED = ['NOT_READY', 'the database is not migrated to this version yet'] as const

/** What fastify throws before a handler runs, and Postgres about a schema that is not there yet, by their codes. */
const FOREIGN_CODES: Readonly<Record<string, readonly [Code, string]>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['UNSUPPORTED_MEDIA_TYPE', 'the body must be JSON'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['PAYLOAD_TOO_LARGE', 'the body is larger than server.body_bytes_max allows'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['BAD_REQUEST', 'the body is not as long as Content-Length says'],
  FST_ERR_BAD_URL: ['BAD_REQUEST', 'the path cannot be decoded'],
  FST_ERR_MAX_PARAM_LENGTH: ['BAD_REQUEST', 'a part of the path is too long'],
  '42P01': UNMIGRATED,
  '42703': UNMIGRATED,
  '3F000': UNMIGRATED,
}

/** The failure as one of our codes; INTERNAL if nobody foresaw it. */
export function toEdgeError(error: unknown, traceId: string): RipstopError {
  if (isRipstopError(error)) return error
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  const known = FOREIGN_CODES[code]
  if (known !== undefined) return new RipstopError(known[0], known[1], { cause: error })
  return new RipstopError('INTERNAL', 'something went wrong on our side', {
    cause: error,
    details: { trace_id: traceId },
  })
}

export function toEnvelope(error: RipstopError): ErrorEnvelope {
  const { code, message, details, retryAfterMs } = error
  const hasDetails = Object.keys(details).length > 0
  return {
    error: {
      code,
      message,
      ...(hasDetails ? { details: { ...details } } : {}),
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: Math.max(0, Math.ceil(retryAfterMs)) }),
    },
  }
}

/** Retry-After is in whole seconds (RFC 9110): rounded up, never 0, or clients would come back at once. */
export function errorHeaders(error: RipstopError): Record<string, string> {
  const headers: Record<string, string> = {}
  if (error.retryAfterMs !== undefined)
    headers['Retry-After'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
  if (error.code === 'UNAUTHENTICATED') headers['WWW-Authenticate'] = 'Bearer realm="ripstop"'
  const { allow } = error.details
  if (error.code === 'METHOD_NOT_ALLOWED' && Array.isArray(allow)) headers.Allow = allow.join(', ')
  return headers
}

/** Sends the typed error on a raw response, if nothing was sent yet; else there is no way to tell but to cut it off. */
export function sendError(response: ServerResponse, error: RipstopError): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = JSON.stringify(toEnvelope(error))
  response.writeHead(error.http, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...errorHeaders(error),
  })
  response.end(body)
}
