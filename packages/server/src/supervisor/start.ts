// Supervisor. The small process that keeps the others alive: the embedded Postgres and one process a role, each behind a
// link of the kernel, so that what holds for connections holds for processes: proved up, probed, replaced with backoff, for
// ever. It serves nothing itself.
// Invariants:
//   SV1. A process that dies or hangs is replaced alone; the others go on.
//   SV2. Stopping goes in reverse order (processes before the database), ends within the shutdown bound, and leaves no
//        process of ours behind.
//   SV3. What can't work (a port in use at the first start, a schema of a newer version) stops it all, with the reason.

import {
  background,
  type Ctx,
  type Env,
  isRipstopError,
  type Link,
  Mesh,
  type MeshGraph,
  RipstopError,
} from '@ripstop/kernel'
import type { Config } from '#platform/config'
import { createEmbeddedAdapter } from '#platform/postgres'
import { type Log, logMesh } from '#platform/telemetry'
import type { FromProcess, ToProcess } from './messages.ts'
import { createRoleProcessAdapter, type RoleProcess } from './role-process.ts'

type Role = Config['server']['roles'][number]

export interface SupervisorDeps {
  readonly env: Env
  readonly log: Log
  readonly config: Config
  /** How a role's process is started. */
  readonly program: string
  readonly args: (role: Role) => readonly string[]
  readonly processEnv: Readonly<Record<string, string | undefined>>
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

/** A process must come up within this, on a machine that is busy too; the database link has its own, longer time. */
const PROCESS_OPEN_MS = 30_000
/** Crash recovery of a large database is part of opening it: to cut it short would be to start it over, for ever. */
const POSTGRES_OPEN_MS = 600_000
/** A role's event loop that gives no answer for so long is hung: far beyond any pause of a healthy one. */
const PROCESS_PROBE_MS = 5_000
const POSTGRES_PROBE_MS = 3_000
const GRAPH_EVERY_MS = 1_000

/**
 * Starts everything that the roles need and resolves when every process has come up once. The database may come later:
 * the mesh starts without it, degraded and healing. Rejects with what can't ever work (SV3), or when `ctx` is over; then
 * everything is stopped again.
 */
export async function startSupervisor(ctx: Ctx, deps: SupervisorDeps): Promise<Supervisor> {
  const { env, config, log } = deps
  const root = background(env)
  const mesh = new Mesh(env)
  logMesh(mesh, log)
  const graphs = new Map<Role, MeshGraph>()
  const processes = new Map<Role, { readonly link: Link<RoleProcess>; current: RoleProcess | undefined }>()
  const refused = Promise.withResolvers<never>()
  refused.promise.catch(() => undefined) // after the first start nobody waits for it: the link tries again
  let databaseUrl: string | undefined
  await using starting = new AsyncDisposableStack()

  const tellAll = (message: ToProcess): void => {
    for (const { current } of processes.values()) current?.send(message)
  }
  if (config.postgres.url === undefined) {
    const onUrl = (url: string): void => {
      databaseUrl = url
      tellAll({ type: 'database', url })
    }
    starting.defer(startDatabase(deps, mesh, { onUrl, onRefused: refused.reject }))
  }
  starting.defer(() => stopProcesses())

  for (const role of config.server.roles) startRole(role)
  const stopGraphs = shareGraphs()
  starting.defer(stopGraphs)
  const allUp = Promise.all([...processes.values()].map(({ link }) => link.whenUp(ctx)))
  await Promise.race([allUp, refused.promise])

  const owned = starting.move()
  let closing: Promise<void> | undefined
  return {
    mesh,
    refused: refused.promise,
    address: () => processes.get('edge')?.current?.address,
    pids: () => Object.fromEntries([...processes].map(([role, { current }]) => [role, current?.pid ?? 0])),
    [Symbol.asyncDispose]: () => (closing ??= owned.disposeAsync()),
  }

  function startRole(role: Role): void {
    const adapter = createRoleProcessAdapter({
      name: role,
      program: deps.program,
      args: deps.args(role),
      processEnv: deps.processEnv,
      greeting: () => (databaseUrl === undefined ? [] : [{ type: 'database', url: databaseUrl }]),
      onMessage: (message) => heard(role, message),
    })
    const held = {
      ...adapter,
      open: (ctx: Ctx, events: Parameters<typeof adapter.open>[1]) => hold(role, adapter.open(ctx, events)),
    }
    const link = mesh.link(
      `process.${role}`,
      held,
      {
        deadlineMs: PROCESS_OPEN_MS,
        openDeadlineMs: PROCESS_OPEN_MS,
        probeDeadlineMs: PROCESS_PROBE_MS,
        recoverWithinMs: 5_000,
        maxAgeMs: Number.POSITIVE_INFINITY,
        critical: true,
      },
      { name: role, kind: 'role' },
    )
    processes.set(role, { link, current: undefined })
    link.start()
  }

  async function hold(role: Role, opening: Promise<RoleProcess>): Promise<RoleProcess> {
    const running = await opening
    const entry = processes.get(role)
    if (entry !== undefined) entry.current = running
    // What changed between the greeting and now.
    if (databaseUrl !== undefined) running.send({ type: 'database', url: databaseUrl })
    return running
  }

  function heard(role: Role, message: FromProcess): void {
    if (message.type === 'graph') graphs.set(role, message.graph)
    if (message.type !== 'refused') return
    log.error({ event: 'process.refused', role, code: message.code, reason: message.message })
    // A port that was free once may be free again: then the link tries on. A schema that does not fit stays so.
    const hasRun = processes.get(role)?.current !== undefined
    if (hasRun && message.code === 'CONFIG_INVALID') return
    refused.reject(new RipstopError(message.code, message.message))
  }

  /** Every process sees the graphs of all: the edge answers for the whole mesh. */
  function shareGraphs(): () => void {
    let stopped = false
    let cancel: (() => void) | undefined
    const share = (): void => {
      if (stopped) return
      for (const [role, { current }] of processes) {
        const others = [...graphs].filter(([other]) => other !== role).map(([process, graph]) => ({ process, graph }))
        current?.send({ type: 'graphs', graphs: [{ process: 'supervisor', graph: mesh.graph() }, ...others] })
      }
      cancel = env.clock.schedule(GRAPH_EVERY_MS, share)
    }
    share()
    return () => {
      stopped = true
      cancel?.()
    }
  }

  async function stopProcesses(): Promise<void> {
    const running = [...processes.values()]
    const limit = root.within(config.server.shutdownMs)
    await Promise.all(running.map(({ link }) => link.drain(limit)))
    await Promise.all(running.map(({ current }) => (current === undefined ? undefined : ended(current, limit))))
    limit[Symbol.dispose]()
  }
}

interface DatabaseEvents {
  readonly onUrl: (url: string) => void
  readonly onRefused: (error: RipstopError) => void
}

/** Starts it in the background; the returned function stops it. */
function startDatabase({ env, log, config }: SupervisorDeps, mesh: Mesh, events: DatabaseEvents): () => Promise<void> {
  const adapter = createEmbeddedAdapter({ env, log, stateDir: config.server.stateDir, onUrl: events.onUrl })
  const telling = {
    ...adapter,
    open: (...args: Parameters<typeof adapter.open>) =>
      adapter.open(...args).catch((error) => {
        // No binaries for this platform, data of another version: trying again changes nothing, a person must.
        if (isRipstopError(error) && !error.retry) events.onRefused(error)
        throw error
      }),
  }
  const link = mesh.link(
    'postgres.embedded',
    telling,
    {
      deadlineMs: POSTGRES_OPEN_MS,
      openDeadlineMs: POSTGRES_OPEN_MS,
      probeDeadlineMs: POSTGRES_PROBE_MS,
      recoverWithinMs: 5_000,
      maxAgeMs: Number.POSITIVE_INFINITY,
      critical: true,
    },
    { name: 'embedded postgres', kind: 'database' },
  )
  link.start()
  return async () => {
    using limit = background(env).within(config.server.shutdownMs)
    await link.drain(limit)
    await adapter.stopped()
  }
}

/** Waits for its end; past the limit it is killed (SV2). */
async function ended(running: RoleProcess, limit: Ctx): Promise<void> {
  const kill = (): void => {
    try {
      process.kill(running.pid, 'SIGKILL')
    } catch {
      // It went by itself in this moment.
    }
  }
  limit.signal.addEventListener('abort', kill, { once: true })
  await running.exited
  limit.signal.removeEventListener('abort', kill)
}
