// For tests of the edge and of routes: a real server on a free port, and a client that shows all.

import { connect } from 'node:net'
import { createEnv, Metrics } from '@ripstop/kernel'
import type { ErrorEnvelope } from '@ripstop/protocol'
import type { Log, LogFields } from '#platform/telemetry'
import { type ControlApiDeps, startControlApi } from '../platform/http/control-api.ts'
import { createRequestGuard, type GuardOptions } from '../platform/http/guard.ts'
import type { Principal } from '../platform/http/principal.ts'
import { type HttpLimits, type HttpServer, type HttpServerDeps, startHttpServer } from '../platform/http/server.ts'

export interface RecordingLog extends Log {
  readonly lines: LogFields[]
}

export function createRecordingLog(): RecordingLog {
  const lines: LogFields[] = []
  const record = (fields: LogFields): void => void lines.push(fields)
  const log: RecordingLog = { debug: record, info: record, warn: record, error: record, child: () => log, lines }
  return log
}

export const ADMIN: Principal = { tenantId: 'tenant-1', actor: 'key:1', keyId: '1', scopes: ['admin'] }

export interface TestServerOptions extends Partial<Omit<ControlApiDeps, 'routes'>> {
  readonly routes: ControlApiDeps['routes']
  readonly mode?: GuardOptions['mode']
  readonly gateway?: HttpServerDeps['gateway']
  readonly sockets?: HttpServerDeps['sockets']
  readonly limits?: Partial<HttpLimits>
  readonly headerBytesMax?: number
}

export interface TestServer extends AsyncDisposable {
  readonly server: HttpServer
  readonly url: string
  readonly metrics: Metrics
  readonly log: RecordingLog
  readonly request: (path: string, init?: RequestInit) => Promise<TestAnswer>
}

export interface TestAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: { readonly data?: unknown } & Partial<ErrorEnvelope>
}

export async function startTestServer(options: TestServerOptions): Promise<TestServer> {
  await using starting = new AsyncDisposableStack()
  const env = options.env ?? createEnv()
  const log = createRecordingLog()
  const metrics = options.metrics ?? new Metrics()
  const allowedOrigins = options.allowedOrigins ?? []
  const control = starting.use(
    await startControlApi({
      env,
      log,
      metrics,
      authenticate: () => ADMIN,
      allowedOrigins,
      bodyBytesMax: 10_000,
      checkAnswers: true,
      ...options,
    }),
  )
  const server = starting.use(
    await startHttpServer({
      env,
      log,
      metrics,
      server: { host: '127.0.0.1', port: 0, headerBytesMax: options.headerBytesMax ?? 16_384 },
      guard: createRequestGuard({ mode: options.mode ?? 'open', host: '127.0.0.1', allowedOrigins }),
      control,
      ...(options.gateway === undefined ? {} : { gateway: options.gateway }),
      ...(options.sockets === undefined ? {} : { sockets: options.sockets }),
      limits: { closeMs: 2_000, checkIntervalMs: 50, ...options.limits },
    }),
  )
  const owned = starting.move()
  const request = async (path: string, init?: RequestInit): Promise<TestAnswer> => {
    const response = await fetch(new URL(path, server.url), init)
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    const json = isJson && text !== '' ? JSON.parse(text) : {}
    return { status: response.status, headers: response.headers, text, json }
  }
  return { server, url: server.url, metrics, log, request, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** A POST with a JSON body. */
export function post(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }
}

/** Sends bytes as they are and gives everything that comes back until the server closes or `limitMs` pass. */
export function sendRaw(port: number, bytes: string | Buffer, limitMs = 5_000): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    const timer = setTimeout(() => socket.destroy(), limitMs)
    socket.on('data', (data) => {
      answer += data.toString('latin1')
    })
    socket.on('error', () => {}) // `close` follows
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(answer)
    })
  })
}
