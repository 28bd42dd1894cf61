// The one port. A request that the gateway knows goes to its raw path, everything else to the control API; both behind
// the same guard. Every limit is explicit: Node's own defaults let a slow client hold a connection for five minutes and
// a server take connections until it has no file descriptor left.
// Invariants:
//   HS1. No client can hold a connection without making progress: head, whole request and idle time are bounded.
//   HS2. A connection that can't be accepted (no descriptors left, too many) costs that connection only.
//   HS3. Closing refuses new connections at once, lets requests under way end until its ctx is over, then cuts off
//        whatever is left, upgraded sockets included. Closing twice waits twice for the same close.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { background, type Ctx, type Env, type Metrics, RipstopError } from '@ripstop/kernel'
import type { Log } from '#platform/telemetry'
import { type Kept, UnderWay } from '#platform/under-way'
import type { ControlApi } from './control-api.ts'
import { connectionsWithin } from './descriptors.ts'
import type { RequestGuard } from './guard.ts'
import { sendError, toEnvelope } from './send-error.ts'

/** The gateway's raw path beside the control API. */
export interface GatewayPath {
  /** False: it has no route for this, and did nothing. `expectsContinue`: the client waits for leave to send its body. */
  readonly handle: (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => boolean
  /** Has it a route that takes WebSockets for this? */
  readonly mayUpgrade: (request: IncomingMessage) => boolean
  /** The socket is the gateway's from here. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Refuses what is new and lets go of tunnels, which have no end of their own. */
  readonly drain: (ctx: Ctx) => Promise<void>
}

/** WebSockets that end here, before the gateway is asked. */
export interface SocketPath {
  readonly mayUpgrade: (request: IncomingMessage) => boolean
  /** The socket is its own from here, unless it calls `refuse`, which answers by HTTP and closes it. */
  readonly upgrade: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    refuse: (error: RipstopError) => void,
  ) => void
  readonly drain: (ctx: Ctx) => Promise<void>
}

export interface HttpLimits {
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly checkIntervalMs: number
  readonly connectionsMax: number
  readonly closeMs: number
}

/** Idle connections outlive those of common load balancers (60 s), so that these close first and no request is lost. */
const LIMITS: HttpLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 120_000,
  keepAliveTimeoutMs: 65_000,
  checkIntervalMs: 1_000,
  connectionsMax: 20_000,
  closeMs: 10_000,
}

export interface HttpServerDeps {
  readonly env: Env
  readonly log: Log
  readonly metrics: Metrics
  readonly server: { readonly host: string; readonly port: number; readonly headerBytesMax: number }
  readonly guard: RequestGuard
  readonly control: Pick<ControlApi, 'handle' | 'drain'>
  readonly gateway?: GatewayPath
  readonly sockets?: SocketPath
  readonly limits?: Partial<HttpLimits>
}

export interface HttpServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly url: string
  /** Single-flight and idempotent (HS3). */
  readonly close: (ctx: Ctx) => Promise<void>
}

/** Listens. Rejects with CONFIG_INVALID if the address can't be had: waiting would not help. */
export async function startHttpServer(deps: HttpServerDeps): Promise<HttpServer> {
  const { env, server: settings } = deps
  const limits = { ...LIMITS, connectionsMax: connectionsWithin(LIMITS.connectionsMax), ...deps.limits }
  const sockets = new Set<Socket>()
  const underWay = new UnderWay<Kept & { readonly response: ServerResponse }>()
  let closing: Promise<void> | undefined
  const dispatch = createDispatch(deps)
  const server = createServer(
    {
      maxHeaderSize: settings.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      keepAlive: true,
      noDelay: true,
      // Without this every `Upgrade: h2c` of a careful client would be an upgrade and fail.
      shouldUpgradeCallback: (request) =>
        deps.sockets?.mayUpgrade(request) === true || deps.gateway?.mayUpgrade(request) === true,
    },
    (request, response) => accept(request, response, false),
  )
  // Without a listener Node gives leave to send the body before anybody has looked at the head.
  server.on('checkContinue', (request, response) => accept(request, response, true))
  server.maxConnections = limits.connectionsMax
  hearConnections(server, sockets, deps)
  const inFlight = deps.metrics.gauge('http_requests_in_flight', 'Requests whose answer is not out yet')
  deps.metrics.collect(() => inFlight.set(underWay.size))
  hearUpgrades(server, deps)
  await listen(server, settings)
  hearTrouble(server, deps)
  const { port } = server.address() as AddressInfo
  const close = (ctx: Ctx): Promise<void> => {
    if (closing !== undefined) return closing
    for (const { response } of underWay.list()) if (!response.headersSent) response.shouldKeepAlive = false
    closing = closeServer(server, sockets, deps, ctx)
    return closing
  }
  return {
    host: settings.host,
    port,
    url: `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${port}`,
    close,
    [Symbol.asyncDispose]: async () => {
      using ctx = background(env).within(limits.closeMs)
      await close(ctx)
    },
  }

  function accept(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const kept = { response, index: 0 }
    underWay.add(kept)
    response.once('close', () => {
      underWay.remove(kept)
      // While closing, a connection is idle once its answer is out, and nobody else would close it.
      if (closing !== undefined) setImmediate(() => server.closeIdleConnections())
    })
    if (closing !== undefined) response.shouldKeepAlive = false
    dispatch(request, response, expectsContinue)
  }
}

