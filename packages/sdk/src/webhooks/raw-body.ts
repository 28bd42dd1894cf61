// Raw bodies. What is signed are bytes, so they are read as they come, up to a bound, and where somebody parsed them before us
// that is said instead of guessed: JSON.stringify(JSON.parse(body)) is another body.
// Invariants:
//   SK5. No more than maxBytes of a body are ever held; one that is longer is refused, whatever its head said.
//   SK6. A body that was read or parsed before is refused as such, never taken for an empty or a forged one.

import type { Readable } from 'node:stream'
import { WebhookError } from './webhook-error.ts'

/** Read and thrown away beyond the bound, so that the sender gets to read the answer instead of a reset. */
const LINGER_BYTES_MAX = 1_048_576

/** A request of node:http or of a framework on top of it, which may have read the body already. */
export interface RequestLike extends Readable {
  readonly body?: unknown
  /** Where many keep the bytes that they parsed. */
  readonly rawBody?: unknown
}

/** The bytes if somebody kept them, else the request itself if nobody has read it, else what was made of it. */
export function rawBodyOf(request: RequestLike): unknown {
  if (request.rawBody instanceof Uint8Array) return request.rawBody
  if (request.body instanceof Uint8Array) return request.body
  return request.readableDidRead ? request.body : request
}

/** Throws PAYLOAD_TOO_LARGE, BODY_PARSED, or WEBHOOK_MALFORMED for one that breaks off. */
export async function readBody(body: unknown, maxBytes: number): Promise<Uint8Array> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  if (bytes instanceof Uint8Array) {
    if (bytes.length > maxBytes) throw tooLarge(maxBytes)
    return bytes
  }
  if (!isReadable(bytes))
    throw new WebhookError('BODY_PARSED', 'the body was parsed before it could be verified: its bytes are gone')
  if (bytes.readableDidRead) throw new WebhookError('BODY_PARSED', 'the body was read before: its bytes are gone')
  return readStream(bytes, maxBytes)
}

function readStream(stream: Readable, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let chunks: Uint8Array[] = []
    let length = 0
    stream.on('data', (chunk: Uint8Array) => {
      length += chunk.length
      if (length <= maxBytes) chunks.push(chunk)
      else chunks = []
      if (length > maxBytes + LINGER_BYTES_MAX) {
        stream.pause()
        reject(tooLarge(maxBytes))
      }
    })
    stream.once('end', () => (length > maxBytes ? reject(tooLarge(maxBytes)) : resolve(Buffer.concat(chunks))))
    stream.once('close', () => reject(new WebhookError('WEBHOOK_MALFORMED', 'the body broke off'))) // no effect after end
    stream.once('error', () => {}) // close follows
  })
}

function isReadable(body: unknown): body is Readable {
  return typeof body === 'object' && body !== null && 'readableDidRead' in body && 'pause' in body
}

function tooLarge(maxBytes: number): WebhookError {
  return new WebhookError('PAYLOAD_TOO_LARGE', `the body is longer than ${maxBytes} bytes`)
}
