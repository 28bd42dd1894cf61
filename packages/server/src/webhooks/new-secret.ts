import { createId } from '@ripstop/kernel'
import type { Sealer } from '#platform/sealing'
import { type Algorithm, createSecret, publicPart, type SecretMaterial } from './secret.ts'
import type { NewSecret } from './secret-store.ts'
import { secretPurpose } from './signers.ts'

export interface SecretWish {
  readonly tenantId: string
  readonly endpointId: string
  readonly wallMs: number
  readonly algorithm: Algorithm
  /** Brought along; undefined: it is made. */
  readonly material: SecretMaterial | undefined
  readonly isUnread?: boolean
}

/** A secret as it is kept, and as it is shown once. */
export function createNewSecret(sealer: Sealer, wish: SecretWish): { secret: NewSecret; material: SecretMaterial } {
  const { tenantId, endpointId, wallMs, algorithm, isUnread = false } = wish
  const material = wish.material ?? createSecret(algorithm)
  const secretId = createId(wallMs)
  const sealed = sealer.seal(material.bytes, { tenantId, purpose: secretPurpose(secretId) })
  return {
    material,
    secret: {
      secretId,
      endpointId,
      algorithm: material.algorithm,
      sealed,
      publicKey: publicPart(material),
      isUnread,
      createdWallMs: wallMs,
    },
  }
}
