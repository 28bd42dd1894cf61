// The keys that an endpoint's deliveries are signed with, opened once and kept while the endpoint is as it was. A rotation raises the
// tenant's revision, so the cache has another LiveEndpoint then, and the keys are read anew.

import type { Ctx } from '@ripstop/kernel'
import type { Sealer } from '#platform/sealing'
import type { LiveEndpoint } from './cache.ts'
import type { CustomHeaders } from './custom-headers.ts'
import type { Db } from './db.ts'
import type { Endpoint } from './endpoint.ts'
import { toKey } from './secret.ts'
import { readSigningSecrets, type SealedSecret } from './secret-store.ts'
import type { SigningKey } from './signing.ts'

/** Endpoints whose keys are kept; beyond it those that were read first leave, and are read again. */
const SIGNERS_MAX = 20_000

export const secretPurpose = (secretId: string): string => `webhook-secret:${secretId}`
export const headersPurpose = (endpointId: string): string => `webhook-headers:${endpointId}`

export interface Signer {
  readonly keys: readonly SigningKey[]
  readonly headers: CustomHeaders
}

interface Kept {
  readonly live: LiveEndpoint
  readonly signer: Signer
}

export interface SignersDeps {
  readonly link: Db
  readonly sealer: Sealer
}

export class Signers {
  readonly #deps: SignersDeps
  readonly #kept = new Map<string, Kept>()

  constructor(deps: SignersDeps) {
    this.#deps = deps
  }

  known(live: LiveEndpoint): Signer | undefined {
    const kept = this.#kept.get(live.endpoint.endpointId)
    return kept?.live === live ? kept.signer : undefined
  }

  /** Throws what the link throws, and SEAL_BROKEN. */
  async get(ctx: Ctx, live: LiveEndpoint): Promise<Signer> {
    const known = this.known(live)
    if (known !== undefined) return known
    const secrets = await readSigningSecrets(this.#deps.link, ctx, [live.endpoint.endpointId])
    return this.#keep(live, secrets)
  }

  /** Reads those that are not known in one statement. One that does not open is told by `get`. */
  async prefetch(ctx: Ctx, lives: readonly LiveEndpoint[]): Promise<void> {
    const missing = lives.filter((live) => this.known(live) === undefined)
    if (missing.length === 0) return
    const ids = missing.map(({ endpoint }) => endpoint.endpointId)
    const secrets = Map.groupBy(await readSigningSecrets(this.#deps.link, ctx, ids), ({ endpointId }) => endpointId)
    for (const live of missing) {
      try {
        this.#keep(live, secrets.get(live.endpoint.endpointId) ?? [])
      } catch {
        // Its deliveries say so: `get` meets the same, and each attempt tells it.
      }
    }
  }

  #keep(live: LiveEndpoint, secrets: readonly SealedSecret[]): Signer {
    const { sealer } = this.#deps
    const keys = secrets.map(({ secretId, tenantId, algorithm, sealed, signsUntilWallMs }) => ({
      algorithm,
      key: toKey({ algorithm, bytes: sealer.open(sealed, { tenantId, purpose: secretPurpose(secretId) }) }),
      signsUntilWallMs,
    }))
    const signer = { keys, headers: openHeaders(sealer, live.endpoint) }
    const { endpointId } = live.endpoint
    this.#kept.delete(endpointId)
    this.#kept.set(endpointId, { live, signer })
    if (this.#kept.size > SIGNERS_MAX) this.#kept.delete(this.#kept.keys().next().value as string)
    return signer
  }
}

/** Throws SEAL_BROKEN. */
export function openHeaders(sealer: Sealer, { endpointId, tenantId, sealedHeaders }: Endpoint): CustomHeaders {
  if (sealedHeaders === undefined) return {}
  const plain = sealer.open(sealedHeaders, { tenantId, purpose: headersPurpose(endpointId) })
  return JSON.parse(plain.toString('utf8')) as CustomHeaders
}
