// The HTTP API of sessions, for servers: they create sessions and hand out tokens; a browser never holds an API key. What failed is
// repeated where that can't do it twice: every POST carries an Idempotency-Key, the same for all its repetitions.
// Invariants:
//   SC10. A request that changes something is repeated under the same key only, and ends within its deadline.

import { createId, isRipstopError, RipstopError } from '@ripstop/kernel'
import type { CreateSessionWire, SessionTokenWire, SessionWire, SwitchedSessionWire } from '@ripstop/protocol'
import { type Fetch, type SessionEnvironment, systemEnvironment, systemFetch } from './environment.ts'
import { refusalOf } from './refusal.ts'

const DEADLINE_MS = 10_000
const ATTEMPTS_MAX = 5
const PAUSE_MS = 100
const PAUSE_MS_MAX = 2_000

export interface SessionsApiOptions {
  /** Of the mesh: `https://mesh.example`. */
  readonly url: string
  /** `rs_…`, with the scopes sessions:read and sessions:write; not needed by a mesh that is open on loopback. */
  readonly apiKey?: string
  /** Of a call with its repetitions; 10 s unless told. */
  readonly deadlineMs?: number
  readonly fetch?: Fetch
  readonly env?: Pick<SessionEnvironment, 'clock' | 'random'>
}

export interface ApiCallOptions {
  /** One is made for each call; give your own to repeat a call after a crash. */
  readonly idempotencyKey?: string
}

export type SessionCommandBodies = {
  readonly [K in 'pause' | 'resume' | 'complete' | 'cancel']: Expecting
} & {
  readonly start: Expecting & { readonly first_participant_id?: string }
  readonly switch: Expecting & { readonly next_participant_id?: string }
  readonly adjust: Expecting & { readonly participant_id: string; readonly by_ms: number; readonly reason: string }
}

interface Expecting {
  /** Only if the session still has it; else CONFLICT, with the present state in `details`. */
  readonly expected_version?: number
}

/** All throw what the server answers, by its code, and LINK_LOST or DEADLINE_EXCEEDED (`sent` says whether it may have happened). */
export interface SessionsApi {
  create(session: CreateSessionWire, options?: ApiCallOptions): Promise<SessionWire>
  get(sessionId: string): Promise<SessionWire>
  command<K extends keyof SessionCommandBodies>(
    sessionId: string,
    kind: K,
    body?: SessionCommandBodies[K],
    options?: ApiCallOptions,
  ): Promise<K extends 'switch' ? SwitchedSessionWire : SessionWire>
  /** For a browser, or whoever else takes part: see `token` of `connectSession`. */
  createToken(
    sessionId: string,
    wish: {
      readonly role: 'owner' | 'participant' | 'spectator'
      readonly participant_id?: string
      readonly ttl_s?: number
    },
  ): Promise<SessionTokenWire>
  /** Idempotent. */
  remove(sessionId: string): Promise<void>
}

export function createSessionsApi(options: SessionsApiOptions): SessionsApi {
  const { clock } = options.env ?? systemEnvironment
  const path = (sessionId: string): string => `/v1/sessions/${encodeURIComponent(sessionId)}`
  const post = <T>(to: string, body: unknown, { idempotencyKey }: ApiCallOptions = {}): Promise<T> =>
    call<T>(options, { method: 'POST', path: to, body, idempotencyKey: idempotencyKey ?? createId(clock.wallMs()) })
  return {
    create: (session, more) => post('/v1/sessions', session, more),
    get: (sessionId) => call(options, { method: 'GET', path: path(sessionId) }),
    command: (sessionId, kind, body, more) => post(`${path(sessionId)}/${kind}`, body ?? {}, more),
    createToken: (sessionId, wish) => post(`${path(sessionId)}/tokens`, wish),
    remove: (sessionId) => call(options, { method: 'DELETE', path: path(sessionId) }),
  }
}

interface Request {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly body?: unknown
  readonly idempotencyKey?: string
}

async function call<T>(options: SessionsApiOptions, request: Request): Promise<T> {
  const { clock, random } = options.env ?? systemEnvironment
  const controller = new AbortController()
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS
  const endMs = clock.monoMs() + deadlineMs
  const cancel = clock.schedule(deadlineMs, () => controller.abort())
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send<T>(options, request, controller.signal)
      } catch (error) {
        if (!isRipstopError(error) || !error.retry || attempt === ATTEMPTS_MAX) throw error
        const jitterMs = random() * Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** attempt)
        const pauseMs = Math.max(error.retryAfterMs ?? 0, jitterMs)
        if (clock.monoMs() + pauseMs >= endMs) throw error
        await new Promise<void>((resolve) => clock.schedule(pauseMs, resolve))
      }
    }
  } finally {
    cancel()
  }
}

async function send<T>(options: SessionsApiOptions, request: Request, signal: AbortSignal): Promise<T> {
  const { method, path, body, idempotencyKey } = request
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (options.apiKey !== undefined) headers.Authorization = `Bearer ${options.apiKey}`
  if (idempotencyKey !== undefined) headers['Idempotency-Key'] = idempotencyKey
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  const sendable = { method, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
  let status: number
  let text: string
  try {
    const response = await (options.fetch ?? systemFetch())(new URL(path, options.url).href, sendable)
    status = response.status
    text = await response.text()
  } catch (cause) {
    const [code, what] = signal.aborted
      ? (['DEADLINE_EXCEEDED', 'no answer in time'] as const)
      : (['LINK_LOST', 'no answer came'] as const)
    throw new RipstopError(code, `${method} ${path}: ${what}`, { sent: 'maybe', cause })
  }
  if (status === 204) return undefined as T
  const answer = parse(text)
  if (status < 300 && answer !== undefined && 'data' in answer) return answer.data as T
  throw failureOf(`${method} ${path}`, status, answer)
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const answer: unknown = JSON.parse(text)
    return typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : undefined
  } catch {
    return undefined // of something in between that is not the mesh
  }
}

interface Failure {
  readonly code?: unknown
  readonly message?: unknown
  readonly details?: Readonly<Record<string, unknown>>
  readonly retry_after_ms?: unknown
}

function failureOf(what: string, status: number, answer: Readonly<Record<string, unknown>> | undefined): RipstopError {
  const { code, message, details, retry_after_ms: retryMs } = (answer?.error ?? {}) as Failure
  if (typeof code !== 'string') {
    return new RipstopError(status >= 500 ? 'PEER_FAILED' : 'PEER_REFUSED', `${what} was answered ${status}`, {
      details: { status },
    })
  }
  return refusalOf(code, String(message), {
    details: details ?? {},
    ...(typeof retryMs === 'number' ? { retryAfterMs: retryMs } : {}),
  })
}
