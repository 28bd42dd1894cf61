// One connection to a WebSocket peer.
// Invariants:
//   WP1. What is unsent is bounded: beyond it `send` refuses at once, having sent nothing.

import type { RawData, WebSocket } from 'ws'
import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'

/** Text arrives as a string, binary as a Buffer. */
export type WebsocketMessage = string | Buffer

export class WebsocketPeer {
  readonly #socket: WebSocket
  readonly #bufferedBytesMax: number
  readonly #listeners = new Set<(message: WebsocketMessage) => void>()
  #pings = 0

  /** @internal Made by the adapter. */
  constructor(socket: WebSocket, bufferedBytesMax: number) {
    this.#socket = socket
    this.#bufferedBytesMax = bufferedBytesMax
    socket.on('message', (data, isBinary) => {
      const message = isBinary ? toBuffer(data) : toBuffer(data).toString('utf8')
      for (const listener of [...this.#listeners]) listener(message)
    })
  }

  /** The subprotocol that was agreed on; empty: none. */
  get protocol(): string {
    return this.#socket.protocol
  }

  /** Bytes that are not yet with the system. */
  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  /**
   * Resolves once the system has taken the message, which says nothing about the peer. Rejects with OVERLOADED (sent:
   * no) when too much is unsent, with LINK_LOST when the connection is gone.
   */
  send(ctx: Ctx, message: string | Uint8Array): Promise<void> {
    ctx.throwIfOver()
    const socket = this.#socket
    const bytes = typeof message === 'string' ? Buffer.byteLength(message) : message.byteLength
    if (socket.bufferedAmount + bytes > this.#bufferedBytesMax) {
      const text = `${socket.bufferedAmount} bytes are unsent, ${bytes} more would be too many`
      return Promise.reject(new RipstopError('OVERLOADED', text, { sent: 'no' }))
    }
    if (socket.readyState !== socket.OPEN) {
      return Promise.reject(new RipstopError('LINK_LOST', 'the connection is closed', { sent: 'no' }))
    }
    return new Promise((resolve, reject) => {
      socket.send(message, (error) => {
        if (error === undefined || error === null) resolve()
        else reject(new RipstopError('LINK_LOST', error.message, { cause: error, sent: 'maybe' }))
      })
    })
  }

  /** Hears every message until the returned function is called. Listeners must not throw. */
  onMessage(listener: (message: WebsocketMessage) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** @internal Resolves when the pong to this very ping has come. */
  ping(ctx: Ctx): Promise<void> {
    const socket = this.#socket
    const mark = String(++this.#pings)
    return new Promise((resolve, reject) => {
      const { signal } = ctx
      const end = (error: unknown): void => {
        socket.off('pong', heard)
        socket.off('close', closed)
        signal.removeEventListener('abort', abandon)
        if (error === undefined) resolve()
        else reject(error)
      }
      const heard = (data: Buffer): void => {
        if (data.toString('latin1') === mark) end(undefined)
      }
      const closed = (): void => end(new RipstopError('LINK_LOST', 'it closed before its pong came'))
      const abandon = (): void => end(signal.reason)
      if (signal.aborted) return reject(signal.reason)
      if (socket.readyState !== socket.OPEN) return reject(new RipstopError('LINK_LOST', 'the connection is closed'))
      signal.addEventListener('abort', abandon, { once: true })
      socket.on('pong', heard)
      socket.on('close', closed)
      socket.ping(mark, undefined, (error) => {
        if (error) end(error)
      })
    })
  }

  /** @internal Politely: a close frame first, and a second for its answer. */
  close(politely: boolean): void {
    if (politely && this.#socket.readyState === this.#socket.OPEN) this.#socket.close(1001, 'going away')
    else this.#socket.terminate()
  }
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
