// Sources in memory, with their secrets opened. Only sources that are there are kept, so that strangers with made-up ids push nobody out.
// Invariants:
//   IB5. A source that was changed or deleted is so at once in this process, and after FRESH_MS and a second at most in every other.

import { type Ctx, type Env, TokenBucket } from '@ripstop/kernel'
import type { Sealer } from '#platform/sealing'
import { RULES, type Scheme, type SecretKey } from './scheme.ts'
import { purposeOf, type SealedSource } from './source.ts'

/** A source as receiving needs it. */
export interface KnownSource {
  readonly sourceId: string
  readonly tenantId: string
  readonly name: string
  readonly scheme: Scheme
  readonly secrets: readonly SecretKey[]
  /** The same for as long as the source is known, however often it is read again. */
  readonly state: { readonly bucket: TokenBucket; touchedMs: number }
}

interface Entry {
  source: KnownSource
  staleAtMs: number
}

const FRESH_MS = 5_000
const REFRESH_MS = 1_000
const SOURCES_MAX = 4_096

export interface SourceCacheDeps {
  readonly env: Env
  readonly sealer: Sealer
  /** Requests a second, of each source; twice as many at once. */
  readonly perSecond: number
  readonly read: (ctx: Ctx, sourceId: string) => Promise<SealedSource | undefined>
}

export class SourceCache {
  readonly #deps: SourceCacheDeps
  readonly #entries = new Map<string, Entry>()
  /** How often something was forgotten: what was read before that is not kept. */
  #forgotten = 0

  constructor(deps: SourceCacheDeps) {
    this.#deps = deps
  }

  /** What is known, fresh or not. */
  peek(sourceId: string): KnownSource | undefined {
    return this.#entries.get(sourceId)?.source
  }

  /** Undefined: there is no such source. Throws what reading throws, and SEAL_BROKEN. */
  async find(ctx: Ctx, sourceId: string): Promise<KnownSource | undefined> {
    const entry = this.#entries.get(sourceId)
    const nowMs = this.#deps.env.clock.monoMs()
    if (entry !== undefined && nowMs < entry.staleAtMs) return entry.source
    if (entry !== undefined) entry.staleAtMs = nowMs + REFRESH_MS // one reads, the others use what is known meanwhile
    const forgotten = this.#forgotten
    const sealed = await this.#deps.read(ctx, sourceId)
    if (sealed === undefined) {
      this.#entries.delete(sourceId)
      return undefined
    }
    const source = this.#open(sealed, entry?.source)
    if (forgotten === this.#forgotten) this.#keep(sourceId, { source, staleAtMs: nowMs + FRESH_MS })
    return source
  }

  forget(sourceId: string): void {
    this.#forgotten++
    this.#entries.delete(sourceId)
  }

  #open(sealed: SealedSource, before: KnownSource | undefined): KnownSource {
    const { sourceId, tenantId, name, scheme } = sealed
    const secrets = sealed.sealedSecrets.flatMap((secret) => {
      const text = this.#deps.sealer.open(secret, { tenantId, purpose: purposeOf(sourceId) }).toString('utf8')
      return RULES[scheme].parseSecret(text) ?? []
    })
    return { sourceId, tenantId, name, scheme, secrets, state: before?.state ?? this.#createState() }
  }

  #createState(): KnownSource['state'] {
    const { env, perSecond } = this.#deps
    const bucket = new TokenBucket({ perSecond, burst: 2 * perSecond }, env.clock.monoMs())
    return { bucket, touchedMs: Number.NEGATIVE_INFINITY }
  }

  /** At the bound the one that was read longest ago goes. */
  #keep(sourceId: string, entry: Entry): void {
    this.#entries.delete(sourceId)
    const oldest = this.#entries.size < SOURCES_MAX ? undefined : this.#entries.keys().next().value
    if (oldest !== undefined) this.#entries.delete(oldest)
    this.#entries.set(sourceId, entry)
  }
}
