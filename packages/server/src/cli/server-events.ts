// Server-sent events (HTML Living Standard, section 9.2), followed through every break.
// Invariants:
//   CT1. It comes back by itself, after what it heard last, and after a pause that grows while nobody answers.
//   CT2. Only what trying again can't mend ends it: a wrong key, a missing scope, a wrong filter.

import { systemClock } from '@ripstop/kernel'
import type { MeshClient } from './mesh-request.ts'

export interface HeardEvent {
  readonly id: string | undefined
  readonly event: string
  readonly data: unknown
}

export interface Following {
  readonly mesh: MeshClient
  readonly path: string
  readonly signal: AbortSignal
  readonly hear: (event: HeardEvent) => void
  /** The stream is open, for the first time or again. */
  readonly opened: () => void
  /** It broke, and is tried again in `pauseMs`. */
  readonly lost: (why: string, pauseMs: number) => void
}

const PAUSE_MS = 500
const PAUSE_MS_MAX = 10_000
/** The mesh says that it is still there every 15 s: after three times that, it is not. */
const SILENCE_MS_MAX = 45_000
/** One event: what the mesh may send at once is far less. */
const EVENT_CHARS_MAX = 1_000_000

/** Until the signal (CT2). */
export async function followEvents(following: Following): Promise<void> {
  const { mesh, path, signal } = following
  let lastId: string | undefined
  let failures = 0
  while (!signal.aborted) {
    let why = 'the mesh ended it'
    const silence = createSilence(signal)
    try {
      const response = await mesh.open(path, silence.signal, lastId)
      failures = 0
      following.opened()
      for await (const event of readEvents(response.body as ReadableStream<Uint8Array>, silence.heard)) {
        lastId = event.id ?? lastId
        following.hear(event)
      }
    } catch (error) {
      if (signal.aborted) return
      const { http = 503, message } = error as { readonly http?: number; readonly message: string }
      if (http < 500 && http !== 408 && http !== 429) throw error
      why = silence.signal.aborted ? 'it was silent' : message
    } finally {
      silence.end()
    }
    if (signal.aborted) return
    const pauseMs = Math.min(PAUSE_MS * 2 ** failures++, PAUSE_MS_MAX)
    following.lost(why, pauseMs)
    await pauseUnless(signal, pauseMs)
  }
}

/** Ends with `signal`, or when nothing was heard for too long. */
function createSilence(signal: AbortSignal) {
  const own = new AbortController()
  const abort = (): void => own.abort()
  let cancel = systemClock.schedule(SILENCE_MS_MAX, abort)
  signal.addEventListener('abort', abort)
  return {
    signal: own.signal,
    heard: () => {
      cancel()
      cancel = systemClock.schedule(SILENCE_MS_MAX, abort)
    },
    end: () => {
      cancel()
      signal.removeEventListener('abort', abort)
      own.abort() // the connection goes too
    },
  }
}

async function* readEvents(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<HeardEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    heard()
    rest += decoder.decode(chunk, { stream: true })
    const parts = rest.split('\n\n')
    rest = parts.pop() ?? ''
    if (rest.length > EVENT_CHARS_MAX) throw new Error('an event without end')
    for (const part of parts) {
      const event = parseEvent(part)
      if (event !== undefined) yield event
    }
  }
}

/** Undefined: a comment, or a hint about the pause. */
function parseEvent(part: string): HeardEvent | undefined {
  const fields = new Map<string, string>()
  for (const line of part.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''))
  }
  const data = fields.get('data')
  if (data === undefined) return undefined
  return { id: fields.get('id'), event: fields.get('event') ?? 'message', data: JSON.parse(data) as unknown }
}

function pauseUnless(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = systemClock.schedule(ms, done)
    signal.addEventListener('abort', done)
  })
}
