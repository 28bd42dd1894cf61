// Verifying. A webhook is believed if one of our secrets signed its id, its time and its body, byte by byte, and its time is
// near ours. What is signed is `id.timestamp.body`: an id with a dot could be read as another id with another time, so none is
// taken. The signature comes first: a refused timestamp then says something about clocks, not about forgers.
// Invariants:
//   SK1. What is returned was signed by one of the secrets, all of it: id, timestamp and every byte of the body.
//   SK2. No id, timestamp or signature is taken from a header that is missing or there twice.
//   SK3. A signature whose time is further from ours than the tolerance, before or after, is refused.
// Source: Standard Webhooks 1.0.0.

import { wallMs } from './clock.ts'
import { type Key, parseSecrets } from './secrets.ts'
import { WebhookError } from './webhook-error.ts'

export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>

/** CloudEvents 1.0, as the mesh sends it. */
export interface CloudEvent<Data = unknown> {
  readonly specversion: '1.0'
  readonly id: string
  readonly source: string
  readonly type: string
  readonly time: string
  readonly subject?: string
  readonly partitionkey?: string
  readonly dataschema?: string
  readonly datacontenttype?: string
  readonly data: Data
}

export interface Webhook<Event = CloudEvent> {
  /** The same over all repetitions: what an inbox keeps. */
  readonly id: string
  readonly timestampMs: number
  /** 1 for the first; undefined if the sender did not say. Not signed: for logs only. */
  readonly attempt: number | undefined
  /** What the body says. That it is an `Event` is the sender's promise, which its schema keeps; only JSON is checked here. */
  readonly event: Event
}

export interface Received {
  readonly headers: WebhookHeaders
  /** As it came: text that was decoded and encoded again may have lost bytes. */
  readonly body: Uint8Array | string
}

export interface Tolerance {
  /** How far the sender's clock may be from ours, either way [5 min]. */
  readonly toleranceMs?: number
  /** For tests; default: now. */
  readonly nowMs?: number
}

export interface VerifyOptions extends Received, Tolerance {
  /** `whsec_…` or, for v1a, `whpk_…`; several while they are rotated. */
  readonly secrets: string | readonly string[]
}

const TOLERANCE_MS = 300_000
const ID = /^[\x21-\x2b\x2d\x2f-\x7e]{1,256}$/ // printable, without comma (two headers that were joined) and dot
const TIMESTAMP = /^[1-9]\d{0,11}$/
const ATTEMPT = /^[1-9]\d{0,5}$/
/** More than any rotation needs: each costs a look with every secret. */
const SIGNATURES_MAX = 32

/** Throws SIGNATURE_INVALID, TIMESTAMP_REFUSED, WEBHOOK_MALFORMED, BODY_PARSED or SECRET_INVALID. */
export function verifyWebhook<Event = CloudEvent>({ secrets, ...received }: VerifyOptions): Webhook<Event> {
  return verifyWith<Event>(parseSecrets(secrets), received).webhook
}

/** With secrets that were parsed before; `key` is the one that had signed. */
export function verifyWith<Event>(
  keys: readonly Key[],
  { headers, body, toleranceMs = TOLERANCE_MS, nowMs = wallMs() }: Received & Tolerance,
): { readonly webhook: Webhook<Event>; readonly key: Key } {
  const id = readHeader(headers, 'webhook-id')
  const timestamp = readHeader(headers, 'webhook-timestamp')
  const signatures = readHeader(headers, 'webhook-signature')
  if (!ID.test(id)) throw malformed('webhook-id is not an id (it may hold no dot, comma or space)')
  if (!TIMESTAMP.test(timestamp)) throw malformed('webhook-timestamp is not a time in seconds')
  const bytes = toBytes(body)
  const key = findKey(keys, Buffer.concat([Buffer.from(`${id}.${timestamp}.`), bytes]), signatures)
  const timestampMs = Number(timestamp) * 1_000
  // Written so that a tolerance that is no number refuses everything.
  if (!(Math.abs(nowMs - timestampMs) <= toleranceMs)) {
    const seconds = Math.round(Math.abs(nowMs - timestampMs) / 1_000)
    const side = timestampMs < nowMs ? 'before' : 'after'
    throw new WebhookError('TIMESTAMP_REFUSED', `it was signed ${seconds} s ${side} the time of this machine`)
  }
  return { webhook: { id, timestampMs, attempt: readAttempt(headers), event: parseEvent<Event>(bytes) }, key }
}

function findKey(keys: readonly Key[], content: Buffer, signatures: string): Key {
  const list = signatures.split(' ')
  if (list.length > SIGNATURES_MAX) throw malformed(`webhook-signature holds more than ${SIGNATURES_MAX} signatures`)
  for (const signature of list) {
    const comma = signature.indexOf(',')
    const scheme = signature.slice(0, comma)
    const base64 = signature.slice(comma + 1)
    const found = keys.find((key) => key.scheme === scheme && key.isSignature(content, base64))
    if (found !== undefined) return found
  }
  throw new WebhookError('SIGNATURE_INVALID', 'no signature of this webhook is by a secret that is known here')
}

/** Throws WEBHOOK_MALFORMED unless it is there once. */
function readHeader(headers: WebhookHeaders, name: string): string {
  const [value, second] = valuesOf(headers, name)
  if (second !== undefined) throw malformed(`${name} is there more than once`)
  if (value === undefined || value === '') throw malformed(`${name} is missing`)
  return value
}

function readAttempt(headers: WebhookHeaders): number | undefined {
  const [value, second] = valuesOf(headers, 'webhook-attempt')
  return value !== undefined && second === undefined && ATTEMPT.test(value) ? Number(value) : undefined
}

/** However its name is spelled: not every server gives names in lower case. */
function valuesOf(headers: WebhookHeaders, name: string): readonly string[] {
  if (isFetchHeaders(headers)) {
    const value = headers.get(name)
    return value === null ? [] : [value]
  }
  return Object.entries(headers).flatMap(([key, value]) =>
    value === undefined || key.toLowerCase() !== name ? [] : value,
  )
}

function isFetchHeaders(headers: WebhookHeaders): headers is Headers {
  return typeof headers.get === 'function'
}

function toBytes(body: unknown): Uint8Array {
  if (typeof body === 'string') return Buffer.from(body)
  if (body instanceof Uint8Array) return body
  throw new WebhookError('BODY_PARSED', 'the body was parsed before it could be verified: its bytes are gone')
}

function parseEvent<Event>(bytes: Uint8Array): Event {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Event
  } catch (cause) {
    throw new WebhookError('WEBHOOK_MALFORMED', 'it is signed well, but its body is not JSON in UTF-8', { cause })
  }
}

function malformed(message: string): WebhookError {
  return new WebhookError('WEBHOOK_MALFORMED', message)
}
