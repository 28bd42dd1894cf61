// Answers on the wire: the headers that every answer has, and the three kinds of body.

import type { ServerResponse } from 'node:http'
import { RipstopError } from '@ripstop/kernel'
import { z } from 'zod'
import type { EventStreams, OpenStream } from './event-stream.ts'
import type { Answer, Deprecation, ResponseKind, Route } from './route.ts'

/** Nothing here may be framed, guessed or kept; pages bring a policy of their own. */
export function setSecurityHeaders(response: ServerResponse): void {
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('X-Frame-Options', 'DENY')
  response.setHeader('Referrer-Policy', 'no-referrer')
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
  response.setHeader('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'")
  response.setHeader('Cache-Control', 'no-store')
}

export interface AnswerDeps {
  readonly streams: EventStreams
  /** In tests: an answer that is not what its schema says becomes INTERNAL. */
  readonly checkAnswers: boolean
}

export function sendAnswer(
  deps: AnswerDeps,
  route: Route,
  response: ServerResponse,
  answer: Answer<ResponseKind>,
): void {
  if (response.destroyed) return
  const headers = { ...deprecationHeaders(route.deprecated), ...answer.headers }
  if (route.response === 'text/event-stream') {
    if (response.req.method === 'HEAD') response.writeHead(200, { 'Content-Type': route.response }).end()
    else deps.streams.open(response, headers, answer.body as OpenStream)
    return
  }
  const status = answer.status ?? route.status ?? 200
  if (status === 204) {
    response.writeHead(status, headers).end()
    return
  }
  const text = typeof route.response === 'string'
  const body = text ? (answer.body as string) : JSON.stringify(checked(deps, route, answer.body))
  const type = typeof route.response === 'string' ? route.response : 'application/json'
  response.writeHead(status, {
    'Content-Type': type.includes('charset') ? type : `${type}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(body)
}

function checked(deps: AnswerDeps, route: Route, body: unknown): unknown {
  if (!deps.checkAnswers || !(route.response instanceof z.ZodType)) return body
  const parsed = route.response.safeParse(body)
  if (parsed.success) return body
  throw new RipstopError('INTERNAL', `${route.method} ${route.path} answers what its schema forbids`, {
    details: { problems: z.prettifyError(parsed.error) },
  })
}

/** RFC 9745 and RFC 8594. */
function deprecationHeaders(deprecated: Deprecation | undefined): Record<string, string> {
  if (deprecated === undefined) return {}
  const headers: Record<string, string> = { Deprecation: `@${Math.floor(Date.parse(deprecated.since) / 1000)}` }
  if (deprecated.sunset !== undefined) headers.Sunset = new Date(deprecated.sunset).toUTCString()
  if (deprecated.instead !== undefined) headers.Link = `<${deprecated.instead}>; rel="successor-version"`
  return headers
}
