// For tests of the sessions' API: the routes on a real server, over the engine and a memory store. Keys are names: `x-api-key: <tenant>`.

import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { createEnv, type Env, Metrics, RipstopError } from '@ripstop/kernel'
import type { SessionTokenWire, SessionWire } from '@ripstop/protocol'
import type { Principal } from '../platform/http/principal.ts'
import { createSealer } from '../platform/sealing/sealer.ts'
import type { Authority } from '../session-stores/authority.ts'
import { createMemoryData, createMemoryStore } from '../session-stores/memory-store.fixture.ts'
import { post, startTestServer, type TestAnswer, type TestServer } from '../testing/http.ts'
import { createSessionApi } from './api.ts'
import { createSessionService } from './engine.ts'
import type { SessionLimitSettings } from './limits.ts'
import type { SessionTokens } from './tokens.ts'

export const SEED_LIMITS: SessionLimitSettings = {
  enabled: true,
  windowMs: 60_000,
  reads: 100,
  keyReads: 60_000,
  creations: 5,
  keyCreations: 6_000,
  connections: 5,
  keyConnections: 6_000,
  messages: 100,
  commandsPerSecond: 10,
  keyCommandsPerSecond: 100,
  commandCooldownMs: 10_000,
}

export interface TestApi extends AsyncDisposable {
  readonly env: Env
  readonly tokens: SessionTokens
  readonly server: TestServer
  /** Server time, which `pass` moves on. */
  readonly nowMs: () => number
  readonly pass: (ms: number) => void
  readonly call: <T = SessionWire>(method: string, path: string, options?: CallOptions) => Promise<Called<T>>
  /** Two participants of a minute each, unless told otherwise. */
  readonly create: (more?: Readonly<Record<string, unknown>>, options?: CallOptions) => Promise<SessionWire>
  readonly tokenOf: (sessionId: string, role: string, participantId?: string) => Promise<string>
}

/** `x-slow-ms`: so long its key is looked up. */
export interface CallOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Without both: nobody. */
  readonly key?: string | undefined
  readonly token?: string | undefined
}

/** `data` is what the test expects of the route; an error has none. */
export interface Called<T = SessionWire> extends TestAnswer {
  readonly code: string | undefined
  readonly details: Readonly<Record<string, unknown>>
  readonly data: T
}

export interface TestApiOptions {
  readonly limits?: Partial<SessionLimitSettings>
  readonly anonymous?: Principal
}

export async function startTestApi({ limits = { enabled: false }, anonymous }: TestApiOptions = {}): Promise<TestApi> {
  const env = createEnv()
  let passedMs = 0
  const exactMs = () => env.clock.wallMs() + passedMs
  const nowMs = () => Math.floor(exactMs())
  const term = { epoch: 3, mode: 'postgres' } as const
  const authority: Authority = {
    term: () => term,
    outagesAfter: async () => [],
    renew: async () => term,
    nowMs,
    exactMs,
  }
  const store = createMemoryStore(createMemoryData({ epoch: term.epoch }))
  const service = createSessionService({ env, metrics: new Metrics(), store, authority })
  const api = createSessionApi({
    env,
    service,
    store,
    sealer: createSealer({ keys: [createHash('sha256').update('key').digest()] }),
    redis: undefined,
    processes: 1,
    limits: { ...SEED_LIMITS, ...limits },
    authenticate: async ({ 'x-api-key': key, 'x-slow-ms': slowMs }) => {
      if (typeof slowMs === 'string') await wait(Number(slowMs))
      if (typeof key === 'string') return principalOf(key)
      if (anonymous !== undefined) return anonymous
      throw new RipstopError('UNAUTHENTICATED', 'this needs an API key')
    },
  })
  const { tokens, routes, authenticate } = api
  const server = await startTestServer({ env, routes, authenticate, bodyBytesMax: 1_048_576 })
  const call = async <T = SessionWire>(method: string, path: string, options: CallOptions = {}): Promise<Called<T>> => {
    const { body, headers = {}, token } = options
    const key = 'key' in options || token !== undefined ? options.key : 'tenant'
    const answer = await server.request(`/v1/sessions${path}`, {
      ...(body === undefined ? {} : post(body)),
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'x-api-key': key }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
    })
    const { error, data } = answer.json
    return { ...answer, code: error?.code, details: error?.details ?? {}, data: data as T }
  }
  const create = async (more: Readonly<Record<string, unknown>> = {}, options: CallOptions = {}) => {
    const answer = await call('POST', '', { ...options, body: { ...creation(), ...more } })
    if (answer.status !== 201) throw new Error(answer.text)
    return answer.data
  }
  return {
    env,
    tokens,
    server,
    nowMs,
    pass: (ms) => {
      passedMs += ms
    },
    call,
    create,
    tokenOf: async (sessionId, role, participantId) => {
      const body = participantId === undefined ? { role } : { role, participant_id: participantId }
      return (await call<SessionTokenWire>('POST', `/${sessionId}/tokens`, { body })).data.token
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

export function creation(totals: readonly number[] = [60_000, 60_000]) {
  return {
    sync_mode: 'per_participant',
    participants: totals.map((total_time_ms, participant_index) => ({
      participant_id: randomUUID(),
      participant_index,
      total_time_ms,
    })),
    total_time_ms: totals.reduce((sum, ms) => sum + ms, 0),
  }
}

function principalOf(tenantId: string): Principal {
  return { tenantId, actor: `key:${tenantId}`, keyId: tenantId, scopes: ['sessions:read', 'sessions:write'] }
}
