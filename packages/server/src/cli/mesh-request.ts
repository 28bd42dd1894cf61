// Requests to a running mesh.
// Invariants:
//   CM1. A write is done once, however often it is sent: it carries an Idempotency-Key, and a repetition the same one.
//   CM2. What the table of codes says may succeed later is asked for once more, and no oftener: a person waits.

import { createId, errorCodes, hasCode, isRipstopError, RipstopError, systemClock } from '@ripstop/kernel'
import type { Terminal } from './terminal.ts'

const PATIENCE_MS = 5_000
/** The mesh gives a request up after 10 s: longer than that, to hear how it ended. */
const MESH_PATIENCE_MS = 15_000
const AGAIN_AFTER_MS = 300
const AGAIN_AFTER_MS_MAX = 5_000
const PAGE = 200
const DETAILS_SHOWN = 20

export type Query = Readonly<Record<string, string | number | undefined>>
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface MeshClient {
  /** Gives `data`; throws what the mesh says, or that none is there. */
  readonly read: <T>(path: string, query?: Query) => Promise<T>
  /** As many entries of a list as are asked for, over its pages. */
  readonly list: <T>(path: string, limit: number, query?: Query) => Promise<readonly T[]>
  /** A write that is done once, however often it has to be sent. */
  readonly write: <T>(method: Exclude<Method, 'GET'>, path: string, body?: unknown) => Promise<T>
  /** The open answer of an event stream. */
  readonly open: (path: string, signal: AbortSignal, lastEventId?: string) => Promise<Response>
}

interface Envelope {
  readonly data?: unknown
  readonly next_cursor?: string | null
  readonly error?: {
    readonly code?: string
    readonly message?: string
    readonly details?: Readonly<Record<string, unknown>>
    readonly retry_after_ms?: number
  }
}

/** Where the mesh is: --url, else RIPSTOP_URL, else the default port on this machine. */
export function meshBaseUrl(terminal: Terminal, given: string | undefined): string {
  return given ?? terminal.env.RIPSTOP_URL ?? `http://127.0.0.1:${terminal.env.PORT ?? '3000'}`
}

export function createMeshClient(terminal: Terminal, givenUrl?: string): MeshClient {
  const base = meshBaseUrl(terminal, givenUrl)
  const key = terminal.env.RIPSTOP_KEY
  const credentials: Readonly<Record<string, string>> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  const read = (path: string, query: Query = {}): Promise<Envelope> =>
    twice(() => answerOf(withQuery(new URL(path, base), query), { headers: credentials }))
  return {
    read: async <T>(path: string, query?: Query) => (await read(path, query)).data as T,
    list: async <T>(path: string, limit: number, query: Query = {}) => {
      const found: T[] = []
      let cursor: string | undefined
      do {
        const page = await read(path, { ...query, cursor, limit: Math.min(PAGE, limit - found.length) })
        found.push(...(page.data as T[]))
        cursor = page.next_cursor ?? undefined
      } while (cursor !== undefined && found.length < limit)
      return found
    },
    write: async <T>(method: Method, path: string, body?: unknown) => {
      const headers: Record<string, string> = {
        ...credentials,
        'idempotency-key': createId(systemClock.wallMs()),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      }
      const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
      return (await twice((isRepeated) => writeOnce(new URL(path, base), init, isRepeated))).data as T
    },
    open: async (path, signal, lastEventId) => {
      const resume: Record<string, string> = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
      const response = await reach(new URL(path, base), { headers: { ...credentials, ...resume }, signal })
      if (!response.ok) throw await toError(response)
      return response
    },
  }
}

/** `fetch`, bounded, with an error that names the address. */
export function ask(url: URL, init: RequestInit = {}): Promise<Response> {
  return reach(url, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) })
}

async function reach(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init)
  } catch (error) {
    throw unreachable(url, error)
  }
}

function unreachable(url: URL, cause: unknown): RipstopError {
  return new RipstopError('LINK_DOWN', `nothing answers at ${url.origin}: is it running?`, { cause, sent: 'maybe' })
}

/** A repeated DELETE that finds nothing has been done by the one before, whose answer was lost. */
async function writeOnce(url: URL, init: RequestInit, isRepeated: boolean): Promise<Envelope> {
  try {
    return await answerOf(url, init)
  } catch (error) {
    if (isRepeated && init.method === 'DELETE' && hasCode(error, 'NOT_FOUND')) return {}
    throw error
  }
}

async function answerOf(url: URL, init: RequestInit): Promise<Envelope> {
  const response = await reach(url, { ...init, signal: AbortSignal.timeout(MESH_PATIENCE_MS) })
  if (!response.ok) throw await toError(response)
  if (response.status === 204) return {}
  try {
    return (await response.json()) as Envelope
  } catch (error) {
    throw unreachable(url, error) // the answer broke off
  }
}

/** Once more, after a pause, if the table of codes says that it may help. */
async function twice<T>(send: (isRepeated: boolean) => Promise<T>): Promise<T> {
  try {
    return await send(false)
  } catch (error) {
    if (!isRipstopError(error) || !error.retry) throw error
    const pauseMs = Math.min(error.retryAfterMs ?? AGAIN_AFTER_MS, AGAIN_AFTER_MS_MAX)
    await new Promise<void>((resolve) => systemClock.schedule(pauseMs, resolve))
    return await send(true)
  }
}

/** The mesh's own error, with its code, so that what to do about it is told too. */
async function toError(response: Response): Promise<RipstopError> {
  const { error = {} } = (await response.json().catch(() => ({}))) as Envelope
  await import('@ripstop/protocol') // registers the codes; not loaded where nothing fails
  const {
    code = '',
    message = `the mesh answered ${response.status}`,
    details = {},
    retry_after_ms: retryAfterMs,
  } = error
  const known = errorCodes().has(code) ? (code as RipstopError['code']) : 'PEER_REFUSED'
  return new RipstopError(known, describeProblems(message, details), {
    details,
    sent: 'maybe',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

/** Which fields are wrong, or which changes break what, where the message alone does not say it. */
function describeProblems(message: string, { problems, changes }: Readonly<Record<string, unknown>>): string {
  const found: readonly unknown[] = [problems, changes].flatMap((list) => (Array.isArray(list) ? list : []))
  const lines = found.slice(0, DETAILS_SHOWN).map((detail) => {
    if (typeof detail === 'string') return detail
    const { field, problem, pointer, change, breaks } = detail as Readonly<Record<string, unknown>>
    const whom = Array.isArray(breaks) && breaks.length > 0 ? `(breaks ${breaks.join(' and ')})` : undefined
    return [field, problem, pointer, change, whom].filter((part) => typeof part === 'string').join(' ')
  })
  const untold = lines.filter((line) => line !== '' && !message.includes(line))
  const more = found.length > DETAILS_SHOWN ? [`and ${found.length - DETAILS_SHOWN} more`] : []
  return [message, ...[...untold, ...more].map((line) => `  ${line}`)].join('\n')
}

function withQuery(url: URL, query: Query): URL {
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return url
}
