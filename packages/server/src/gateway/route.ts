// A route and the upstream it leads to, as the gateway keeps them while it runs.

import type { CallOptions, Link } from '@ripstop/kernel'
import type { HttpPool } from '@ripstop/kernel/http'
import type { Holder } from './admission.ts'
import type { Attempt } from './attempt.ts'
import type { GuardedRoute } from './guard.ts'

export interface Upstream {
  readonly name: string
  readonly requests: Holder
  readonly tunnels: Holder
  readonly link: Link<HttpPool>
  /** Put before every path; empty or `/prefix`. */
  readonly pathPrefix: string
  /** Requests that wait for a connection inside of the pool, and how many may. */
  queued: number
  readonly queuedMax: number
}

export interface Route extends GuardedRoute {
  readonly path: string
  readonly upstream: Upstream
  /** For calls that may be made twice, and for those that may not. */
  readonly repeatable: CallOptions<Attempt>
  readonly once: CallOptions<Attempt>
}

/** Path and query for the upstream: as they came, but for a prefix that the route takes off and one that the upstream has. */
export function upstreamPath({ config, path, upstream }: Route, target: string): string {
  if (!config.stripPrefix) return upstream.pathPrefix + target
  const rest = target.slice(path.length)
  return `${upstream.pathPrefix}${rest.startsWith('/') ? '' : '/'}${rest}`
}
