// Server-sent events (HTML Living Standard, section 9.2). Streams are for ever, so they are what a server leaks first:
// their number, their age and what each may leave unread are bounded, and a drain ends them all.
// Invariants:
//   HE1. A client that does not read is dropped once it leaves more than UNREAD_BYTES_MAX; it never holds back others.
//   HE2. At most `streamsMax` streams; a further one is refused with OVERLOADED.
//   HE3. Every stream ends: with its client, at its age, or at the drain, and its subscription with it.

import type { ServerResponse } from 'node:http'
import { type Env, RipstopError } from '@ripstop/kernel'

export interface StreamEvent {
  /** What the client sends back as Last-Event-ID. */
  readonly id: string
  readonly event: string
  /** Anything that JSON can hold. */
  readonly data: unknown
  /** Ends the stream after it. */
  readonly isLast?: boolean
}

/** Gives how many bytes the client has left unread. */
export type SendEvent = (event: StreamEvent) => number

/** Called when the head is out; returns what ends the subscription. */
export type OpenStream = (send: SendEvent) => () => void

export const UNREAD_BYTES_MAX = 262_144
const STREAMS_MAX = 256
const HEARTBEAT_MS = 15_000
/** A client whose machine vanished shows nothing for a quarter of an hour: its place is free again by then. */
const AGE_MS_MAX = 900_000
const RECONNECT_MS = 1_000
/** What a client that was sent away may take to read why. */
const LAST_WORD_MS = 2_000

interface OpenedStream {
  readonly response: ServerResponse
  readonly endsAt: number
  unsubscribe: () => void
}

export interface EventStreamsOptions {
  readonly env: Env
  readonly onDropped?: () => void
  readonly streamsMax?: number
  readonly heartbeatMs?: number
  readonly ageMsMax?: number
}

export class EventStreams {
  readonly #options: Required<EventStreamsOptions>
  readonly #streams = new Set<OpenedStream>()
  #cancelHeartbeat: (() => void) | undefined

  constructor(options: EventStreamsOptions) {
    this.#options = {
      onDropped: () => {},
      streamsMax: STREAMS_MAX,
      heartbeatMs: HEARTBEAT_MS,
      ageMsMax: AGE_MS_MAX,
      ...options,
    }
  }

  get size(): number {
    return this.#streams.size
  }

  /** Throws OVERLOADED when there are too many (HE2): call it before anything is sent. */
  open(response: ServerResponse, headers: Readonly<Record<string, string>>, start: OpenStream): void {
    const { env, streamsMax, ageMsMax } = this.#options
    if (this.#streams.size >= streamsMax) {
      throw new RipstopError('OVERLOADED', `${streamsMax} event streams are open already`, {
        retryAfterMs: RECONNECT_MS,
      })
    }
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
      ...headers,
    })
    response.write(`retry: ${RECONNECT_MS}\n\n`)
    const stream: OpenedStream = { response, endsAt: env.clock.monoMs() + ageMsMax, unsubscribe: () => {} }
    this.#streams.add(stream)
    if (this.#streams.size === 1) this.#armHeartbeat()
    response.on('close', () => this.#closed(stream))
    response.on('error', () => {}) // a reset by the client: `close` follows
    stream.unsubscribe = start((event) => this.#send(stream, event))
    // The first write may have met a client that is gone.
    if (!this.#streams.has(stream)) stream.unsubscribe()
  }

  /** Ends every stream in good order: clients reconnect, to another process. */
  drain(): void {
    for (const stream of [...this.#streams]) this.#end(stream)
  }

  #send(stream: OpenedStream, event: StreamEvent): number {
    this.#write(stream, formatEvent(event))
    if (event.isLast === true) {
      this.#end(stream)
      stream.response.once(
        'close',
        this.#options.env.clock.schedule(LAST_WORD_MS, () => stream.response.destroy()),
      )
    }
    return stream.response.writableLength
  }

  #write(stream: OpenedStream, text: string): void {
    const { response } = stream
    if (response.destroyed || response.writableEnded) return
    response.write(text)
    if (response.writableLength <= UNREAD_BYTES_MAX) return
    this.#options.onDropped()
    response.destroy()
    this.#closed(stream)
  }

  #beat(): void {
    const nowMs = this.#options.env.clock.monoMs()
    for (const stream of [...this.#streams]) {
      if (stream.endsAt <= nowMs) this.#end(stream)
      else this.#write(stream, ': still here\n\n')
    }
    if (this.#streams.size > 0) this.#armHeartbeat()
  }

  #armHeartbeat(): void {
    const { env, heartbeatMs } = this.#options
    this.#cancelHeartbeat = env.clock.schedule(heartbeatMs, () => this.#beat())
  }

  #end(stream: OpenedStream): void {
    this.#closed(stream)
    stream.response.end()
  }

  #closed(stream: OpenedStream): void {
    if (!this.#streams.delete(stream)) return
    if (this.#streams.size === 0) this.#cancelHeartbeat?.()
    stream.unsubscribe()
  }
}

/** JSON has no raw newline, so one `data` line is enough; ids and names are ours and have none either. */
export function formatEvent({ id, event, data }: StreamEvent): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}
