// Access as a part of a process: the service, the authenticator beside it, and two small loops of its own.

import { background, type Ctx, type Env, type Link, type Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Route } from '#platform/http'
import { pause } from '#platform/pause'
import { type AccessService, createAccessService } from './access.ts'
import type { KeyEnvironment } from './api-key.ts'
import { Authenticator } from './authenticator.ts'
import { createAccessRoutes } from './routes.ts'
import { findLiveKeys, touchKeys } from './store.ts'
import { createScopeList } from './tenant.ts'

export const TOUCH_EVERY_MS = 60_000

export interface StartAccessDeps {
  readonly env: Env
  readonly mesh: Mesh
  readonly link: Link<PostgresPool>
  readonly mode: 'open' | 'keys'
  readonly environment: 'development' | 'production'
  /** Scopes that routes of the gateway ask for. */
  readonly routeScopes: readonly string[]
  /** For tests. */
  readonly touchEveryMs?: number
}

export interface Access extends AsyncDisposable {
  readonly service: AccessService
  readonly authenticate: Authenticator['authenticate']
  readonly routes: readonly Route[]
  /** Those of the tenant's keys that work now. */
  readonly liveKeys: (ctx: Ctx, tenantId: string, keyIds: readonly string[]) => Promise<ReadonlySet<string>>
}

export function startAccess(deps: StartAccessDeps): Access {
  const { env, mesh, link, mode } = deps
  const environment = keyEnvironmentOf(deps.environment)
  const allScopes = createScopeList(deps.routeScopes)
  const authenticator = new Authenticator({ env, link, mode, environment, allScopes })
  const service = createAccessService({
    env,
    link,
    environment,
    allScopes,
    keyCreated: (sha256) => authenticator.created(sha256),
    keyRevoked: (sha256) => authenticator.revoked(sha256),
  })
  const root = background(env)
  const touching = touchForEver(root, authenticator, link, deps.touchEveryMs ?? TOUCH_EVERY_MS)
  // What was answered from memory meanwhile is checked as soon as it can be, and the degradation ends.
  const unlisten = mesh.listen((notice) => {
    if (notice.type === 'transition' && notice.link === link.name && notice.to === 'up') void authenticator.refresh()
  })
  return {
    service,
    authenticate: (headers, ctx) => authenticator.authenticate(headers, ctx),
    routes: createAccessRoutes(service),
    liveKeys: (ctx, tenantId, keyIds) => findLiveKeys(link, ctx, tenantId, keyIds),
    [Symbol.asyncDispose]: async () => {
      unlisten()
      root.cancel()
      await touching
      await authenticator.refresh()
    },
  }
}

export function keyEnvironmentOf(environment: StartAccessDeps['environment']): KeyEnvironment {
  return environment === 'production' ? 'prod' : 'dev'
}

/** Writes down which keys were used: late and in one statement, so that using a key costs no write. */
async function touchForEver(
  root: Ctx,
  authenticator: Authenticator,
  link: Link<PostgresPool>,
  everyMs: number,
): Promise<void> {
  const { random } = root.env
  while (root.reason === undefined) {
    await pause(root, everyMs * (0.5 + random())).catch(() => undefined) // cancelled: a last time, then the end
    const used = authenticator.takeUsed()
    if (used.length === 0) continue
    using ctx = background(root.env).within(1_000)
    await touchKeys(link, ctx, used).catch(() => undefined) // only people look at it, and the next use tells again
  }
}
