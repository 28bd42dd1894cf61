// Events as a part of a process that publishes: the types in memory, the queue, the routes.

import type { Ctx, Env, Link, Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Route } from '#platform/http'
import type { EventConsumer } from './consumer.ts'
import { createEventTypes } from './event-types.ts'
import { createPublishing, type Publish } from './publishing.ts'
import { createEventRoutes } from './routes.ts'
import { createTypeRoutes } from './type-routes.ts'
import { readHeads } from './type-store.ts'
import { TypesCache } from './types-cache.ts'

export interface StartEventsDeps {
  readonly env: Env
  readonly mesh: Mesh
  readonly link: Link<PostgresPool>
  readonly consumers: readonly EventConsumer[]
  /** Of such a tenant an event whose type is not registered is refused. Default: no tenant. */
  readonly isStrict?: (tenantId: string) => boolean
  readonly eventBytesMax?: number
}

export interface Events extends AsyncDisposable {
  readonly publish: Publish
  /** The JSON Schema of a type's newest version; undefined: the type is not registered. */
  readonly readSchema: (ctx: Ctx, tenantId: string, type: string) => Promise<unknown>
  readonly routes: readonly Route[]
}

/** Disposing of it lets what was taken be written first. */
export function startEvents(deps: StartEventsDeps): Events {
  const { env, mesh, link, consumers, isStrict = () => false, eventBytesMax } = deps
  const types = new TypesCache(link)
  const publishing = createPublishing({ env, metrics: mesh.metrics, link, consumers, types, isStrict, eventBytesMax })
  const eventTypes = createEventTypes({ env, link, registered: (tenantId, name) => types.forget(tenantId, name) })
  const { publish } = publishing
  return {
    publish,
    readSchema: async (ctx, tenantId, name) => {
      const [head] = await readHeads(link, ctx, tenantId, [{ name, known: 0 }])
      return head?.schema
    },
    routes: [...createEventRoutes({ publish, link }), ...createTypeRoutes(eventTypes)],
    [Symbol.asyncDispose]: () => publishing[Symbol.asyncDispose](),
  }
}
