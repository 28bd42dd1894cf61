// Guard. What a request has to pass before its upstream hears of it, cheapest first: its head must be unambiguous, its
// method and size allowed, its address below its rate, its key known, allowed and below its rate.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type Ctx, type Env, hasCode, RipstopError } from '@ripstop/kernel'
import { createRateId, describeRate, type Peers, perMinute, type RateLimiter, type RateVerdict } from '#platform/rate'
import type { GatewayRouteConfig } from './config.ts'
import { createRequestHead, type RequestHead, type RequestHeadFacts } from './request-head.ts'
import { hasDotSegments } from './route-table.ts'
import { createTraceparent } from './trace.ts'
import type { RouteMeters } from './traffic-meters.ts'

/** Who a key belongs to; without `keyId` it is nobody in particular. */
export interface GatewayPrincipal {
  readonly tenantId: string
  readonly keyId: string | undefined
  readonly scopes: readonly string[]
}

/** Throws UNAUTHENTICATED, or what else says why nobody can tell. Answers at once where it can. `ctx` ends with the request. */
export type Authenticate = (request: IncomingMessage, ctx: Ctx) => GatewayPrincipal | Promise<GatewayPrincipal>

export interface GuardDeps {
  readonly env: Env
  readonly peers: Peers
  readonly limiter: RateLimiter
  readonly authenticate: Authenticate
  readonly pseudonym: string
}

export interface GuardedRoute {
  readonly config: GatewayRouteConfig
  readonly meters: RouteMeters
  /** Methods that are let through; undefined: all. */
  readonly methods: ReadonlySet<string> | undefined
}

/** What passed, and what its answer must say whatever it will be. */
export class Passage {
  head: RequestHead | undefined
  /** Undefined: the route is open, nobody was asked. */
  principal: GatewayPrincipal | undefined
  /** Methods to name in Allow. */
  allow = ''
  ratePolicy = ''
  rate = ''

  /** Names and values by turns. */
  answerHeaders(): string[] {
    const headers: string[] = []
    if (this.allow !== '') headers.push('Allow', this.allow)
    if (this.ratePolicy !== '') headers.push('RateLimit-Policy', this.ratePolicy, 'RateLimit', this.rate)
    return headers
  }
}

export class Guard {
  readonly #deps: GuardDeps
  readonly #facts: RequestHeadFacts

  constructor(deps: GuardDeps) {
    this.#deps = deps
    this.#facts = {
      pseudonym: deps.pseudonym,
      createTraceparent: () => createTraceparent(deps.env.random),
      clientOf: (peer, forwardedFor) => deps.peers.clientOf(peer, forwardedFor),
    }
  }

  /** Fills in `passage`, as far as it comes. Throws a RipstopError for what does not pass. */
  async pass(request: IncomingMessage, socket: Socket, route: GuardedRoute, passage: Passage, ctx: Ctx): Promise<void> {
    const { limiter, peers, authenticate } = this.#deps
    const { access, path, rateLimit } = route.config
    const { by } = rateLimit
    const quota = perMinute(rateLimit.perMinute)
    const head = createRequestHead(request.rawHeaders, request.httpVersion, peers.of(socket), this.#facts)
    passage.head = head
    checkRequest(request.method ?? '', request.url ?? '', head, route, passage)
    if (by !== 'key' || access === 'open') {
      const taken = limiter.take(`ip:${createRateId(head.client)}:${path}`, quota)
      note('ip', 'then' in taken ? await taken : taken, route, passage)
    }
    if (access === 'open') return
    const given = authenticate(request, ctx)
    const principal = 'then' in given ? await given : given
    checkPrincipal(principal, route)
    passage.principal = principal
    if (by === 'ip') return
    const taken = limiter.take(`key:${principal.keyId}:${path}`, quota)
    note('key', 'then' in taken ? await taken : taken, route, passage)
  }

  /** Who asks, on a route that is open; undefined: nobody that is known. */
  async identify(request: IncomingMessage, ctx: Ctx): Promise<GatewayPrincipal | undefined> {
    try {
      return await this.#deps.authenticate(request, ctx)
    } catch (error) {
      if (hasCode(error, 'UNAUTHENTICATED')) return undefined
      throw error
    }
  }
}

/** Tells the client what is left; throws RATE_LIMITED if nothing is. */
function note(by: 'ip' | 'key', verdict: RateVerdict, route: GuardedRoute, passage: Passage): void {
  const quota = perMinute(route.config.rateLimit.perMinute)
  const { policy, left } = describeRate(by, quota, verdict)
  const isFirst = passage.ratePolicy === ''
  passage.ratePolicy = isFirst ? policy : `${passage.ratePolicy}, ${policy}`
  passage.rate = isFirst ? left : `${passage.rate}, ${left}`
  if (verdict.allowed) return
  route.meters.limited(by)
  const from = by === 'ip' ? 'address' : 'key'
  throw new RipstopError('RATE_LIMITED', `more than ${quota.count} requests a minute from this ${from}`, {
    retryAfterMs: verdict.retryAfterMs,
  })
}

function checkPrincipal(principal: GatewayPrincipal, route: GuardedRoute): void {
  if (principal.keyId === undefined) throw new RipstopError('UNAUTHENTICATED', 'this path needs an API key')
  if (route.config.scopes.every((scope) => principal.scopes.includes(scope))) return
  if (principal.scopes.includes('admin')) return
  const missing = route.config.scopes.filter((scope) => !principal.scopes.includes(scope))
  throw new RipstopError('FORBIDDEN', 'the API key lacks a scope', { details: { missing_scopes: missing } })
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

function checkRequest(method: string, target: string, head: RequestHead, route: GuardedRoute, passage: Passage): void {
  if (target.includes('#')) throw new RipstopError('BAD_REQUEST', 'the path holds a fragment, which no request may')
  const query = target.indexOf('?')
  if (hasDotSegments(query < 0 ? target : target.slice(0, query))) {
    throw new RipstopError('BAD_REQUEST', 'the path holds dot segments; send it resolved')
  }
  // TRACE would echo credentials to whoever sent it.
  if (method === 'TRACE' || (route.methods !== undefined && !route.methods.has(method))) {
    passage.allow = [...(route.methods ?? METHODS)].join(', ')
    throw new RipstopError('METHOD_NOT_ALLOWED', `${method} is not allowed here`)
  }
  if (head.bodyBytes !== undefined && head.bodyBytes > route.config.bodyBytesMax) {
    throw new RipstopError('PAYLOAD_TOO_LARGE', `the body is longer than ${route.config.bodyBytesMax} bytes`)
  }
}
