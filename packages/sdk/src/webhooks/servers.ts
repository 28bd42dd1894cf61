// Behind servers. One handler does for node:http and for express, whose requests are node's; fastify parses bodies before
// its handlers run, so it gets a plugin with a parser of its own that leaves the bytes alone.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type RequestLike, rawBodyOf } from './raw-body.ts'
import type { Receive, ReceiveAnswer } from './receive-once.ts'

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** For `createServer(handler)`, or for one path of it. Answers every request that it is given. */
export function toNodeHandler(receive: Receive): NodeHandler {
  return async (request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(405, { allow: 'POST' }).end()
      return
    }
    const answer = await receive({ headers: request.headersDistinct, body: rawBodyOf(request) })
    if (response.destroyed) return
    // The rest of a body that was too long is not waited for.
    const closing = request.complete ? {} : { connection: 'close' }
    response.writeHead(answer.status, { ...answer.headers, ...lengthOf(answer), ...closing }).end(answer.body)
  }
}

/** For `app.post(path, handler)`: before any `app.use(express.json())`, or with `express.raw({ type: () => true })` in front. */
export const toExpress = toNodeHandler

/** What is used of a Fastify instance. */
export interface FastifyLike {
  removeAllContentTypeParsers(): unknown
  addContentTypeParser(type: string, parser: (request: unknown, payload: RequestLike) => Promise<unknown>): unknown
  post(path: string, handler: (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<unknown>): unknown
}

interface FastifyRequestLike {
  readonly raw: IncomingMessage
  readonly body: unknown
}

interface FastifyReplyLike {
  code(status: number): unknown
  headers(values: Readonly<Record<string, string>>): unknown
  send(body: string): unknown
}

/** For `app.register(toFastify(receive, '/webhooks'))`. Its parser is its own: other routes keep theirs. */
export function toFastify(receive: Receive, path: string): (app: FastifyLike) => Promise<void> {
  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', async (_request, payload) => payload)
    app.post(path, async ({ raw, body }, reply) => {
      const answer = await receive({ headers: raw.headersDistinct, body: body ?? new Uint8Array() })
      reply.code(answer.status)
      reply.headers(raw.complete ? answer.headers : { ...answer.headers, connection: 'close' })
      return reply.send(answer.body)
    })
  }
}

function lengthOf({ body }: ReceiveAnswer): Readonly<Record<string, number>> {
  return { 'content-length': Buffer.byteLength(body) }
}
