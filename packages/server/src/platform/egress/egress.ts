// Egress. The one way out to addresses that strangers gave us: guarded (connector.ts), bounded, and without anything that
// happens by itself: no redirect is followed, no proxy is read from the environment, nothing is sent twice.
// Each origin has a pool of connections of its own, so that one that hangs holds up no other.
// Invariants:
//   EG8. At most `originsMax` origins have pools; for one more the pool that was idle longest is closed, and if none is idle the
//        request is refused. A pool that was idle for `keepAliveMs` is closed anyway.
//   EG9. At most `connectionsPerOrigin` connections lead to an origin, and WAITING_MAX requests wait for one.

import { type Ctx, type Env, RipstopError, WheelEntry } from '@ripstop/kernel'
import { Pool } from 'undici'
import { createAddressGuard } from './address-guard.ts'
import { createConnector, type Lookup } from './connector.ts'
import { createDestination, type Destination, parseDestination, refusal } from './destination.ts'
import { type EgressAnswer, Exchange, type ExchangeOwner } from './exchange.ts'
import { createNameLookup } from './name-lookup.ts'

export interface EgressOptions {
  readonly env: Env
  /** Networks in CIDR notation that are reached although they are not public. Throws RangeError for what is none. */
  readonly allow: readonly string[]
  /** [3 s] */
  readonly connectTimeoutMs?: number
  /** [64] */
  readonly connectionsPerOrigin?: number
  /** [1,024] */
  readonly originsMax?: number
  /** An idle connection is closed after this [4 s]; below what servers use, so that requests don't meet their FIN. */
  readonly keepAliveMs?: number
  /** [the name servers, see name-lookup.ts] */
  readonly lookup?: Lookup
}

export type EgressMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'

export interface EgressRequest {
  /** A `Destination` (see `prepare`) saves reading and checking the URL again. */
  readonly url: URL | Destination
  readonly method: EgressMethod
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | string | undefined
  readonly answerBytesMax: number
}

export interface Egress extends AsyncDisposable {
  /** With a pool at this moment. */
  readonly origins: number
  /** Throws EGRESS_REFUSED for what its text alone forbids; `details.reason` says why. */
  checkUrl(text: string): URL
  /** Checks a URL and takes it apart, for many requests. Throws EGRESS_REFUSED. */
  prepare(url: URL): Destination
  /**
   * Sends once, and takes whatever answer comes, redirects too. Rejects with a RipstopError that says `sent`: LINK_DOWN (why:
   * details.cause, like ENOTFOUND), LINK_LOST, DEADLINE_EXCEEDED, CANCELLED, PEER_FAILED (garbage), EGRESS_REFUSED, OVERLOADED,
   * LINK_CLOSED; `details.status` tells of an answer whose body broke off. A ctx without a deadline gets REQUEST_MS_MAX.
   */
  request(ctx: Ctx, request: EgressRequest): Promise<EgressAnswer>
}

const REQUEST_MS_MAX = 60_000
const WAITING_MAX = 1_024
const HEADER_BYTES_MAX = 16_384

/** Throws RangeError if `allow` holds something that is no network. */
export function createEgress(options: EgressOptions): Egress {
  return new PooledEgress(options)
}

/** The pool of an origin. */
class Origin implements ExchangeOwner {
  readonly pool: Pool
  underWay = 0
  lastUseMs = 0

  constructor(pool: Pool) {
    this.pool = pool
  }

  ended(): void {
    this.underWay--
  }
}

class PooledEgress extends WheelEntry implements Egress {
  readonly #env: Env
  readonly #guard: ReturnType<typeof createAddressGuard>
  readonly #limits: { readonly origins: number; readonly connections: number; readonly keepAliveMs: number }
  readonly #connect: ReturnType<typeof createConnector>
  readonly #origins = new Map<string, Origin>()
  #isSweeping = false
  #closing: Promise<void> | undefined

