// Control API. Fastify finds the route and reads the body, with a bound; everything else is ours, so that every answer,
// whoever gives it, has one shape: trace, security headers, credentials, checking, envelope.
// Order: headers -> CORS -> route -> credentials -> body -> schemas -> handler. Nothing of a body is read for a stranger.
// Invariants:
//   HA1. Every answer but a success is the typed envelope: unknown route, wrong method, broken URL, body of the wrong
//        type, size, encoding or form, and what nobody foresaw.
//   HA2. A request's ctx ends with the request: at its deadline, with its client, or when the answer is out.
//   HA3. What is INTERNAL shows the trace id and nothing else.
//   HA4. A request is as old as its last byte: who sends the head early and the body late gains nothing.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { background, type Env, type Metrics, RipstopError } from '@ripstop/kernel'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '#platform/telemetry'
import { sendAnswer, setSecurityHeaders } from './answer.ts'
import { applyCors } from './cors.ts'
import { EventStreams } from './event-stream.ts'
import { beginExchange, type Exchange } from './exchange.ts'
import { parseJsonBody } from './json-body.ts'
import { type Authenticate, type Principal, requireScopes } from './principal.ts'
import { fingerprintOf, type IdempotencyKey, type RawRequest, type Route } from './route.ts'
import { sendError, toEdgeError } from './send-error.ts'
import { parseRequest } from './validation.ts'

export interface ControlApiDeps {
  readonly env: Env
  readonly log: Log
  readonly metrics: Metrics
  readonly routes: readonly Route[]
  readonly authenticate: Authenticate
  /** Origins as browsers write them, or `*`. */
  readonly allowedOrigins: readonly string[]
  readonly bodyBytesMax: number
  /** Whose request it is; default: the address of the connection. */
  readonly addressOf?: (request: IncomingMessage) => string
  /** Longest request. */
  readonly deadlineMs?: number
  /** For tests: answers are held against their schemas. */
  readonly checkAnswers?: boolean
}

export interface ControlApi extends AsyncDisposable {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
  /** Ends event streams, which would hold a shutdown up for ever. */
  readonly drain: () => void
}

const DEADLINE_MS = 10_000
const PATH_PART_LENGTH_MAX = 200
const NOBODY: Principal = { tenantId: '', actor: 'nobody', keyId: undefined, scopes: [] }
const NO_BYTES = Buffer.alloc(0)
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/

/** Throws TypeError for two routes with one method and path. */
export async function startControlApi(deps: ControlApiDeps): Promise<ControlApi> {
  const { env, metrics } = deps
  const root = background(env)
  const origins = new Set(deps.allowedOrigins)
  const exchanges = new WeakMap<IncomingMessage, Exchange>()
  const dropped = metrics.counter('http_event_streams_dropped_total', 'Streams whose client did not read')
  const streams = new EventStreams({ env, onDropped: () => dropped.add(1) })
  const open = metrics.gauge('http_event_streams_open', 'Event streams that are open')
  metrics.collect(() => open.set(streams.size))
  const answering = { streams, checkAnswers: deps.checkAnswers ?? false }

  const exchangeOf = (request: FastifyRequest): Exchange => exchanges.get(request.raw) as Exchange
  const hearBody: HearBody = (request, bytes) => takeBody(exchangeOf(request), bytes, env)
  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const exchange = exchangeOf(request)
    const known = toEdgeError(error, exchange.traceId)
    logFailure(deps.log, known, exchange)
    reply.hijack()
    sendError(reply.raw, known)
  }
  const app = await createFastify(deps.bodyBytesMax, fail)
  const addRoute = (scope: FastifyInstance, route: Route): void => {
    scope.route({
      method: route.method,
      url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      ...(route.bodyBytesMax === undefined ? {} : { bodyLimit: route.bodyBytesMax }),
      onRequest: async (request) => {
        const exchange = exchangeOf(request)
        exchange.route = route
        if (route.scopes === 'public') return
        exchange.principal = await deps.authenticate(request.headers, exchange.ctx)
        requireScopes(exchange.principal, route.scopes)
      },
      handler: async (request, reply) => {
        const answer = await answerOf(route, request, exchangeOf(request), deps)
        sendAnswer(answering, route, reply.raw, answer)
        reply.hijack()
      },
    })
  }
  app.register(async (scope) => {
    takeJson(scope, hearBody)
    for (const route of deps.routes) if (route.takes !== 'raw') addRoute(scope, route)
  })
  app.register(async (scope) => {
    takeRaw(scope, hearBody)
    for (const route of deps.routes) if (route.takes === 'raw') addRoute(scope, route)
  })
  const methodsOf = createMethodFinder(deps.routes)
  app.setNotFoundHandler({ preHandler: async () => {} }, () => {})
  app.addHook('onRequest', async (request) => {
    if (request.is404) throw noRoute(request, methodsOf)
  })
  await app.ready()

  const exchanging = { env, metrics, root, deadlineMs: deps.deadlineMs ?? DEADLINE_MS }
  return {
    handle: (request, response) => {
      exchanges.set(request, beginExchange(exchanging, request, response))
      setSecurityHeaders(response)
      if (!applyCors(request, response, origins)) app.routing(request, response)
    },
    drain: () => streams.drain(),
    [Symbol.asyncDispose]: async () => {
      streams.drain()
      await app.close()
    },
  }
}

