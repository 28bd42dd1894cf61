// Signing (Standard Webhooks 1.0): `id.timestamp.body`, by every secret of the endpoint that still signs, so that a receiver may go
// over to a new one whenever it likes within the overlap.
// Invariants:
//   WS2. Every attempt is signed anew, with its own time, by every secret whose time is not over; the id and the body stay the same.
//   WS3. A receipt counts only if it was made with a secret of the endpoint, for this very id.

import { createHmac, type KeyObject, sign, timingSafeEqual } from 'node:crypto'
import type { Algorithm } from './secret.ts'

export interface SigningKey {
  readonly algorithm: Algorithm
  readonly key: KeyObject
  /** Undefined: it is the present one. */
  readonly signsUntilWallMs: number | undefined
}

export interface Signed {
  readonly messageId: string
  readonly timestamp: number
  readonly body: Buffer
}

/** The value of `webhook-signature`; undefined: no secret signs. */
export function signatureOf(keys: readonly SigningKey[], message: Signed, wallMs: number): string | undefined {
  const live = keys.filter(({ signsUntilWallMs }) => signsUntilWallMs === undefined || signsUntilWallMs > wallMs)
  if (live.length === 0) return undefined
  return live.map((key) => signOne(key, message)).join(' ')
}

function signOne({ algorithm, key }: SigningKey, { messageId, timestamp, body }: Signed): string {
  const head = `${messageId}.${timestamp}.`
  if (algorithm === 'v1') return `v1,${createHmac('sha256', key).update(head).update(body).digest('base64')}`
  return `v1a,${sign(null, Buffer.concat([Buffer.from(head), body]), key).toString('base64')}`
}

export interface Headers {
  readonly [name: string]: string
}

export interface Outgoing extends Signed {
  readonly attempt: number
  readonly signature: string
}

/** Everything but what the endpoint's owner adds. */
export function headersOf({ messageId, timestamp, attempt, signature }: Outgoing): Headers {
  return {
    'webhook-id': messageId,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signature,
    'idempotency-key': messageId,
    'x-idempotency-key': messageId,
    'webhook-attempt': String(attempt),
    'content-type': 'application/json',
    'user-agent': 'Ripstop/1',
  }
}

/** What a receiver's `webhook-receipt` proves; undefined: nothing. Only v1 secrets are shared, so only they make receipts. */
export function readReceipt(
  value: string | readonly string[] | undefined,
  keys: readonly SigningKey[],
  messageId: string,
): 'applied' | 'duplicate' | undefined {
  if (typeof value !== 'string') return undefined
  const [, said, given] = /^(applied|duplicate) v1,([A-Za-z0-9+/]{43}=)$/.exec(value) ?? []
  if (given === undefined) return undefined
  const bytes = Buffer.from(given, 'base64')
  const isGenuine = keys.some(
    ({ algorithm, key }) =>
      algorithm === 'v1' && timingSafeEqual(createHmac('sha256', key).update(`${messageId}.${said}`).digest(), bytes),
  )
  return isGenuine ? (said as 'applied' | 'duplicate') : undefined
}