  constructor(options: EgressOptions) {
    super()
    this.#env = options.env
    this.#guard = createAddressGuard(options.allow)
    this.#limits = {
      origins: options.originsMax ?? 1_024,
      connections: options.connectionsPerOrigin ?? 64,
      keepAliveMs: options.keepAliveMs ?? 4_000,
    }
    this.#connect = createConnector({
      guard: this.#guard,
      lookup: options.lookup ?? createNameLookup({ system: this.#guard.isOpen }),
      connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
    })
  }

  get origins(): number {
    return this.#origins.size
  }

  checkUrl(text: string): URL {
    return parseDestination(text, this.#guard)
  }

  prepare(url: URL): Destination {
    return createDestination(url, this.#guard)
  }

  async request(ctx: Ctx, request: EgressRequest): Promise<EgressAnswer> {
    if (ctx.deadlineAt !== Number.POSITIVE_INFINITY) return this.#send(ctx, request)
    using bounded = ctx.within(REQUEST_MS_MAX)
    return await this.#send(bounded, request)
  }

  override onDue(nowMs: number): void {
    for (const [name, origin] of this.#origins) {
      if (origin.underWay === 0 && nowMs - origin.lastUseMs >= this.#limits.keepAliveMs) this.#close(name, origin)
    }
    this.#isSweeping = this.#origins.size > 0
    if (this.#isSweeping) this.#env.wheel.arm(this, nowMs + this.#limits.keepAliveMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#destroy()
    return this.#closing
  }

  #send(ctx: Ctx, { url, method, headers, body, answerBytesMax }: EgressRequest): Promise<EgressAnswer> {
    if (this.#closing !== undefined) throw new RipstopError('LINK_CLOSED', 'it is shutting down', { sent: 'no' })
    const { origin: name, path } = url instanceof URL ? this.prepare(url) : url
    checkHeaders(headers)
    if (ctx.signal.aborted) throw over(ctx)
    const origin = this.#originOf(name)
    const exchange = new Exchange(ctx, answerBytesMax, origin)
    origin.underWay++
    origin.pool.dispatch({ method, path, headers, body: body ?? null }, exchange)
    return exchange.answered
  }

  async #destroy(): Promise<void> {
    this.#env.wheel.disarm(this)
    const pools = [...this.#origins.values()].map(({ pool }) => pool)
    this.#origins.clear()
    await Promise.all(pools.map((pool) => pool.destroy(new RipstopError('LINK_CLOSED', 'it is shutting down'))))
  }

  #originOf(name: string): Origin {
    let origin = this.#origins.get(name)
    if (origin === undefined) {
      if (this.#origins.size >= this.#limits.origins) this.#makeRoom()
      origin = new Origin(this.#createPool(name))
      this.#origins.set(name, origin)
    }
    if (origin.underWay >= this.#limits.connections + WAITING_MAX) {
      throw new RipstopError('OVERLOADED', `too many requests wait for ${name}`, { sent: 'no' })
    }
    origin.lastUseMs = this.#env.clock.monoMs()
    if (!this.#isSweeping) {
      this.#isSweeping = true
      this.#env.wheel.arm(this, origin.lastUseMs + this.#limits.keepAliveMs)
    }
    return origin
  }

  #createPool(name: string): Pool {
    return new Pool(name, {
      connect: this.#connect,
      connections: this.#limits.connections,
      pipelining: 1,
      // The ctx of each request bounds it; timers of undici's would only cost.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: this.#limits.keepAliveMs,
      keepAliveMaxTimeout: Math.max(this.#limits.keepAliveMs, 60_000), // whatever the peer's Keep-Alive header hopes for
      keepAliveTimeoutThreshold: 1_000,
      maxHeaderSize: HEADER_BYTES_MAX,
      strictContentLength: true,
      allowH2: false,
      clientTtl: null,
    })
  }

  /** A walk over all: only ever for a new origin at the bound. */
  #makeRoom(): void {
    let idle: readonly [string, Origin] | undefined
    for (const entry of this.#origins) {
      if (entry[1].underWay === 0 && (idle === undefined || entry[1].lastUseMs < idle[1].lastUseMs)) idle = entry
    }
    if (idle === undefined) {
      throw new RipstopError('OVERLOADED', `${this.#origins.size} origins are busy`, { sent: 'no' })
    }
    this.#close(...idle)
  }

  #close(name: string, { pool }: Origin): void {
    this.#origins.delete(name)
    pool.close().catch(() => {}) // nothing is under way in it, and nobody is left to tell
  }
}

/** undici would send it, and greet the TLS peer by it: another site than the one that was checked. */
function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const name in headers) {
    if (name.length === 4 && name.toLowerCase() === 'host')
      throw refusal('request', 'Host is not for the caller to choose')
  }
}

function over(ctx: Ctx): RipstopError {
  const reason = ctx.reason ?? new RipstopError('DEADLINE_EXCEEDED', 'the deadline passed')
  return new RipstopError(reason.code, reason.message, { cause: reason, sent: 'no' })
}
