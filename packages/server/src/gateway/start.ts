// The gateway's life: one link to each upstream, one table of routes, and everything under way in between.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { background, type CallOptions, type Ctx, type Env, type Mesh, RipstopError, WheelEntry } from '@ripstop/kernel'
import { Peers, RateLimiter, type RateLink } from '#platform/rate'
import type { Log } from '#platform/telemetry'
import { UnderWay } from '#platform/under-way'
import './codes.ts'
import { Admission } from './admission.ts'
import type { Attempt } from './attempt.ts'
import {
  DEFAULT_LIMITS,
  type GatewayConfig,
  type GatewayLimits,
  type GatewayRouteConfig,
  type GatewayUpstreamConfig,
} from './config.ts'
import type { Defer } from './deferring.ts'
import { Exchange, type ExchangeDeps } from './exchange.ts'
import { type Authenticate, Guard } from './guard.ts'
import type { Route, Upstream } from './route.ts'
import { RouteTable } from './route-table.ts'
import { RouteMeters } from './traffic-meters.ts'
import { Tunnel } from './tunnel.ts'
import { createUpstreamLink } from './upstream-link.ts'

export interface GatewayDeps {
  readonly mesh: Mesh
  readonly env: Env
  readonly log: Pick<Log, 'error'>
  readonly config: GatewayConfig
  readonly authenticate: Authenticate
  /** For limits over many processes; its guarantees should name the fallback `local-rate-limit`. */
  readonly redis?: RateLink | undefined
  /** Stores what is to be sent later; undefined: `Prefer: respond-async` is the upstream's business. */
  readonly defer?: Defer | undefined
  /** Processes that share the traffic: what each may let through while Redis is away is its part of a limit [1]. */
  readonly processes?: number
  readonly limits?: Partial<GatewayLimits>
}

export interface Gateway extends AsyncDisposable {
  /** Is there a route for this request target? */
  matches(url: string): boolean
  /** False: there is no route, and nothing was done. For `checkContinue` say so: the client waits with its body. */
  handle(request: IncomingMessage, response: ServerResponse, expectsContinue?: boolean): boolean
  /** May this request be upgraded? For the server's `shouldUpgradeCallback`: all others are answered as if they had not asked. */
  mayUpgrade(request: IncomingMessage): boolean
  /** False: there is no route, and nothing was done. A route that takes no WebSockets refuses it. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
  /** Refuses what is new, lets what is under way finish until `ctx` is over, then cuts it off. Idempotent. */
  drain(ctx: Ctx): Promise<void>
}

/** By how many ticks silence is counted. */
const IDLE_TICKS = 8

/** Registers a link `upstream.<name>` for each upstream, and starts them. Throws CONFIG_INVALID for what can't be. */
export function startGateway(deps: GatewayDeps): Gateway {
  return new RunningGateway(deps)
}

class IdleSweep extends WheelEntry {
  readonly #sweep: () => void
  constructor(sweep: () => void) {
    super()
    this.#sweep = sweep
  }
  override onDue(): void {
    this.#sweep()
  }
}

class RunningGateway implements Gateway {
  readonly #deps: GatewayDeps
  readonly #limits: GatewayLimits
  readonly #ctx: Ctx
  readonly #routes: RouteTable<Route>
  readonly #upstreams: readonly Upstream[]
  readonly #exchangeDeps: ExchangeDeps
  readonly #tunnelPlaces: Admission
  readonly #exchanges = new UnderWay<Exchange>()
  readonly #tunnels = new UnderWay<Tunnel>()
  readonly #sweep = new IdleSweep(() => this.#tick())
  #isDraining = false
  #isSweeping = false
  #onEmpty: (() => void)[] = []

