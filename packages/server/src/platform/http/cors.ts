// CORS. Which origins' pages may read our answers: those of ALLOWED_ORIGINS, named one by one in the answer. No cookies
// are used, so credentials are never allowed.

import type { IncomingMessage, ServerResponse } from 'node:http'

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
const HEADERS =
  'Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, Prefer, Traceparent, X-Api-Key, X-Request-Id'
const EXPOSED =
  'Deprecation, ETag, Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, Sunset, Traceparent, X-Request-Id'
const PREFLIGHT_SECONDS = '600'

/** Adds the headers where the origin is allowed. True: it was a preflight and is answered. */
export function applyCors(
  request: IncomingMessage,
  response: ServerResponse,
  allowedOrigins: ReadonlySet<string>,
): boolean {
  if (allowedOrigins.size === 0) return false
  response.appendHeader('Vary', 'Origin')
  const { origin } = request.headers
  if (origin === undefined || !(allowedOrigins.has(origin) || allowedOrigins.has('*'))) return false
  response.setHeader('Access-Control-Allow-Origin', origin)
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) {
    response.setHeader('Access-Control-Expose-Headers', EXPOSED)
    return false
  }
  response.setHeader('Access-Control-Allow-Methods', METHODS)
  response.setHeader('Access-Control-Allow-Headers', HEADERS)
  response.setHeader('Access-Control-Max-Age', PREFLIGHT_SECONDS)
  response.writeHead(204).end()
  return true
}
