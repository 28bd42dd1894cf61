// What a receiver's answer means. Standard Webhooks: 2xx is success and nothing else is; 410 says that nobody wants this any more; 429
// and 503 may say when to come back.
// Invariants:
//   WK5. An attempt whose bytes may have gone out and that has no status is `unknown`; one whose bytes did not go out is `failed`.

import type { RipstopError } from '@ripstop/kernel'
import type { Answer } from '#delivery'
import type { EgressAnswer } from '#platform/egress'

const RETRY_AFTER_MS_MAX = 86_400_000
/** Statuses whose Retry-After is about us and not about the thing. */
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504])
/** The name does not exist. EAI_AGAIN only says that nobody could tell. */
const NO_SUCH_NAME: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])

/** What an answer says about the endpoint, for the settling statement. */
export type Presence = 'there' | 'missing' | 'gone' | 'unclear'

export interface Judged {
  readonly answer: Omit<Answer, 'durationMs' | 'notes'>
  readonly presence: Presence
}

type Seen = Pick<EgressAnswer, 'status' | 'headers' | 'body'>

export function judgeAnswer({ status, headers, body }: Seen, wallMs: number): Judged {
  const response = body.length === 0 ? {} : { response: body }
  if (status >= 200 && status < 300) {
    return { answer: { outcome: 'delivered', status, ...response }, presence: 'there' }
  }
  const failed = { outcome: 'failed', status, code: 'PEER_REFUSED', ...response } as const
  if (status === 410) {
    return { answer: { ...failed, reason: 'it answered 410: it wants no more', next: 'park' }, presence: 'gone' }
  }
  if (status === 404) return { answer: { ...failed, reason: 'it answered 404' }, presence: 'missing' }
  if (status >= 300 && status < 400) {
    const reason = `it answered ${status}: redirects are not followed`
    return { answer: { ...failed, reason }, presence: 'there' }
  }
  const code = status >= 500 ? 'PEER_FAILED' : 'PEER_REFUSED'
  const retryAfterMs = BUSY.has(status) ? readRetryAfter(headers['retry-after'], wallMs) : undefined
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs }
  return { answer: { ...failed, code, reason: `it answered ${status}`, ...wait }, presence: 'there' }
}

export function judgeFailure(error: RipstopError, wallMs: number): Judged {
  const { status, cause } = error.details
  // The head of an answer was there, and only its body broke off: it answered.
  if (typeof status === 'number' && status >= 200) {
    const { answer, presence } = judgeAnswer({ status, headers: {}, body: Buffer.alloc(0) }, wallMs)
    return {
      answer: { ...answer, reason: `${answer.reason ?? `it answered ${status}`}; its body broke off` },
      presence,
    }
  }
  const base = { code: error.code, reason: error.message.slice(0, 300) }
  if (error.sent !== 'no') return { answer: { outcome: 'unknown', ...base }, presence: 'unclear' }
  const presence = NO_SUCH_NAME.has(cause) ? 'missing' : 'unclear'
  return { answer: { outcome: 'failed', ...base }, presence }
}

/** Seconds, or a date; undefined: it says nothing of use. */
export function readRetryAfter(value: string | readonly string[] | undefined, wallMs: number): number | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  // Date.parse reads much more than dates of HTTP: -1 is a day in 2001.
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : / GMT$/.test(text) ? Date.parse(text) - wallMs : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms))
}
