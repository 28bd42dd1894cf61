// What the gateway reads of the configuration: the parsed config of the platform fits as it is.

export interface GatewayUpstreamConfig {
  readonly name: string
  readonly url: { readonly origin: string; readonly pathPrefix: string }
  readonly probe: { readonly path: string; readonly everyMs: number; readonly deadlineMs: number }
  readonly deadlineMs: number
  readonly retry: { readonly attempts: number; readonly baseMs: number; readonly capMs: number }
  readonly budget: { readonly share: number; readonly perSecond: number }
  readonly breaker: {
    readonly failureRate: number
    readonly minimumCalls: number
    readonly windowMs: number
    readonly openMs: number
    readonly openMsMax: number
  }
  readonly bulkhead: { readonly concurrent: number; readonly queue: number }
  readonly rate?: { readonly perSecond: number; readonly burst: number } | undefined
  readonly connections: number
  readonly critical: boolean
  readonly recoverWithinMs: number
}

export interface GatewayRouteConfig {
  /** Matched on whole segments; no closing slash. */
  readonly path: string
  readonly upstream: string
  readonly methods?: readonly string[] | undefined
  readonly stripPrefix: boolean
  readonly upstreamIdempotent: boolean
  readonly deadlineMs: number
  readonly access: 'open' | 'key'
  readonly scopes: readonly string[]
  readonly rateLimit: { readonly perMinute: number; readonly by: 'ip' | 'key' | 'both' }
  readonly websocket: boolean
  readonly bodyBytesMax: number
}

export interface GatewayConfig {
  readonly server: {
    readonly headerBytesMax: number
    /** CIDR blocks whose X-Forwarded-* are believed. */
    readonly trustProxy: readonly string[]
  }
  readonly upstreams: readonly GatewayUpstreamConfig[]
  readonly routes: readonly GatewayRouteConfig[]
}

/** Bounds that no setting moves; tests make them small. */
export interface GatewayLimits {
  /** Requests under way in this process, answers included. */
  readonly requests: number
  /** WebSocket tunnels open in this process. */
  readonly tunnels: number
  /** Longest silence while a body is on its way, in either direction, ms. */
  readonly idleMs: number
  /** A body of known length up to this is read whole before the upstream is asked: it can be sent again. */
  readonly replayBytes: number
  /** All such bodies together. */
  readonly replayBytesAll: number
  /** Longest body of a request that is stored to be sent later. */
  readonly deferBytes: number
  /** Clients whose rate is remembered. */
  readonly rateEntries: number
}

export const DEFAULT_LIMITS: GatewayLimits = {
  requests: 4_096,
  tunnels: 4_096,
  idleMs: 60_000,
  replayBytes: 65_536,
  replayBytesAll: 67_108_864,
  deferBytes: 1_048_576,
  rateEntries: 100_000,
}
