// Who calls. A key that was verified once is answered from memory, at once and without a promise; what is asked of the
// database meanwhile, at most twice a second however many keys there are, is only which keys were revoked of late.
// That asking follows the traffic: an idle process asks nothing.
// Without the database, keys that were verified keep working for STALE_MS_MAX, and the graph shows the degradation; keys
// that nobody can verify get LINK_DOWN, since to say UNAUTHENTICATED would be a guess.
// Invariants:
//   AC1. A revoked key is refused everywhere within FRESH_MS, as long as the database answers; where it was revoked, at
//        once. A key is refused from its expiry on.
//   AC2. Without the database: a key verified before works for STALE_MS_MAX and no longer; any other gets LINK_DOWN.
//   AC3. Memory is bounded, and unknown keys cost at most LOOKUPS_MAX questions at a time.

import type { IncomingHttpHeaders } from 'node:http'
import { background, type Ctx, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Principal } from '#platform/http'
import { type KeyEnvironment, readPresentedKey } from './api-key.ts'
import { KeyCache, type KnownKey } from './key-cache.ts'
import { findKey, readRevocations } from './store.ts'
import { DEFAULT_TENANT_ID, effectiveScopes } from './tenant.ts'

export const FRESH_MS = 1_000
/** Asked again in the background from here on, so that a busy key never waits. */
const REFRESH_MS = 500
export const STALE_MS_MAX = 15 * 60_000
const UNKNOWN_MS = 1_000
const LOOKUPS_MAX = 64
const REFRESH_DEADLINE_MS = 400

const OPEN: Principal = { tenantId: DEFAULT_TENANT_ID, actor: 'open', keyId: undefined, scopes: ['admin'] }

export interface AuthenticatorDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly mode: 'open' | 'keys'
  readonly environment: KeyEnvironment
  readonly allScopes: readonly string[]
  /** For tests. */
  readonly staleMsMax?: number
  readonly cache?: KeyCache
}

export class Authenticator {
  readonly #deps: AuthenticatorDeps
  readonly #root: Ctx
  readonly #cache: KeyCache
  readonly #staleMsMax: number
  /** When the last answered question about revocations was asked, monotonic. */
  #freshAt = Number.NEGATIVE_INFINITY
  /** The database's time at that question: where the next one begins. */
  #askedAtDatabase: string | undefined
  #refreshing: Promise<void> | undefined
  readonly #lookups = new Map<string, Promise<KnownKey | undefined>>()

  constructor(deps: AuthenticatorDeps) {
    this.#deps = deps
    this.#root = background(deps.env)
    this.#cache = deps.cache ?? new KeyCache()
    this.#staleMsMax = deps.staleMsMax ?? STALE_MS_MAX
  }