  constructor(deps: GatewayDeps) {
    this.#deps = deps
    this.#limits = { ...DEFAULT_LIMITS, ...deps.limits }
    this.#ctx = background(deps.env)
    deps.mesh.component({ name: 'gateway', kind: 'role' })
    const upstreams = new Map(deps.config.upstreams.map((config) => [config.name, createUpstream(deps, config)]))
    this.#upstreams = [...upstreams.values()]
    this.#routes = new RouteTable(deps.config.routes.map((config) => createRoute(deps, config, upstreams)))
    this.#tunnelPlaces = new Admission(this.#limits.tunnels)
    this.#exchangeDeps = this.#createExchangeDeps()
    for (const { link } of this.#upstreams) link.start()
  }

  matches(url: string): boolean {
    return this.#routes.find(url) !== undefined
  }

  handle(request: IncomingMessage, response: ServerResponse, expectsContinue = false): boolean {
    const route = this.#routes.find(request.url ?? '')
    if (route === undefined) return false
    const exchange = new Exchange(this.#exchangeDeps, route, request, response)
    this.#exchanges.add(exchange)
    this.#startSweep()
    exchange.run(expectsContinue).catch((error: unknown) => {
      this.#deps.log.error({ event: 'gateway.defect', route: route.path, error })
      exchange.abort()
    })
    return true
  }

  mayUpgrade(request: IncomingMessage): boolean {
    const { upgrade } = request.headers
    return upgrade?.toLowerCase() === 'websocket' && this.#routes.find(request.url ?? '')?.config.websocket === true
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const route = this.#routes.find(request.url ?? '')
    if (route === undefined) return false
    const tunnel = new Tunnel(
      {
        ...this.#exchangeDeps,
        admission: this.#tunnelPlaces,
        onEnd: (ended) => {
          this.#tunnels.remove(ended)
          this.#ended()
        },
      },
      route,
      request,
      socket as Socket, // a server without `Duplex` transports of its own gives sockets
    )
    this.#tunnels.add(tunnel)
    this.#startSweep()
    tunnel.run(head).catch((error: unknown) => {
      this.#deps.log.error({ event: 'gateway.defect', route: route.path, error })
      tunnel.abort()
    })
    return true
  }

  async drain(ctx: Ctx): Promise<void> {
    this.#isDraining = true
    // A tunnel has no end of its own to wait for: its clients come back, to another process.
    for (const tunnel of this.#tunnels.list()) tunnel.finish()
    if (this.#underWay() > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty.push(resolve)
        if (ctx.signal.aborted) resolve()
        else ctx.signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    for (const exchange of this.#exchanges.list()) exchange.abort()
    for (const tunnel of this.#tunnels.list()) tunnel.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const over = this.#ctx.within(0)
    over.cancel(new RipstopError('CANCELLED', 'the gateway is disposed of'))
    await this.drain(over)
    for (const { link } of this.#upstreams) await link.drain(over)
    this.#deps.env.wheel.disarm(this.#sweep)
  }

  #createExchangeDeps(): ExchangeDeps {
    const { env, log, config, authenticate, redis, defer, processes } = this.#deps
    const peers = new Peers(config.server.trustProxy)
    const limiter = new RateLimiter({
      ctx: this.#ctx,
      redis,
      processes: processes ?? 1,
      entriesMax: this.#limits.rateEntries,
    })
    const pseudonym = `ripstop-${Math.floor(env.random() * 0xffff_ffff)
      .toString(16)
      .padStart(8, '0')}`
    return {
      ctx: this.#ctx,
      log,
      guard: new Guard({ env, peers, limiter, authenticate, pseudonym }),
      admission: new Admission(this.#limits.requests),
      limits: this.#limits,
      replay: { bytes: 0 },
      defer,
      onEnd: (exchange) => {
        this.#exchanges.remove(exchange)
        this.#ended()
      },
      isDraining: () => this.#isDraining,
    }
  }

  #ended(): void {
    if (this.#underWay() > 0) return
    for (const empty of this.#onEmpty.splice(0)) empty()
  }

  #underWay(): number {
    return this.#exchanges.size + this.#tunnels.size
  }

  // Silence is counted in ticks, by one timer for all: a clock read and a timer for each chunk would cost more than the
  // chunk.

  #startSweep(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    this.#armSweep()
  }

  #armSweep(): void {
    this.#deps.env.wheel.arm(this.#sweep, this.#deps.env.clock.monoMs() + this.#limits.idleMs / IDLE_TICKS)
  }

  #tick(): void {
    for (const exchange of this.#exchanges.list()) exchange.tick(IDLE_TICKS)
    for (const tunnel of this.#tunnels.list()) tunnel.tick(IDLE_TICKS)
    this.#isSweeping = this.#underWay() > 0
    if (this.#isSweeping) this.#armSweep()
  }
}

function createUpstream({ mesh, config: { server } }: GatewayDeps, config: GatewayUpstreamConfig): Upstream {
  const { bulkhead, critical } = config
  const link = createUpstreamLink(mesh, config, server)
  mesh.use({ component: 'gateway', link: link.name, need: critical ? 'hard' : 'soft' })
  const queuedMax = bulkhead.concurrent + config.connections
  return {
    name: config.name,
    link,
    pathPrefix: config.url.pathPrefix,
    requests: { held: 0 },
    tunnels: { held: 0 },
    queued: 0,
    queuedMax,
  }
}

function createRoute(deps: GatewayDeps, config: GatewayRouteConfig, upstreams: ReadonlyMap<string, Upstream>): Route {
  const upstream = upstreams.get(config.upstream)
  if (upstream === undefined) throw new RipstopError('CONFIG_INVALID', `route ${config.path} names no upstream`)
  const once: CallOptions<Attempt> = {
    idempotent: false,
    deadlineMs: config.deadlineMs,
    failed: (attempt) => attempt.failure(),
  }
  return {
    path: config.path,
    config,
    upstream,
    once,
    repeatable: { ...once, idempotent: true },
    methods: config.methods === undefined ? undefined : new Set(config.methods),
    meters: new RouteMeters(deps.mesh.metrics, config.path),
  }
}
