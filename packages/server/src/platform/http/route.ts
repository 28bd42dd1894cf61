// Routes as data. A module writes what a route takes and gives as zod schemas of the wire, and a handler between the
// two; checking, documents and errors follow from the schemas. Handlers turn wire into domain types and back, and no
// wire type goes deeper.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Ctx } from '@ripstop/kernel'
import type { z } from 'zod'
import type { Log } from '#platform/telemetry'
import type { OpenStream } from './event-stream.ts'
import type { Principal } from './principal.ts'

/** A request is done once however often it is sent: the key it came with, and what it must be the same in. */
export interface IdempotencyKey {
  readonly key: string
  readonly requestSha256: Buffer
}

/** A request as it came: what a signature was made over. */
export interface RawRequest {
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  /** The body as JSON. Throws BAD_REQUEST that says where it breaks; empty is undefined. */
  readonly json: () => unknown
}

export interface RouteRequest<Body, Query, Params> {
  readonly principal: Principal
  readonly body: Body
  readonly query: Query
  readonly params: Params
  /** On every POST, if the client sent an Idempotency-Key: the handler records it with the effect, in one statement. */
  readonly idempotency: IdempotencyKey | undefined
  readonly lastEventId: string | undefined
  readonly ifMatch: string | undefined
  /** When the last byte of the request came in, on the monotonic clock: what somebody's time is charged by. */
  readonly receivedMonoMs: number
  /** Whose request it is, where no key tells: the address, behind trusted proxies the client's. */
  readonly address: string
  /** Of the answer, whatever it will be. */
  readonly setHeader: (name: string, value: string) => void
  /** On routes that take `raw` bodies. */
  readonly raw: RawRequest | undefined
  readonly traceId: string
  /** Over at the route's deadline or when the client goes away. */
  readonly ctx: Ctx
  readonly log: Log
}

/** `data` schemas are JSON; a content type is text as it stands; an event stream is handed the open stream. */
export type ResponseKind =
  | z.ZodType
  | 'text/html'
  | 'text/plain; version=0.0.4'
  | 'application/json'
  | 'text/event-stream'

export interface Answer<R extends ResponseKind> {
  readonly body: R extends z.ZodType ? z.input<R> : R extends 'text/event-stream' ? OpenStream : string
  /** Instead of the route's own. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
}

export interface Deprecation {
  /** ISO dates. */
  readonly since: string
  readonly sunset?: string
  /** Where to go instead. */
  readonly instead?: string
}

interface RouteShape {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** As in OpenAPI: `/v1/keys/{key_id}`. */
  readonly path: string
  readonly summary: string
  /** All of them are needed; `public` needs no key at all. */
  readonly scopes: readonly string[] | 'public'
  readonly status?: number
  /** Statuses beside `status` that have the same body. */
  readonly otherStatuses?: readonly number[]
  readonly deprecated?: Deprecation
  /** `told`: the answer has an ETag; `matched`: and If-Match lets the request pass only where it is still that. */
  readonly eTag?: 'told' | 'matched'
  /** Instead of the server's own limit. */
  readonly bodyBytesMax?: number
  /** `raw`: a body of any type, which is not looked into before the handler does; without it JSON, as `body` says. */
  readonly takes?: 'raw'
}

interface RouteDefinition<B extends z.ZodType, Q extends z.ZodType, P extends z.ZodType, R extends ResponseKind>
  extends RouteShape {
  readonly body?: B
  readonly query?: Q
  readonly params?: P
  readonly response: R
  readonly handle: (
    request: RouteRequest<z.output<B>, z.output<Q>, z.output<P>>,
  ) => Answer<NoInfer<R>> | Promise<Answer<NoInfer<R>>>
}

/** A route with its types erased: the server checks what comes in before the handler sees it. */
export interface Route extends RouteShape {
  readonly body: z.ZodType | undefined
  readonly query: z.ZodType | undefined
  readonly params: z.ZodType | undefined
  readonly response: ResponseKind
  readonly handle: (
    request: RouteRequest<unknown, unknown, unknown>,
  ) => Answer<ResponseKind> | Promise<Answer<ResponseKind>>
}

export function route<
  R extends ResponseKind,
  B extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  P extends z.ZodType = z.ZodUndefined,
>(definition: RouteDefinition<B, Q, P, R>): Route {
  const { body, query, params, handle, ...shape } = definition
  return { ...shape, body, query, params, handle: handle as Route['handle'] }
}

/** What must be the same for a request to be the same: its method, its target and its body, byte by byte. */
export function fingerprintOf(method: string, url: string, body: Buffer | undefined): Buffer {
  const hash = createHash('sha256').update(`${method} ${url}\n`)
  return (body === undefined ? hash : hash.update(body)).digest()
}
