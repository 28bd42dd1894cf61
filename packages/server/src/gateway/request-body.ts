// Request bodies. A small one of known length is read whole before the upstream is asked: it can be sent again, and a
// client that sends slowly holds no place at the upstream. Any other is streamed, once, by a stream of our own: undici
// destroys the body it was given when anything ends early, and the client's connection with it.
// Invariants:
//   RB1. A streamed body never holds more than a stream's high-water mark: the client waits while the upstream does.
//   RB2. A body that grows beyond its bound is cut off there, whatever its head said.

import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { RipstopError } from '@ripstop/kernel'

/** Reads `bytes` bytes. Rejects if the client leaves; `onProgress` hears of every chunk. */
export function collectBody(request: IncomingMessage, bytes: number, onProgress: () => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      onProgress()
    })
    request.once('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes)))
    request.once('close', () => {
      if (!request.complete) reject(new RipstopError('CANCELLED', 'the client left while it was sending'))
    })
    request.once('error', () => {}) // close follows and says the same
  })
}

export interface StreamedBodyDeps {
  readonly bytesMax: number
  readonly onProgress: () => void
  readonly onTooLarge: () => void
}

export class StreamedBody extends Readable {
  readonly #request: IncomingMessage
  readonly #deps: StreamedBodyDeps
  #bytes = 0
  #isReading = false

  constructor(request: IncomingMessage, deps: StreamedBodyDeps) {
    super()
    this.#request = request
    this.#deps = deps
  }

  override _read(): void {
    const request = this.#request
    if (!this.#isReading) {
      this.#isReading = true
      request.on('data', this.#onData)
      request.on('end', this.#onEnd)
    }
    request.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#request.off('data', this.#onData)
    this.#request.off('end', this.#onEnd)
    done(error)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length
    this.#deps.onProgress()
    if (this.#bytes > this.#deps.bytesMax) {
      this.#request.pause()
      this.#deps.onTooLarge()
      return
    }
    if (!this.push(chunk)) this.#request.pause()
  }

  readonly #onEnd = (): void => void this.push(null)
}
