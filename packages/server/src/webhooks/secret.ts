// Signing secrets (Standard Webhooks): `whsec_` and 24 to 64 random bytes for v1, a symmetric secret that both sides keep; `whsk_`
// for v1a, an Ed25519 key that we alone keep, whose `whpk_` anyone may read.
// Invariants:
//   WS1. A secret is kept sealed only, and shown once: in the answer to the request that made it.

import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'

export type Algorithm = 'v1' | 'v1a'

export const SECRET_BYTES = 32
const SYMMETRIC_BYTES_MIN = 24
const SYMMETRIC_BYTES_MAX = 64
const SEED_BYTES = 32
/** DER of an Ed25519 key, up to the key itself (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

/** What is kept. `bytes`: the symmetric secret, or seed and public key of an Ed25519 key (64). */
export interface SecretMaterial {
  readonly algorithm: Algorithm
  readonly bytes: Buffer
}

export function createSecret(algorithm: Algorithm): SecretMaterial {
  if (algorithm === 'v1') return { algorithm, bytes: randomBytes(SECRET_BYTES) }
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length)
  const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length)
  return { algorithm, bytes: Buffer.concat([seed, point]) }
}

/** Of a secret that somebody brings along; undefined: it is none. */
export function parseSecret(text: string): SecretMaterial | undefined {
  const [, prefix, encoded = ''] = /^(whsec|whsk)_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  if (prefix === undefined) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) return undefined
  if (prefix === 'whsec') {
    const fits = bytes.length >= SYMMETRIC_BYTES_MIN && bytes.length <= SYMMETRIC_BYTES_MAX
    return fits ? { algorithm: 'v1', bytes } : undefined
  }
  return bytes.length === 2 * SEED_BYTES && pointOf(bytes).equals(bytes.subarray(SEED_BYTES))
    ? { algorithm: 'v1a', bytes }
    : undefined
}

/** As its receiver needs it: the secret itself for v1, the public key for v1a. */
export function formatSecret({ algorithm, bytes }: SecretMaterial): string {
  return algorithm === 'v1' ? `whsec_${bytes.toString('base64')}` : formatPublicKey(bytes.subarray(SEED_BYTES))
}

export function formatPublicKey(point: Uint8Array): string {
  return `whpk_${Buffer.from(point).toString('base64')}`
}

/** What anyone may read; undefined for v1. */
export function publicPart({ algorithm, bytes }: SecretMaterial): Buffer | undefined {
  return algorithm === 'v1' ? undefined : bytes.subarray(SEED_BYTES)
}

/** For node:crypto, made once: to sign with raw bytes costs 30 us, with a key object 6 (2026-11). */
export function toKey({ algorithm, bytes }: SecretMaterial): KeyObject {
  return algorithm === 'v1' ? createSecretKey(bytes) : privateKeyOf(bytes)
}

function privateKeyOf(bytes: Buffer): KeyObject {
  const key = Buffer.concat([PKCS8, bytes.subarray(0, SEED_BYTES)])
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
}

function pointOf(bytes: Buffer): Buffer {
  return createPublicKey(privateKeyOf(bytes)).export({ format: 'der', type: 'spki' }).subarray(SPKI.length)
}
