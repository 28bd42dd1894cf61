// For tests of sockets: a real server on a real port, the session service over the memory store, and clients that keep all they hear.

import type { IncomingHttpHeaders } from 'node:http'
import { background, createEnv, Metrics, RipstopError } from '@ripstop/kernel'
import {
  type Command,
  parseServerMessage,
  SESSION_PROTOCOL,
  type ServerMessage,
  type SessionRules,
  type SocketRole,
} from '@ripstop/protocol/sessions'
import { WebSocket } from 'ws'
import type { Principal } from '#platform/http'
import type { Authority } from '#session-stores'
import type { SessionService } from '#sessions'
import { createMemoryData, createMemoryStore } from '../session-stores/memory-store.fixture.ts'
import { createSessionService } from '../sessions/engine.ts'
import { startTestServer, type TestServerOptions } from '../testing/http.ts'
import { until } from '../testing/processes.ts'
import { type SessionSocketsDeps, startSessionSockets } from './start.ts'

export const TENANT = 'tenant-1'
export const PLAYERS = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'] as const

const env = createEnv()

export function createRules(mainMs = 60_000): SessionRules {
  const control = { mainMs, increment: { kind: 'none' }, overtime: { kind: 'none' }, stages: [] } as const
  return {
    mode: 'per_participant',
    participants: PLAYERS.map((participantId) => ({ participantId, groupId: undefined, control })),
    onTimeout: 'end',
    maxTimeMs: undefined,
    lag: undefined,
  }
}

/** Sessions in memory. Another bench with the same data is another process. */
export function createBench(data = createMemoryData()) {
  const root = background(env)
  const originMs = env.clock.wallMs() - env.clock.monoMs()
  const authority: Authority = {
    term: () => ({ epoch: data.epoch, mode: 'redis' }),
    outagesAfter: async (_, epoch) =>
      Array.from({ length: data.epoch - epoch }, (_, at) => ({ epoch: epoch + at + 1, sinceMs: 0, untilMs: 0 })),
    renew: async () => authority.term(),
    nowMs: () => Math.floor(authority.exactMs()),
    exactMs: () => originMs + env.clock.monoMs(),
  }
  const service = createSessionService({ env, metrics: new Metrics(), store: createMemoryStore(data), authority })
  let made = 0
  return {
    env,
    root,
    data,
    service,
    create: async (rules = createRules()) => {
      const sessionId = `00000000-0000-4000-8000-${String(++made).padStart(12, '0')}`
      const ref = { tenantId: TENANT, sessionId }
      const session = { ref, rules, metadata: { table: 'é7' }, timeoutEvent: undefined }
      await service.create(root, session, { actor: 'open', operationId: undefined })
      return ref
    },
    command: (ref: { tenantId: string; sessionId: string }, command: Command) =>
      service.command(root, ref, command, { receivedMs: service.nowMs(), actor: 'open', operationId: undefined }),
  }
}

/** `Bearer rst_<role>-<place>-<session>`, or nothing: the owner. */
export function createToken(role: SocketRole, place: number, sessionId: string): string {
  return `rst_${role}_${place}_${sessionId}`
}

function principalOf({ authorization }: IncomingHttpHeaders): Principal {
  const [, role, place, sessionId] = /^Bearer rst_([a-z]+)_(\d)_([-0-9a-f]+)$/.exec(authorization ?? '') ?? []
  if (authorization === undefined) return { tenantId: TENANT, actor: 'open', keyId: undefined, scopes: ['admin'] }
  if (role === undefined || sessionId === undefined) throw new RipstopError('UNAUTHENTICATED', 'who is this?')
  const scopes = role === 'spectator' ? ['sessions:read'] : ['sessions:read', 'sessions:write']
  const participantId = role === 'participant' ? PLAYERS[Number(place)] : undefined
  return {
    tenantId: TENANT,
    actor: `participant:${participantId}`,
    keyId: undefined,
    scopes,
    session: {
      sessionId,
      role: role as SocketRole,
      participantId,
      place: role === 'participant' ? Number(place) : undefined,
      expiresMs: Date.now() + 3_600_000,
    },
  }
}

export interface TestSocketsOptions extends Partial<SessionSocketsDeps> {
  readonly server?: Partial<TestServerOptions>
}

