// Supervisor. The small process that keeps the others alive: the embedded Postgres and one process a role, each behind a
// link of the kernel, so that what holds for connections holds for processes: proved up, probed, replaced with backoff, for
// ever. It serves nothing itself.
// Invariants:
//   SV1. A process that dies or hangs is replaced alone; the others go on.
//   SV2. Stopping goes in reverse order (processes before the database), ends within the shutdown bound, and leaves no
//        process of ours behind.
//   SV3. What can't work (a port in use at the first start, a schema of a newer version) stops it all, with the reason.

import { type Ctx, type Env, Mesh } from '@ripstop/kernel'
import type { Config } from '#platform/config'
import { type Log, logMesh, startProcessMetrics, tellMetrics } from '#platform/telemetry'
import { startDatabase } from './database.ts'
import { RoleProcesses, type RoleProcessesDeps } from './role-processes.ts'

export interface SupervisorDeps extends Pick<RoleProcessesDeps, 'program' | 'args' | 'processEnv'> {
  readonly env: Env
  readonly log: Log
  readonly config: Config
}

export interface Supervisor extends AsyncDisposable {
  readonly mesh: Mesh
  /** Rejects if it turns out later that this mesh can't work here: the database has another schema, say. */
  readonly refused: Promise<never>
  /** Where the edge listens, once it does. */
  readonly address: () => string | undefined
  /** Process ids by role, for people and tests. */
  readonly pids: () => Readonly<Record<string, number>>
}

/**
 * Starts everything that the roles need and resolves when every process has come up once. The database may come later:
 * the mesh starts without it, degraded and healing. Rejects with what can't ever work (SV3), or when `ctx` is over; then
 * everything is stopped again.
 */
export async function startSupervisor(ctx: Ctx, deps: SupervisorDeps): Promise<Supervisor> {
  const { env, config, log } = deps
  const mesh = new Mesh(env)
  logMesh(mesh, log)
  const refused = Promise.withResolvers<never>()
  refused.promise.catch(() => undefined) // for callers who don't wait
  const onRefused = refused.reject
  await using starting = new AsyncDisposableStack()
  starting.defer(startProcessMetrics(mesh))

  const processes = new RoleProcesses({ ...deps, mesh, onRefused })
  if (config.postgres.url === undefined) {
    starting.defer(startDatabase(deps, mesh, { onUrl: (url) => processes.tellDatabase(url), onRefused }))
  }
  starting.defer(() => processes.stop(config.server.shutdownMs))
  for (const role of config.server.roles) processes.start(role)
  processes.shareGraphs()
  starting.defer(tellMetrics(env, mesh.metrics, (families) => processes.tellMetrics('supervisor', families)))
  await Promise.race([processes.whenUp(ctx), refused.promise])

  const owned = starting.move()
  let closing: Promise<void> | undefined
  return {
    mesh,
    refused: refused.promise,
    address: () => processes.address,
    pids: () => processes.pids,
    [Symbol.asyncDispose]: () => {
      closing ??= owned.disposeAsync()
      return closing
    },
  }
}
