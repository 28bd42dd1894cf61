// What is decided about deferred requests, pure: where they go, what of them is kept, and what an answer or a failure means.
// Invariants:
//   DF3. What may have been done is sent again only if that is harmless: by its method, or by the key that goes with it.

import { createHash } from 'node:crypto'
import type { RipstopError } from '@ripstop/kernel'
import type { Answer } from '#delivery'

/** A person waits for it, or a program that polls: soon, and not for days. */
export const RETRY_SCHEDULE_MS: readonly number[] = [1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000]

/** The same in every process: a UUID (version 8) of the upstream's name. */
export function targetIdOf(upstream: string): string {
  const hex = createHash('sha256').update(`deferred/${upstream}`).digest('hex')
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** For the upstream: without the preference that was carried out here, and with a key where its repetition needs one. */
export function keptHeaders(headers: readonly string[], key: string | undefined): string[] {
  const kept: string[] = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as string
    const value = headers[index + 1] as string
    const lower = name.toLowerCase()
    if (lower === 'content-length') continue // written anew: the body may have come without one
    const left = lower === 'prefer' ? withoutAsync(value) : value
    if (left !== '') kept.push(name, left)
  }
  if (key !== undefined) kept.push('Idempotency-Key', key)
  return kept
}

function withoutAsync(prefer: string): string {
  const preferences = prefer.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? []
  return preferences
    .map((preference) => preference.trim())
    .filter((preference) => !/^respond-async\s*(?:[=;]|$)/i.test(preference))
    .join(', ')
}

/** Of the upstream's connection, or not for whoever reads the answer later. */
const DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'content-length', // of what may be cut
  'set-cookie',
  'set-cookie2',
  'www-authenticate',
  'proxy-authenticate',
  'authentication-info',
  'proxy-authentication-info',
])
const HEADERS_MAX = 64
const HEADER_CHARS_MAX = 16_384

export type Headers = Readonly<Record<string, string | string[] | undefined>>

/** What is kept of an answer's head: in lower case, the first of them where they are too many. */
export function safeHeaders(headers: Headers): Record<string, string> {
  const named = new Set(
    String(headers.connection ?? '')
      .toLowerCase()
      .split(/\s*,\s*/),
  )
  const kept: [string, string][] = []
  let chars = 0
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase()
    if (value === undefined || DROPPED.has(lower) || named.has(lower)) continue
    const text = (typeof value === 'string' ? value : value.join(', ')).replaceAll('\0', '')
    chars += lower.length + text.length
    if (kept.length === HEADERS_MAX || chars > HEADER_CHARS_MAX) break
    kept.push([lower, text])
  }
  return Object.fromEntries(kept)
}

/** An answer of the upstream, as far as it is kept. */
export interface Kept {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: Buffer
  readonly isCut: boolean
}

/** They say nothing about the request itself: the upstream, or what is behind it, is not there. As in the gateway. */
const FAILED: ReadonlySet<number> = new Set([502, 503, 504])
const TOO_MANY = 429
const RESPONSE_BYTES = 4_096

export function judgeAnswer(
  kept: Kept,
  retryAfter: string | undefined,
  isRepeatable: boolean,
  durationMs: number,
): Answer {
  const { status } = kept
  const answer = { status, durationMs, response: kept.body.subarray(0, RESPONSE_BYTES), notes: kept }
  if (!FAILED.has(status) && status !== TOO_MANY) return { ...answer, outcome: 'delivered' }
  const seconds = Number(retryAfter)
  return {
    ...answer,
    outcome: 'failed',
    code: 'PEER_FAILED',
    reason: `the upstream answered ${status}`,
    // 429 says that it was not done.
    next: isRepeatable || status === TOO_MANY ? 'later' : 'never',
    ...(seconds > 0 && seconds <= 86_400 ? { retryAfterMs: seconds * 1_000 } : {}),
  }
}

export function judgeFailure(error: RipstopError, isRepeatable: boolean, durationMs: number): Answer {
  const { code, message: reason } = error
  // What says nothing about it may have sent it.
  if (error.sent === 'no') {
    const { retryAfterMs } = error
    const again = retryAfterMs === undefined ? {} : { retryAfterMs }
    return { outcome: 'failed', code, reason, durationMs, next: 'later', ...again }
  }
  return { outcome: 'unknown', code, reason, durationMs, next: isRepeatable ? 'later' : 'never' }
}
