// The sessions' API: its routes, who may use them, and how much.

import { background, type Env } from '@ripstop/kernel'
import type { Route } from '#platform/http'
import { RateLimiter, type RateLink } from '#platform/rate'
import type { Sealer } from '#platform/sealing'
import type { SessionStore } from '#session-stores'
import { createSessionLimits, type SessionLimitSettings, type SessionLimits } from './limits.ts'
import { createSessionRoutes } from './routes.ts'
import type { SessionService } from './service.ts'
import { type Authenticate, createSessionAuthenticate, createSessionTokens, type SessionTokens } from './tokens.ts'

const RATE_ENTRIES_MAX = 100_000

export interface SessionApiDeps {
  readonly env: Env
  readonly service: SessionService
  /** What logs are proved against. */
  readonly store: Pick<SessionStore, 'load' | 'log'>
  readonly sealer: Pick<Sealer, 'derive'>
  /** For limits over many processes; its guarantees should name the fallback `local-rate-limit`. */
  readonly redis: RateLink | undefined
  /** That share the traffic: while Redis is away each grants its part. */
  readonly processes: number
  readonly limits: SessionLimitSettings
  /** For whatever is no session token. */
  readonly authenticate: Authenticate
}

export interface SessionApi {
  readonly routes: readonly Route[]
  readonly authenticate: Authenticate
  readonly limits: SessionLimits
  readonly tokens: SessionTokens
}

export function createSessionApi({ env, service, store, sealer, redis, ...deps }: SessionApiDeps): SessionApi {
  const tokens = createSessionTokens({ sealer, nowMs: () => service.nowMs() })
  const limiter = new RateLimiter({
    ctx: background(env),
    redis,
    processes: deps.processes,
    entriesMax: RATE_ENTRIES_MAX,
  })
  const limits = createSessionLimits({ env, limiter, settings: deps.limits })
  return {
    routes: createSessionRoutes({ env, service, store, tokens, limits }),
    authenticate: createSessionAuthenticate(tokens, deps.authenticate),
    limits,
    tokens,
  }
}
