// A connection that comes back. It is opened anew for ever, with full jitter (AWS Architecture Blog, 2015) from 0.25 to 30 s, and not before
// the server said that it may be: a server that drains tells each of its clients another moment.
// Invariants:
//   SC1. It never gives up: whatever happens to a socket, another is opened, at most 30 s later unless the server asked for more.
//   SC2. At most one socket is heard; nothing of one that was given up has an effect.

import { RipstopError } from '@ripstop/kernel'
import type { SessionEnvironment, SessionSocket, SessionSocketClass } from './environment.ts'

const OPEN_MS_MAX = 10_000
const PAUSE_MS_MIN = 250
const PAUSE_MS_MAX = 30_000
const DOUBLINGS_MAX = 7
/** A connection that held for so long had nothing to do with the failures before it. */
const STEADY_MS = 5_000

export interface ConnectionOptions {
  readonly env: SessionEnvironment
  readonly url: string
  readonly socketClass: SessionSocketClass
  /** Asked anew for each socket: tokens end. */
  readonly protocols: () => Promise<string[]>
  readonly onOpen: () => void
  readonly onMessage: (text: string) => void
  readonly onDown: () => void
}

export interface Connection {
  /** False: there is none at this moment. */
  send(text: string): boolean
  /** Gives up the present socket; the next is not opened before `retryMs` have passed. */
  drop(retryMs?: number): void
  /** Opens the next one now, if it may. */
  hurry(): void
  close(): void
}

export function createConnection(options: ConnectionOptions): Connection {
  return new Reopening(options)
}

class Reopening implements Connection {
  readonly #options: ConnectionOptions
  #phase: 'opening' | 'open' | 'waiting' | 'closed' = 'waiting'
  /** Raised whenever a socket is given up: what an older one says is not heard. */
  #generation = 0
  #socket: SessionSocket | undefined
  #cancelTimer = (): void => {}
  #failures = 0
  #openedMonoMs = 0
  #notBeforeMonoMs = 0

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#open()
  }

  send(text: string): boolean {
    if (this.#phase !== 'open') return false
    try {
      this.#socket?.send(text)
      return true
    } catch {
      return false // it is closing; `close` follows
    }
  }

  drop(retryMs = 0): void {
    const { clock, random } = this.#options.env
    if (this.#phase === 'closed' || this.#phase === 'waiting') return
    if (this.#phase === 'open' && clock.monoMs() - this.#openedMonoMs >= STEADY_MS) this.#failures = 0
    this.#phase = 'waiting'
    this.#giveUp()
    const mostMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, DOUBLINGS_MAX)
    this.#notBeforeMonoMs = clock.monoMs() + retryMs
    this.#cancelTimer = clock.schedule(Math.max(retryMs, random() * mostMs), () => this.#open())
    this.#options.onDown()
  }

  hurry(): void {
    if (this.#phase === 'waiting' && this.#options.env.clock.monoMs() >= this.#notBeforeMonoMs) this.#open()
  }

  close(): void {
    this.#phase = 'closed'
    this.#giveUp()
  }

  #giveUp(): void {
    this.#generation++
    this.#cancelTimer()
    const given = this.#socket
    this.#socket = undefined
    given?.close(1000)
  }

  #open(): void {
    this.#phase = 'opening'
    this.#cancelTimer()
    this.#cancelTimer = this.#options.env.clock.schedule(OPEN_MS_MAX, () => this.drop())
    const drop = this.#ifStill(() => this.drop())
    // A token may not be there either: that is a failure like others.
    Promise.resolve()
      .then(this.#options.protocols)
      .then(this.#ifStill((protocols: string[]) => this.#listen(protocols)))
      .catch(drop)
  }

  #listen(protocols: string[]): void {
    const { url, socketClass, env, onOpen, onMessage } = this.#options
    const socket = new socketClass(url, protocols)
    this.#socket = socket
    socket.onopen = this.#ifStill(() => {
      this.#cancelTimer()
      this.#phase = 'open'
      this.#openedMonoMs = env.clock.monoMs()
      onOpen()
    })
    socket.onmessage = this.#ifStill(({ data }: { readonly data: unknown }) => {
      if (typeof data === 'string') onMessage(data)
    })
    socket.onerror = this.#ifStill(() => this.drop())
    socket.onclose = this.#ifStill(() => this.drop())
  }

  #ifStill<A extends unknown[]>(work: (...args: A) => void): (...args: A) => void {
    const generation = this.#generation
    return (...args) => {
      if (generation === this.#generation) work(...args)
    }
  }
}

/** The address of a session's WebSocket, from that of the mesh. */
export function socketUrl(base: string, sessionId: string): string {
  let url: URL
  try {
    url = new URL('/ws', base)
  } catch (cause) {
    throw new RipstopError('CONFIG_INVALID', `url is none: ${base}`, { cause })
  }
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:'
  url.searchParams.set('sessionId', sessionId)
  return url.href
}