type Fail = (error: unknown, request: FastifyRequest, reply: FastifyReply) => void

/** Loaded here: modules with routes are also in processes without an API, which fastify would cost 17 MB. */
async function createFastify(bodyLimit: number, fail: Fail): Promise<FastifyInstance> {
  const { fastify } = await import('fastify')
  const app = fastify({
    bodyLimit,
    frameworkErrors: (error, request, reply) => fail(error, request, reply),
    routerOptions: { maxParamLength: PATH_PART_LENGTH_MAX },
  })
  app.removeAllContentTypeParsers()
  app.setErrorHandler((error, request, reply) => fail(error, request, reply))
  return app
}

/** HA4. */
function takeBody(exchange: Exchange, bytes: Buffer, { clock }: Env): void {
  exchange.body = bytes
  if (!exchange.isWhole) exchange.receivedMonoMs = clock.monoMs()
}

type HearBody = (request: FastifyRequest, bytes: Buffer) => void

function takeJson(scope: FastifyInstance, hearBody: HearBody): void {
  const parse = async (request: FastifyRequest, bytes: Buffer): Promise<unknown> => {
    hearBody(request, bytes)
    return parseJsonBody(bytes)
  }
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, parse)
}

function takeRaw(scope: FastifyInstance, hearBody: HearBody): void {
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, bytes: Buffer) =>
    hearBody(request, bytes),
  )
}

type AnswerDeps = Pick<ControlApiDeps, 'addressOf' | 'log'>

async function answerOf(route: Route, request: FastifyRequest, exchange: Exchange, { addressOf, log }: AnswerDeps) {
  const { method, url, headers } = request
  const parsed = parseRequest(route, { body: request.body, query: request.query, params: request.params })
  const idempotency =
    method === 'POST' ? idempotencyOf(headers['idempotency-key'], method, url, exchange.body) : undefined
  const lastEventId = headers['last-event-id']
  const { ctx, traceId, receivedMonoMs, response } = exchange
  return route.handle({
    ...parsed,
    // A public route's handler is typed to have a principal too, but has no use for it.
    principal: exchange.principal ?? NOBODY,
    idempotency,
    lastEventId: typeof lastEventId === 'string' ? lastEventId : undefined,
    ifMatch: headers['if-match'],
    receivedMonoMs,
    address: addressOf?.(request.raw) ?? request.raw.socket.remoteAddress ?? '',
    setHeader: (name, value) => void response.setHeader(name, value),
    raw: route.takes === 'raw' ? rawOf(request, exchange.body ?? NO_BYTES) : undefined,
    traceId,
    ctx,
    log,
  })
}

function rawOf({ headers }: FastifyRequest, bytes: Buffer): RawRequest {
  return { headers, bytes, json: () => parseJsonBody(bytes) }
}

function idempotencyOf(
  key: string | readonly string[] | undefined,
  method: string,
  url: string,
  body: Buffer | undefined,
): IdempotencyKey | undefined {
  if (key === undefined) return undefined
  if (typeof key === 'string' && IDEMPOTENCY_KEY.test(key))
    return { key, requestSha256: fingerprintOf(method, url, body) }
  throw new RipstopError('BAD_REQUEST', 'Idempotency-Key must be 1 to 255 visible ASCII characters, once', {
    details: { problems: [{ field: 'header.idempotency-key', problem: 'must be 1 to 255 visible ASCII characters' }] },
  })
}

function noRoute(request: FastifyRequest, methodsOf: (path: string) => readonly string[]): RipstopError {
  const path = request.url.split('?', 1)[0] ?? ''
  const allowed = methodsOf(path)
  if (allowed.length === 0) return new RipstopError('NOT_FOUND', 'there is nothing at this path')
  return new RipstopError('METHOD_NOT_ALLOWED', `this path takes ${allowed.join(', ')}`, {
    details: { allow: allowed },
  })
}

/** The methods of the routes that a path fits; only asked where none fitted. */
function createMethodFinder(routes: readonly Route[]): (path: string) => readonly string[] {
  const patterns = routes.map(({ method, path }) => ({
    method,
    pattern: new RegExp(`^${path.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&').replaceAll(/\{\w+\}/g, '[^/]+')}$`),
  }))
  return (path) => {
    const methods = new Set<string>(patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))
    if (methods.has('GET')) methods.add('HEAD')
    return [...methods].sort()
  }
}

/** Failures of links have been told of by the link; a client's mistakes are the client's. */
function logFailure(log: Log, error: RipstopError, { route, traceId, requestId }: Exchange): void {
  if (error.http < 500) return
  const fields = { code: error.code, method: route?.method, route: route?.path, traceId, requestId, why: error.message }
  if (error.code === 'INTERNAL') log.error({ event: 'http.defect', ...fields, error: error.cause ?? error })
  else log.warn({ event: 'http.failed', ...fields })
}
