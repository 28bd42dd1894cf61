// Guard. What a request has to pass before its upstream hears of it, cheapest first: its head must be unambiguous, its
// method and size allowed, its address below its rate, its key known, allowed and below its rate.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type Ctx, type Env, RipstopError } from '@ripstop/kernel'
import type { GatewayRouteConfig } from './config.ts'
import { createRateId, type Peers } from './peers.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { WINDOW_MS } from './rate-table.ts'
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
export interface Passage {
  head: RequestHead | undefined
  /** Names and values by turns: RateLimit and RateLimit-Policy, Allow. */
  readonly answerHeaders: string[]
}

export class Guard {
  readonly #deps: GuardDeps
  readonly #facts: Pick<RequestHeadFacts, 'pseudonym' | 'createTraceparent' | 'clientOf'>

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
    const method = request.method ?? ''
    const head = createRequestHead(request.rawHeaders, {
      ...this.#facts,
      version: request.httpVersion,
      peer: this.#deps.peers.of(socket),
    })
    passage.head = head
    checkRequest(method, request.url ?? '', head, route, passage)
    const { by, perMinute } = route.config.rateLimit
    if (by !== 'key' || route.config.access === 'open')
      await this.#limit('ip', createRateId(head.client), perMinute, route, passage)
    if (route.config.access === 'open') return
    const principal = await this.#deps.authenticate(request, ctx)
    if (principal.keyId === undefined) throw new RipstopError('UNAUTHENTICATED', 'this path needs an API key')
    const missing = route.config.scopes.filter((scope) => !principal.scopes.includes(scope))
    if (missing.length > 0 && !principal.scopes.includes('admin')) {
      throw new RipstopError('FORBIDDEN', 'the API key lacks a scope', { details: { missing_scopes: missing } })
    }
    if (by !== 'ip') await this.#limit('key', principal.keyId, perMinute, route, passage)
  }

  async #limit(by: 'ip' | 'key', id: string, perMinute: number, route: GuardedRoute, passage: Passage): Promise<void> {
    const taken = this.#deps.limiter.take(`${by}:${id}:${route.config.path}`, perMinute)
    const verdict = 'then' in taken ? await taken : taken
    passage.answerHeaders.push(
      'RateLimit-Policy',
      `"${by}";q=${perMinute};w=${WINDOW_MS / 1_000}`,
      'RateLimit',
      `"${by}";r=${verdict.remaining};t=${Math.ceil(verdict.resetMs / 1_000)}`,
    )
    if (verdict.allowed) return
    route.meters.limited(by)
    throw new RipstopError(
      'RATE_LIMITED',
      `more than ${perMinute} requests a minute from this ${by === 'ip' ? 'address' : 'key'}`,
      {
        retryAfterMs: verdict.retryAfterMs,
      },
    )
  }
}

function checkRequest(method: string, target: string, head: RequestHead, route: GuardedRoute, passage: Passage): void {
  if (target.includes('#')) throw new RipstopError('BAD_REQUEST', 'the path holds a fragment, which no request may')
  const query = target.indexOf('?')
  if (hasDotSegments(query < 0 ? target : target.slice(0, query))) {
    throw new RipstopError('BAD_REQUEST', 'the path holds dot segments; send it resolved')
  }
  // TRACE would echo credentials to whoever sent it.
  if (method === 'TRACE' || (route.methods !== undefined && !route.methods.has(method))) {
    passage.answerHeaders.push(
      'Allow',
      [...(route.methods ?? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])].join(', '),
    )
    throw new RipstopError('METHOD_NOT_ALLOWED', `${method} is not allowed here`)
  }
  if (head.bodyBytes !== undefined && head.bodyBytes > route.config.bodyBytesMax) {
    throw new RipstopError('PAYLOAD_TOO_LARGE', `the body is longer than ${route.config.bodyBytesMax} bytes`)
  }
}
