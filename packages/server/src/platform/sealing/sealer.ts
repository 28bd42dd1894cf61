// Sealing. Secrets are kept encrypted: AES-256-GCM under a master key that is not in the database. A sealed value is bound to
// its tenant and its purpose (which names the row), so a copy in another row or tenant does not open.
// It names the key it was sealed with: the first master key seals, all of them open, so the master key is changed by putting a new one
// first, sealing anew what `isOld`, and taking the old one away.
// Layout: version 1 | key id (4) | nonce (12) | ciphertext | tag (16). Nonces are random: 2^32 seals under one key keep the odds
// of a repeated one below 2^-32 (NIST SP 800-38D), far more than secrets that people make.
// Other keys are derived from the master keys (HKDF, RFC 5869), one for each purpose, so that none of them says anything of another.
// Invariants:
//   SE1. A value opens only for the tenant and the purpose that it was sealed for, unchanged to the last bit.
//   SE2. What was sealed with any of the keys opens; what was not is refused by name, never guessed.
//   SE4. A derived key is the same whenever and wherever it is derived, and another for each purpose and master key.

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { RipstopError } from '@ripstop/kernel'
import '../codes.ts'

export const MASTER_KEY_BYTES = 32
const VERSION = 1
const ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + ID_BYTES + NONCE_BYTES

/** Whose it is, and what for: `webhook-secret:<id>`. */
export interface SealedFor {
  readonly tenantId: string
  readonly purpose: string
}

export interface Sealer {
  readonly seal: (plain: Uint8Array, whose: SealedFor) => Buffer
  /** Throws SEAL_BROKEN. */
  readonly open: (sealed: Uint8Array, whose: SealedFor) => Buffer
  /** It opens, but with a key that no longer seals. */
  readonly isOld: (sealed: Uint8Array) => boolean
  /** 32 bytes from each master key, for one purpose; the first is to be used, all of them are to be believed. */
  readonly derive: (purpose: string) => readonly Buffer[]
}

/** `keys`: 32 bytes each, the one that seals first. Throws CONFIG_INVALID for others. */
export function createSealer({ keys }: { readonly keys: readonly Uint8Array[] }): Sealer {
  const known = keys.map(createKey)
  const [first] = known
  if (first === undefined) throw new RipstopError('CONFIG_INVALID', 'there is no master key')
  return {
    seal: (plain, whose) => {
      const nonce = randomBytes(NONCE_BYTES)
      const head = Buffer.concat([Buffer.of(VERSION), first.id, nonce], HEAD_BYTES)
      const cipher = createCipheriv('aes-256-gcm', first.key, nonce).setAAD(boundTo(head, whose))
      return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open: (sealed, whose) => {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes[0] !== VERSION) throw broken('it is no sealed value', whose)
      const key = known.find(({ id }) => id.equals(idOf(bytes)))
      if (key === undefined) throw broken('its master key is not among the given ones', whose)
      return openWith(key.key, bytes, whose)
    },
    isOld: (sealed) => !first.id.equals(idOf(Buffer.from(sealed))),
    derive: (purpose) =>
      known.map(({ key }) => Buffer.from(hkdfSync('sha256', key, '', `ripstop ${purpose}`, MASTER_KEY_BYTES))),
  }
}

function createKey(key: Uint8Array): { readonly id: Buffer; readonly key: Uint8Array } {
  if (key.length !== MASTER_KEY_BYTES) {
    throw new RipstopError('CONFIG_INVALID', `a master key has ${MASTER_KEY_BYTES} bytes, not ${key.length}`)
  }
  const id = createHash('sha256').update('ripstop master key').update(key).digest().subarray(0, ID_BYTES)
  return { id, key }
}

function idOf(sealed: Buffer): Buffer {
  return sealed.subarray(1, 1 + ID_BYTES)
}

function openWith(key: Uint8Array, sealed: Buffer, whose: SealedFor): Buffer {
  const head = sealed.subarray(0, HEAD_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, head.subarray(1 + ID_BYTES))
  decipher.setAAD(boundTo(head, whose)).setAuthTag(sealed.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(HEAD_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (error) {
    throw broken('it was changed, or sealed for something else', whose, error)
  }
}

/** Lengths make it unambiguous: no tenant and purpose read like another pair. */
function boundTo(head: Buffer, { tenantId, purpose }: SealedFor): Buffer {
  const text = JSON.stringify([tenantId, purpose])
  return Buffer.concat([head, Buffer.from(text)])
}

function broken(why: string, { purpose }: SealedFor, cause?: unknown): RipstopError {
  return new RipstopError('SEAL_BROKEN', `a sealed value does not open: ${why}`, { cause, details: { purpose } })
}
