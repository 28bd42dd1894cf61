// A gateway for tests, on real sockets: upstreams that do as they are told, raw clients, and short bounds.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { background, createEnv, type LinkSnapshot, Mesh } from '@ripstop/kernel'
import {
  type Gateway,
  type GatewayDeps,
  type GatewayRouteConfig,
  type GatewayUpstreamConfig,
  startGateway,
} from '#gateway'
import { createRequestGuard, startHttpServer } from '#platform/http'
import { createRecordingLog, type RecordingLog } from './http.ts'
import { until } from './processes.ts'

export interface TestUpstream extends AsyncDisposable {
  readonly port: number
  readonly server: Server
}

/** An HTTP server on a free loopback port. Probes (`/health`) are answered without asking `listener`. */
export async function startTestUpstream(listener: RequestListener): Promise<TestUpstream> {
  const server = createServer((request, response) => {
    if (request.url === '/health') response.end('ok')
    else listener(request, response)
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    server,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy() // upgraded ones too
      await closed
    },
  }
}

export function createTestUpstreamConfig(
  name: string,
  port: number,
  more: Partial<GatewayUpstreamConfig> = {},
): GatewayUpstreamConfig {
  return {
    name,
    url: { origin: `http://127.0.0.1:${port}`, pathPrefix: '' },
    probe: { path: '/health', everyMs: 1_000, deadlineMs: 400 },
    deadlineMs: 2_000,
    retry: { attempts: 3, baseMs: 5, capMs: 50 },
    budget: { share: 0.2, perSecond: 50 },
    breaker: { failureRate: 1, minimumCalls: 1_000, windowMs: 10_000, openMs: 200, openMsMax: 1_000 },
    bulkhead: { concurrent: 64, queue: 64 },
    connections: 16,
    critical: false,
    recoverWithinMs: 1_500,
    ...more,
  }
}

export function createTestRoute(
  path: string,
  upstream: string,
  more: Partial<GatewayRouteConfig> = {},
): GatewayRouteConfig {
  return {
    path,
    upstream,
    stripPrefix: false,
    upstreamIdempotent: false,
    deadlineMs: 2_000,
    access: 'open',
    scopes: [],
    rateLimit: { perMinute: 100_000, by: 'both' },
    websocket: false,
    bodyBytesMax: 1_048_576,
    ...more,
  }
}

export interface TestGateway extends AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly gateway: Gateway
  readonly mesh: Mesh
  readonly server: HttpServer
  readonly log: RecordingLog
  link(upstream: string): LinkSnapshot
}

export interface TestGatewayOptions extends Partial<Omit<GatewayDeps, 'config' | 'mesh' | 'env' | 'log'>> {
  readonly upstreams: readonly GatewayUpstreamConfig[]
  readonly routes: readonly GatewayRouteConfig[]
  readonly trustProxy?: readonly string[]
  readonly mesh?: Mesh
  /** False: doesn't wait for the upstreams' links to be up. */
  readonly awaitUp?: boolean
}

type HttpServer = Awaited<ReturnType<typeof startHttpServer>>

function answerNoRoute(_request: IncomingMessage, response: ServerResponse): void {
  response.statusCode = 404
  response.end('no route')
}

/** A gateway behind the server of the mesh; what has no route is 404. */
export async function startTestGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const { upstreams, routes, trustProxy = [], awaitUp = true, ...deps } = options
  const mesh = options.mesh ?? new Mesh(createEnv())
  const config = { server: { headerBytesMax: 16_384, trustProxy }, upstreams, routes }
  const log = createRecordingLog()
  const gateway = startGateway({
    authenticate: () => ({ tenantId: 'default', keyId: 'k1', scopes: [] }),
    ...deps,
    mesh,
    env: mesh.env,
    log,
    config,
  })
  const server = await startHttpServer({
    env: mesh.env,
    log,
    metrics: mesh.metrics,
    server: { host: '127.0.0.1', port: 0, headerBytesMax: 16_384 },
    guard: createRequestGuard({ mode: 'keys', host: '127.0.0.1', allowedOrigins: [] }),
    control: { handle: answerNoRoute, drain: () => {} },
    gateway,
  })
  const link = (name: string): LinkSnapshot => {
    const found = mesh.links().find((each) => each.name === `upstream.${name}`)
    if (found === undefined) throw new Error(`no link to ${name}`)
    return found.snapshot()
  }
  if (awaitUp) await until('every upstream is up', () => upstreams.every(({ name }) => link(name).state === 'up'))
  return {
    port: server.port,
    url: server.url,
    gateway,
    mesh,
    server,
    log,
    link,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      using ctx = background(mesh.env).within(50)
      await server.close(ctx)
    },
  }
}

export interface TestBed {
  readonly route?: Partial<GatewayRouteConfig>
  readonly upstream?: Partial<GatewayUpstreamConfig>
  readonly gateway?: Partial<TestGatewayOptions>
}

/** A gateway with the route `/a` to one upstream `up`: a listener, or what listens on a port already. Both end with `open`. */
export async function startTestBed(
  open: AsyncDisposableStack,
  upstream: RequestListener | number,
  bed: TestBed = {},
): Promise<TestGateway> {
  const port = typeof upstream === 'number' ? upstream : open.use(await startTestUpstream(upstream)).port
  return open.use(
    await startTestGateway({
      upstreams: [createTestUpstreamConfig('up', port, bed.upstream)],
      routes: [createTestRoute('/a', 'up', bed.route)],
      ...bed.gateway,
    }),
  )
}

/** Sends bytes as they are; resolves with all that came back when `done` says so or the connection is closed. */
export async function sendRaw(
  port: number,
  bytes: string | Buffer,
  done: (answer: string) => boolean = () => false,
): Promise<string> {
  const { socket, answer } = await openRaw(port)
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  await until('the answer is whole or the connection closed', () => socket.closed || done(answer()))
  socket.destroy()
  return answer()
}

export interface RawClient {
  readonly socket: Socket
  /** All that came so far. */
  readonly answer: () => string
}

export async function openRaw(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1' })
  let said = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    said += chunk
  })
  socket.on('error', () => {}) // resets are among what is tested; close follows
  await once(socket, 'connect')
  return { socket, answer: () => said }
}
