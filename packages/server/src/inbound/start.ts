// Inbound webhooks as a part of a process that takes requests. Nothing of it runs by itself, so there is nothing to stop.

import type { Env, Link, Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Publish } from '#events'
import type { Route } from '#platform/http'
import type { Sealer } from '#platform/sealing'
import { createReceiver } from './receiving.ts'
import { createReceivingRoute, createSourceRoutes } from './routes.ts'
import { SourceCache } from './source-cache.ts'
import { createSources } from './sources.ts'
import { readSealedSource, touchSource } from './store.ts'

export interface InboundDeps {
  readonly env: Env
  readonly mesh: Pick<Mesh, 'metrics'>
  readonly link: Link<PostgresPool>
  readonly sealer: Sealer
  readonly publish: Publish
  /** Longest body of a request [262,144]: no longer than an event may be. */
  readonly bodyBytesMax?: number
  /** Requests a second that are looked at, of each source and of unknown ones together [200]. */
  readonly perSecond?: number
}

export interface Inbound {
  readonly routes: readonly Route[]
}

export function createInbound(deps: InboundDeps): Inbound {
  const { env, mesh, link, sealer, publish, bodyBytesMax = 262_144, perSecond = 200 } = deps
  const cache = new SourceCache({
    env,
    sealer,
    perSecond,
    read: (ctx, sourceId) => readSealedSource(link, ctx, sourceId),
  })
  const sources = createSources({ env, link, sealer, changed: (sourceId) => cache.forget(sourceId) })
  const receive = createReceiver({
    env,
    metrics: mesh.metrics,
    publish,
    sources: cache,
    perSecond,
    touch: (ctx, sourceId) => touchSource(link, ctx, sourceId),
  })
  return { routes: [...createSourceRoutes(sources), createReceivingRoute(receive, bodyBytesMax)] }
}
