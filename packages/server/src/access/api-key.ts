// API keys: `rs_<environment>_<32 characters>`. The random part holds 190 bits, so a plain SHA-256 is a safe thing to store
// (nothing can be guessed) and a quick thing to look up (2 us). The environment is part of the key, so that a key of one
// can't work in another, whatever databases were copied (M7).

import { createHash, randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type KeyEnvironment = 'dev' | 'prod'

export interface NewSecret {
  /** Shown once, kept nowhere. */
  readonly secret: string
  /** May be shown: tells keys apart. */
  readonly prefix: string
  readonly sha256: string
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_LENGTH = 32
const SHOWN_LENGTH = 8
const FORM = /^rs_(dev|prod)_[0-9A-Za-z]{32}$/

export function createSecret(environment: KeyEnvironment): NewSecret {
  let random = ''
  while (random.length < RANDOM_LENGTH) {
    for (const byte of randomBytes(RANDOM_LENGTH)) {
      // 248 is the last multiple of 62: without this some characters would come more often.
      if (byte < 248 && random.length < RANDOM_LENGTH) random += ALPHABET[byte % 62]
    }
  }
  const secret = `rs_${environment}_${random}`
  return { secret, prefix: secret.slice(0, secret.length - RANDOM_LENGTH + SHOWN_LENGTH), sha256: hashSecret(secret) }
}

/** Hex, as the store keeps and compares it. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

export type PresentedKey =
  | { readonly type: 'none' }
  | { readonly type: 'malformed' }
  | { readonly type: 'key'; readonly environment: KeyEnvironment; readonly sha256: string }

/**
 * The key of a request: X-Api-Key, else a bearer token that begins with `rs_`. Any other Authorization is not for us: the
 * gateway passes it on.
 */
export function readPresentedKey(headers: IncomingHttpHeaders): PresentedKey {
  const given = headers['x-api-key'] ?? bearerOf(headers.authorization)
  if (given === undefined) return { type: 'none' }
  const [, environment] = typeof given === 'string' ? (FORM.exec(given) ?? []) : []
  if (environment === undefined) return { type: 'malformed' }
  return { type: 'key', environment: environment as KeyEnvironment, sha256: hashSecret(given as string) }
}

function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(rs_\S*) *$/i.exec(authorization ?? '')?.[1]
}