/** Sockets over the sessions of a bench, on a port of their own. */
export async function startTestSockets(
  { service }: { readonly service: SessionService },
  options: TestSocketsOptions = {},
) {
  await using starting = new AsyncDisposableStack()
  const metrics = new Metrics()
  const lines: unknown[] = []
  const record = (fields: unknown): void => void lines.push(fields)
  const log = { debug: record, info: record, warn: record, error: record, child: () => log }
  const sockets = starting.use(
    startSessionSockets({
      env,
      log,
      metrics,
      service,
      authenticate: principalOf,
      limits: createLimits(100),
      addressOf: ({ socket }) => socket.remoteAddress ?? '',
      ...options,
    }),
  )
  const { server, url } = starting.use(await startTestServer({ routes: [], sockets, ...options.server }))
  const owned = starting.move()
  return {
    sockets,
    server,
    metrics,
    log: lines,
    port: server.port,
    url: `${url.replace('http', 'ws')}/ws`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export function createLimits(messages: number): SessionSocketsDeps['limits'] {
  return { connect: () => undefined, command: () => undefined, messages: { count: messages, windowMs: 60_000 } }
}

export interface ClientOptions {
  readonly protocols?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  readonly autoPong?: boolean
}

/** A client of either protocol. `T`: what it hears. */
export class TestClient<T extends object> implements Disposable {
  readonly ws: WebSocket
  readonly heard: T[] = []
  readonly pings: Buffer[] = []
  closed: { readonly code: number; readonly reason: string } | undefined
  failure: string | undefined

  constructor(url: string, { protocols = [], ...options }: ClientOptions = {}) {
    this.ws = new WebSocket(url, [...protocols], { perMessageDeflate: false, ...options })
    this.ws.on('message', (data) => this.heard.push(JSON.parse(String(data))))
    this.ws.on('ping', (payload) => this.pings.push(payload))
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
    })
    this.ws.on('error', (error) => {
      this.failure = error.message
    })
  }

  say(message: object | string): void {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  opened(): Promise<boolean> {
    return until('it is open', () => this.ws.readyState === WebSocket.OPEN)
  }

  /** The first that it heard so far, or hears, of which all of `fields` are true. */
  hears(fields: Readonly<Record<string, unknown>>): Promise<T> {
    const matches = (message: T): boolean =>
      Object.entries(fields).every(([name, value]) => (message as Record<string, unknown>)[name] === value)
    return until(`it hears ${JSON.stringify(fields)}`, () => this.heard.find(matches))
  }

  ended(): Promise<{ readonly code: number; readonly reason: string }> {
    return until('it is closed', () => this.closed)
  }

  [Symbol.dispose](): void {
    this.ws.terminate()
  }
}

export type VersionedClient = TestClient<ServerMessage>

export function connectVersioned(url: string, sessionId: string, options: ClientOptions = {}): VersionedClient {
  const protocols = options.protocols ?? [SESSION_PROTOCOL]
  return new TestClient<ServerMessage>(`${url}?sessionId=${sessionId}`, { ...options, protocols })
}

/** A client that has the session and hears what happens. */
export async function subscribe(url: string, sessionId: string, options: ClientOptions = {}): Promise<VersionedClient> {
  const client = connectVersioned(url, sessionId, options)
  await client.opened()
  client.say({ t: 'sub' })
  await client.hears({ t: 'snap' })
  return client
}

/** Places that events told of, in order; every one must be readable. */
export function versionsOf(client: VersionedClient): readonly number[] {
  return client.heard.flatMap((message) => {
    if (parseServerMessage(JSON.stringify(message)) === undefined) throw new Error(`unknown: ${message.t}`)
    return message.t === 'ev' ? [message.d.version] : []
  })
}

/** The same service, to change a part of it. */
export function delegate(service: SessionService): SessionService {
  return {
    create: service.create.bind(service),
    read: service.read.bind(service),
    command: service.command.bind(service),
    remove: service.remove.bind(service),
    log: service.log.bind(service),
    watch: service.watch.bind(service),
    nowMs: () => service.nowMs(),
    exactMs: () => service.exactMs(),
  }
}

export { until }