function createDispatch({ guard, control, gateway, log }: HttpServerDeps) {
  return (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
    response.on('error', () => {}) // a reset by the client; `close` follows and is heard by whoever answers
    const refused = guard(request)
    if (refused !== undefined) return sendError(response, refused)
    try {
      if (gateway?.handle(request, response, expectsContinue) === true) return
      if (expectsContinue) response.writeContinue()
      control.handle(request, response)
    } catch (error) {
      // A defect kills the request, not the process.
      log.error({ event: 'http.defect', error })
      sendError(response, new RipstopError('INTERNAL', 'something went wrong on our side', { cause: error }))
    }
  }
}

function hearConnections(server: Server, sockets: Set<Socket>, { metrics }: HttpServerDeps): void {
  const open = metrics.gauge('http_connections_open', 'Connections that clients have open')
  const dropped = metrics.counter('http_connections_dropped_total', 'Connections beyond the bound, closed at once')
  metrics.collect(() => open.set(sockets.size))
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('drop', () => dropped.add(1))
}

function hearUpgrades(server: Server, { guard, gateway, sockets, log }: HttpServerDeps): void {
  // Without a listener Node closes the connection, and the client learns nothing.
  server.on('connect', (request, socket) => {
    socket.on('error', () => {})
    refuseSocket(
      socket,
      guard(request) ?? new RipstopError('METHOD_NOT_ALLOWED', 'this is no proxy: CONNECT is refused'),
    )
  })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {}) // heard by its owner; without a listener it would be our end
    const refused = guard(request)
    if (refused !== undefined) return refuseSocket(socket, refused)
    try {
      if (sockets?.mayUpgrade(request) === true) {
        return sockets.upgrade(request, socket, head, (error) => refuseSocket(socket, error))
      }
      gateway?.upgrade(request, socket, head)
    } catch (error) {
      log.error({ event: 'http.defect', error })
      socket.destroy()
    }
  })
}

/** After listening: an `error` is an accept that failed, of which the next may succeed (HS2). */
function hearTrouble(server: Server, { log, metrics, env }: HttpServerDeps): void {
  const failed = metrics.counter('http_accept_failures_total', 'Connections that could not be accepted')
  let toldMs = Number.NEGATIVE_INFINITY
  server.on('error', (error) => {
    failed.add(1)
    if (env.clock.monoMs() - toldMs < 1_000) return
    toldMs = env.clock.monoMs()
    log.error({ event: 'http.accept_failed', why: error.message })
  })
  server.on('clientError', (error, socket) => {
    if (isAnswering(socket)) socket.destroy()
    else refuseSocket(socket, toClientError(error))
  })
}

/** Is an answer on its way? A refusal in its midst would pass for a part of it. Node's own handler looks at the same field. */
function isAnswering(socket: Duplex): boolean {
  const response = '_httpMessage' in socket ? (socket._httpMessage as ServerResponse | null) : null
  return response?.headersSent === true
}

/** What Node's parser could not make a request of. */
function toClientError(error: Error & { readonly code?: string }): RipstopError {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new RipstopError('HEADERS_TOO_LARGE', 'the headers are too large')
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new RipstopError('REQUEST_TIMEOUT', 'the request came too slowly')
  return new RipstopError('BAD_REQUEST', 'this is not a well-formed HTTP request')
}

function refuseSocket(socket: Duplex, error: RipstopError): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = JSON.stringify(toEnvelope(error))
  const head = [
    `HTTP/1.1 ${error.http} ${error.code}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...(error.retryAfterMs === undefined ? [] : [`Retry-After: ${Math.ceil(error.retryAfterMs / 1_000)}`]),
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

function listen(server: Server, { host, port }: HttpServerDeps['server']): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', (cause: Error & { readonly code?: string }) => {
    const why = cause.code === 'EADDRINUSE' ? 'something else listens there' : cause.message
    reject(new RipstopError('CONFIG_INVALID', `server: cannot listen on ${host}:${port}: ${why}`, { cause }))
  })
  server.listen(port, host, () => {
    server.removeAllListeners('error')
    resolve()
  })
  return promise
}

async function closeServer(
  server: Server,
  connections: ReadonlySet<Socket>,
  { control, gateway, sockets }: Pick<HttpServerDeps, 'control' | 'gateway' | 'sockets'>,
  ctx: Ctx,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  control.drain()
  server.closeIdleConnections()
  const cutOff = (): void => {
    for (const socket of connections) socket.destroy()
  }
  const over = ctx.signal
  if (over.aborted) cutOff()
  else over.addEventListener('abort', cutOff, { once: true })
  await Promise.all([gateway?.drain(ctx), sockets?.drain(ctx), closed])
  over.removeEventListener('abort', cutOff)
}
