// Secrets, as Standard Webhooks writes them: `whsec_` and base64 of the HMAC key, `whpk_` and base64 of the Ed25519 public key.

import { createHmac, createPublicKey, createSecretKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto'
import { WebhookError } from './webhook-error.ts'

export interface Key {
  /** How its signatures begin. */
  readonly scheme: 'v1' | 'v1a'
  readonly isSignature: (content: Buffer, base64: string) => boolean
  /** Signs a receipt; undefined where only a public key is known. */
  readonly sign: ((content: Buffer) => string) | undefined
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
/** What the specification allows. */
const HMAC_BYTES_MIN = 24
const HMAC_BYTES_MAX = 64
const ED25519_BYTES = 32

/** Throws SECRET_INVALID; no message shows a secret. Without any secret nothing would ever be verified, so that throws too. */
export function parseSecrets(secrets: string | readonly string[]): readonly Key[] {
  const list = typeof secrets === 'string' ? [secrets] : secrets
  if (!Array.isArray(list) || list.length === 0) throw new WebhookError('SECRET_INVALID', 'there is no secret')
  return list.map(parseSecret)
}

function parseSecret(secret: unknown): Key {
  if (typeof secret !== 'string') throw new WebhookError('SECRET_INVALID', 'a secret is no text: is its variable set?')
  if (secret.startsWith('whsec_')) return createHmacKey(decode(secret.slice(6)))
  if (secret.startsWith('whpk_')) return createEd25519Key(decode(secret.slice(5)))
  if (secret.startsWith('whsk_'))
    throw new WebhookError('SECRET_INVALID', 'a receiver needs the public key (whpk_…), never the private one (whsk_…)')
  throw new WebhookError('SECRET_INVALID', 'a secret begins with neither whsec_ nor whpk_')
}

function decode(base64: string): Buffer {
  if (!BASE64.test(base64)) throw new WebhookError('SECRET_INVALID', 'a secret is not base64 behind its prefix')
  return Buffer.from(base64, 'base64')
}

function createHmacKey(bytes: Buffer): Key {
  if (bytes.length < HMAC_BYTES_MIN || bytes.length > HMAC_BYTES_MAX)
    throw new WebhookError('SECRET_INVALID', `a whsec_ secret has ${HMAC_BYTES_MIN} to ${HMAC_BYTES_MAX} bytes`)
  const key: KeyObject = createSecretKey(bytes) // five times as fast as the bytes, if it is used again
  const sign = (content: Buffer): string => createHmac('sha256', key).update(content).digest('base64')
  return {
    scheme: 'v1',
    sign,
    // The text is compared, not what it decodes to: several texts decode to the same bytes.
    isSignature: (content, base64) => isSameText(base64, sign(content)),
  }
}

function createEd25519Key(bytes: Buffer): Key {
  if (bytes.length !== ED25519_BYTES) throw new WebhookError('SECRET_INVALID', `a whpk_ key has ${ED25519_BYTES} bytes`)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  return {
    scheme: 'v1a',
    sign: undefined,
    isSignature: (content, base64) => {
      const signature = Buffer.from(base64, 'base64')
      return signature.toString('base64') === base64 && verify(null, content, key, signature)
    },
  }
}

function isSameText(given: string, expected: string): boolean {
  const one = Buffer.from(given)
  const other = Buffer.from(expected)
  return one.length === other.length && timingSafeEqual(one, other)
}