  /** Throws UNAUTHENTICATED; LINK_DOWN and its like where nobody can tell; OVERLOADED (AC3). */
  authenticate(headers: IncomingHttpHeaders, ctx: Ctx): Principal | Promise<Principal> {
    const presented = readPresentedKey(headers)
    if (presented.type === 'none') {
      if (this.#deps.mode === 'open') return OPEN
      throw new RipstopError('UNAUTHENTICATED', 'this needs an API key')
    }
    if (presented.type === 'malformed') throw new RipstopError('UNAUTHENTICATED', 'this is not an API key of ours')
    if (presented.environment !== this.#deps.environment) {
      throw new RipstopError(
        'UNAUTHENTICATED',
        `this API key is for another environment than ${this.#deps.environment}`,
      )
    }
    const { sha256 } = presented
    const known = this.#cache.get(sha256)
    if (known === undefined) return this.#lookUp(sha256, ctx)
    const nowMs = this.#deps.env.clock.monoMs()
    const ageMs = nowMs - Math.max(this.#freshAt, known.verifiedAt)
    if (ageMs > FRESH_MS) return this.#useStale(sha256, ctx)
    if (ageMs > REFRESH_MS) void this.refresh()
    return this.#use(sha256, known, nowMs)
  }

  /** Asks which keys were revoked, and forgets them. Single-flight; never rejects. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /** A key was revoked here: it ends at once (AC1). */
  revoked(sha256: string): void {
    this.#cache.forget(sha256)
  }

  created(sha256: string): void {
    this.#cache.forgetUnknown(sha256)
  }

  takeUsed(): string[] {
    return this.#cache.takeUsed()
  }

  #use(sha256: string, known: KnownKey, nowMs: number): Principal {
    if (known.expiresAt > nowMs) {
      known.used = true
      return known.principal
    }
    this.#cache.forget(sha256)
    throw new RipstopError('UNAUTHENTICATED', 'this API key has expired')
  }

  async #useStale(sha256: string, ctx: Ctx): Promise<Principal> {
    await this.refresh()
    const known = this.#cache.get(sha256)
    if (known === undefined) return this.#lookUp(sha256, ctx)
    const nowMs = this.#deps.env.clock.monoMs()
    // Over the bound only the database can tell; it will say LINK_DOWN if it is still away.
    if (nowMs - Math.max(this.#freshAt, known.verifiedAt) > this.#staleMsMax) return this.#lookUp(sha256, ctx)
    return this.#use(sha256, known, nowMs)
  }

  async #lookUp(sha256: string, ctx: Ctx): Promise<Principal> {
    const { clock } = this.#deps.env
    if (this.#cache.isUnknown(sha256, clock.monoMs())) throw unknownKey()
    const known = await this.#lookUpOnce(sha256, ctx)
    if (known === undefined) throw unknownKey()
    return this.#use(sha256, known, clock.monoMs())
  }

  #lookUpOnce(sha256: string, ctx: Ctx): Promise<KnownKey | undefined> {
    const running = this.#lookups.get(sha256)
    if (running !== undefined) return running
    if (this.#lookups.size >= LOOKUPS_MAX) {
      throw new RipstopError('OVERLOADED', 'too many API keys are being looked up', { retryAfterMs: UNKNOWN_MS })
    }
    // Not the ctx of the first who asks: others wait for the same answer.
    const given = this.#root.within(ctx.remainingMs)
    const lookup = this.#find(sha256, given).finally(() => {
      given[Symbol.dispose]()
      this.#lookups.delete(sha256)
    })
    this.#lookups.set(sha256, lookup)
    return lookup
  }

  async #find(sha256: string, ctx: Ctx): Promise<KnownKey | undefined> {
    const { env, link, allScopes } = this.#deps
    const verifiedAt = env.clock.monoMs()
    const found = await findKey(link, ctx, sha256)
    if (found === undefined) {
      this.#cache.forget(sha256)
      this.#cache.putUnknown(sha256, env.clock.monoMs() + UNKNOWN_MS)
      return undefined
    }
    this.#askedAtDatabase ??= found.askedAtDatabase
    const { keyId, tenantId, scopes, expiresInMs } = found
    const known: KnownKey = {
      principal: { tenantId, keyId, actor: `key:${keyId}`, scopes: effectiveScopes(tenantId, scopes, allScopes) },
      expiresAt: verifiedAt + expiresInMs,
      verifiedAt,
      used: true,
    }
    this.#cache.put(sha256, known)
    return known
  }

  async #refresh(): Promise<void> {
    const { env, link } = this.#deps
    const since = this.#askedAtDatabase
    if (since === undefined) return // nothing was ever verified
    const askedAt = env.clock.monoMs()
    using ctx = this.#root.within(REFRESH_DEADLINE_MS)
    try {
      const answer = await link.callOr(
        ctx,
        (pool, ctx) => readRevocations(pool, ctx, since),
        () => undefined,
        { idempotent: true },
      )
      if (answer === undefined) return // without the database: what is known goes on, visibly (AC2)
      if (answer.revoked === 'too many') this.#cache.clear()
      else for (const sha256 of answer.revoked) this.#cache.forget(sha256)
      this.#askedAtDatabase = answer.askedAtDatabase
      this.#freshAt = askedAt
    } catch {
      // An answer that is no answer, as of a database that is not migrated: as if it had not come.
    }
  }
}

function unknownKey(): RipstopError {
  return new RipstopError('UNAUTHENTICATED', 'this API key is unknown, revoked or expired')
}
