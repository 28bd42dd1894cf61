import { createId, type Env, type Mesh } from '@ripstop/kernel'
import type { Route } from '#platform/http'
import { EventRing } from './event-ring.ts'
import { createHealthRoutes, type HealthRoutesDeps } from './routes.ts'
import { findNotices, type ProcessGraph, toEventWire } from './wire-graph.ts'

const OTHERS_EVERY_MS = 1_000

export interface StartHealthDeps {
  readonly env: Env
  readonly mesh: Mesh
  readonly processName: string
  /** The graphs of the other processes, as they were told last. */
  readonly others: () => readonly ProcessGraph[]
  readonly metrics: HealthRoutesDeps['metrics']
  readonly schema: HealthRoutesDeps['schema']
}

export interface Health extends Disposable {
  readonly routes: readonly Route[]
}

export function startHealth({ env, mesh, processName, others, metrics, schema }: StartHealthDeps): Health {
  const ring = new EventRing(createId(env.clock.wallMs()))
  const graphs = (): readonly ProcessGraph[] => [{ process: processName, graph: mesh.graph() }, ...others()]
  const unlisten = mesh.listen((notice) => ring.add(toEventWire(processName, notice)))
  const unwatch = watchOthers(env, others, ring)
  return {
    routes: createHealthRoutes({ env, mesh, ring, graphs, metrics, schema }),
    [Symbol.dispose]: () => {
      unwatch()
      unlisten()
    },
  }
}

/** Other processes tell their graph once a second: what happened in between is read from the difference. */
function watchOthers(env: Env, others: () => readonly ProcessGraph[], ring: EventRing): () => void {
  const seen = new Map<string, ProcessGraph['graph']>()
  let cancel: () => void
  const look = (): void => {
    for (const { process, graph } of others()) {
      const before = seen.get(process)
      if (before === graph) continue
      seen.set(process, graph)
      // At first sight its past is no news.
      if (before === undefined) continue
      for (const notice of findNotices(before, graph)) ring.add(toEventWire(process, notice))
    }
    cancel = env.clock.schedule(OTHERS_EVERY_MS, look)
  }
  look()
  return () => cancel()
}
