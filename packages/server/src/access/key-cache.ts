// The keys that were verified of late. Bounded twice, least recently used first out: keys that are good, and the hashes of
// keys that are not, apart, so that a flood of made-up keys can't push good ones out.

import type { Principal } from '#platform/http'

const GOOD_MAX = 10_000
const UNKNOWN_MAX = 1_000

export interface KnownKey {
  readonly principal: Principal
  /** Monotonic; Infinity for never. A key ends in time even if the wall clock jumps. */
  readonly expiresAt: number
  /** When it was looked up, monotonic. */
  readonly verifiedAt: number
  /** Since the last time that uses were written down. */
  used: boolean
}

export class KeyCache {
  readonly #good = new Map<string, KnownKey>()
  readonly #unknown = new Map<string, number>()
  readonly #goodMax: number

  constructor(goodMax: number = GOOD_MAX) {
    this.#goodMax = goodMax
  }

  get size(): number {
    return this.#good.size
  }

  get(sha256: string): KnownKey | undefined {
    const known = this.#good.get(sha256)
    if (known === undefined) return undefined
    // The map's order is the order of use.
    this.#good.delete(sha256)
    this.#good.set(sha256, known)
    return known
  }

  put(sha256: string, known: KnownKey): void {
    this.#unknown.delete(sha256)
    this.#good.delete(sha256)
    this.#good.set(sha256, known)
    dropOldest(this.#good, this.#goodMax)
  }

  forget(sha256: string): void {
    this.#good.delete(sha256)
  }

  clear(): void {
    this.#good.clear()
  }

  /** There was no such key; true until `untilMs`, monotonic. */
  putUnknown(sha256: string, untilMs: number): void {
    this.#unknown.set(sha256, untilMs)
    dropOldest(this.#unknown, UNKNOWN_MAX)
  }

  isUnknown(sha256: string, nowMs: number): boolean {
    return (this.#unknown.get(sha256) ?? 0) > nowMs
  }

  /** A key was created here: whoever tried it too early need not wait. */
  forgetUnknown(sha256: string): void {
    this.#unknown.delete(sha256)
  }

  /** The ids of keys that were used since the last call. */
  takeUsed(): string[] {
    const used: string[] = []
    for (const known of this.#good.values()) {
      if (known.used && known.principal.keyId !== undefined) used.push(known.principal.keyId)
      known.used = false
    }
    return used
  }
}

function dropOldest(entries: Map<string, unknown>, most: number): void {
  if (entries.size <= most) return
  const [oldest] = entries.keys()
  if (oldest !== undefined) entries.delete(oldest)
}
