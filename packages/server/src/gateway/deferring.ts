// Deferring (RFC 7240). A request with `Prefer: respond-async` is handed, whole, to whoever stores it, and answered with where
// its answer will be. Storing is durable, so only somebody known may ask for it: on a route that is open to everybody the
// preference of a stranger is passed on to the upstream as it is, which the RFC allows.
// The normal path pays a comparison: the header is seen in the pass over the header lines.
// Invariants:
//   DF1. 202 is answered after the request is stored, and only then; what could not be stored is refused and never sent.
//   DF2. A body to be stored is bounded, each and all together.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Ctx, RipstopError } from '@ripstop/kernel'

/** What is stored. */
export interface DeferrableRequest {
  readonly tenantId: string
  readonly upstream: string
  readonly method: string
  /** For the upstream. */
  readonly path: string
  /** For the upstream: names and values by turns. */
  readonly headers: readonly string[]
  readonly body: Buffer | undefined
  /** May it be sent again when nobody knows whether it was done: for its method, or for the key that goes with it, or not at all. */
  readonly repeatable: 'by method' | 'by key' | 'no'
  readonly deadlineMs: number
  /** What the client sent. */
  readonly idempotencyKey: string | undefined
}

export interface Deferred {
  readonly requestId: string
  /** It was stored before, under the same Idempotency-Key. */
  readonly isReplayed: boolean
}

/** Stores it. Throws a RipstopError if it is not known to be stored. */
export type Defer = (ctx: Ctx, request: DeferrableRequest) => Promise<Deferred>

/** Is `respond-async` among the preferences? Quoted words say nothing. */
export function asksAsync(prefer: string): boolean {
  if (!/respond-async/i.test(prefer)) return false
  const unquoted = prefer.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
  return unquoted.split(',').some((preference) => /^\s*respond-async\s*(?:[=;]|$)/i.test(preference))
}

/** Throws BAD_REQUEST for more than one. */
export function idempotencyKeyOf(headers: readonly string[]): string | undefined {
  const keys = headers.filter((_, index) => index % 2 === 1 && headers[index - 1]?.toLowerCase() === 'idempotency-key')
  const [key, second] = keys
  if (second === undefined && (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key))) return key
  throw new RipstopError('BAD_REQUEST', 'Idempotency-Key must be 1 to 255 visible ASCII characters, once')
}

/** Reads a body whose length nobody said. Rejects if it is too long, or the client leaves. */
export function collectChunked(request: IncomingMessage, bytesMax: number, onProgress: () => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const onData = (chunk: Buffer): void => {
      onProgress()
      bytes += chunk.length
      if (bytes <= bytesMax) return void chunks.push(chunk)
      request.off('data', onData)
      reject(tooLongToDefer(bytesMax))
    }
    request.on('data', onData)
    request.once('end', () => resolve(Buffer.concat(chunks, bytes)))
    request.once('close', () => reject(new RipstopError('CANCELLED', 'the client left while it was sending'))) // no effect after end
    request.once('error', () => {}) // close follows and says the same
  })
}

export function tooLongToDefer(bytesMax: number): RipstopError {
  return new RipstopError(
    'PAYLOAD_TOO_LARGE',
    `the body of a request that is answered later may have ${bytesMax} bytes; send it without Prefer: respond-async`,
  )
}

/** `extra`: names and values by turns. */
export function sendAccepted(response: ServerResponse, deferred: Deferred, extra: readonly string[]): void {
  const location = `/v1/deferred/${deferred.requestId}`
  const body = JSON.stringify({ data: { id: deferred.requestId, status_url: location } })
  const headers = ['Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(Buffer.byteLength(body))]
  headers.push('Cache-Control', 'no-store', 'Location', location, 'Preference-Applied', 'respond-async')
  if (deferred.isReplayed) headers.push('Idempotency-Replayed', 'true')
  response.writeHead(202, [...headers, ...extra])
  response.end(body)
}
