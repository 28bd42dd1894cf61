// The processes of all roles, each behind a link: started, heard, told what they need to know, stopped.

import {
  background,
  type Ctx,
  type Env,
  type Link,
  type Mesh,
  type MeshGraph,
  type MetricFamily,
  RipstopError,
} from '@ripstop/kernel'
import type { Config } from '#platform/config'
import type { Log } from '#platform/telemetry'
import type { FromProcess, ToProcess } from './messages.ts'
import { createRoleProcessAdapter, type RoleProcess } from './role-process.ts'

export type Role = Config['server']['roles'][number]

/**
 * What delivery keeps lives for a send and no longer: a small young generation collects it before it is copied. With a million undone it
 * holds 233 MB instead of 380 (2026-11); the edge gained nothing by another size than Node's own.
 */
const NODE_OPTIONS: Readonly<Record<Role, readonly string[]>> = { edge: [], work: ['--max-semi-space-size=4'] }

export interface RoleProcessesDeps {
  readonly env: Env
  readonly log: Log
  readonly mesh: Mesh
  /** How a role's process is started. */
  readonly program: string
  readonly args: (role: Role) => readonly string[]
  readonly processEnv: Readonly<Record<string, string | undefined>>
  /** A process says that it can't work here, and starting it again would not help. */
  readonly onRefused: (error: RipstopError) => void
}

interface Entry {
  readonly link: Link<RoleProcess>
  current: RoleProcess | undefined
}

/** A process must come up within this, on a machine that is busy too. */
const OPEN_MS = 30_000
/** An event loop that gives no answer for so long is hung: far beyond any pause of a healthy one. */
const PROBE_MS = 5_000
const GRAPH_EVERY_MS = 1_000

export class RoleProcesses {
  readonly #deps: RoleProcessesDeps
  readonly #entries = new Map<Role, Entry>()
  readonly #graphs = new Map<Role, MeshGraph>()
  #databaseUrl: string | undefined
  #cancelSharing: (() => void) | undefined

  constructor(deps: RoleProcessesDeps) {
    this.#deps = deps
  }

  /** Where the edge listens, once it does. */
  get address(): string | undefined {
    return this.#entries.get('edge')?.current?.address
  }

  get pids(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#entries].map(([role, { current }]) => [role, current?.pid ?? 0]))
  }

  start(role: Role): void {
    const adapter = createRoleProcessAdapter({
      name: role,
      program: this.#deps.program,
      args: this.#deps.args(role),
      nodeOptions: NODE_OPTIONS[role],
      processEnv: this.#deps.processEnv,
      onMessage: (message) => this.#hear(role, message),
      onStarted: (running) => this.#hold(role, running),
    })
    const guarantees = {
      deadlineMs: OPEN_MS,
      openDeadlineMs: OPEN_MS,
      probeDeadlineMs: PROBE_MS,
      recoverWithinMs: 5_000,
      maxAgeMs: Number.POSITIVE_INFINITY,
      critical: true,
    }
    const link = this.#deps.mesh.link(`process.${role}`, adapter, guarantees, { name: role, kind: 'role' })
    this.#entries.set(role, { link, current: undefined })
    link.start()
  }

  /** Resolves when every process is up; rejects when `ctx` is over. */
  async whenUp(ctx: Ctx): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ link }) => link.whenUp(ctx)))
  }

  tellDatabase(url: string): void {
    this.#databaseUrl = url
    for (const { current } of this.#entries.values()) current?.send({ type: 'database', url })
  }

  /** Every process sees the graphs of all, once a second: the edge answers for the whole mesh. */
  shareGraphs(): void {
    for (const [role, { current }] of this.#entries) {
      const others = [...this.#graphs].filter(([other]) => other !== role)
      const graphs = others.map(([process, graph]) => ({ process, graph }))
      current?.send({ type: 'graphs', graphs: [{ process: 'supervisor', graph: this.#deps.mesh.graph() }, ...graphs] })
    }
    this.#cancelSharing = this.#deps.env.clock.schedule(GRAPH_EVERY_MS, () => this.shareGraphs())
  }

  /** The edge answers for what every process counts. */
  tellMetrics(process: string, families: readonly MetricFamily[]): void {
    this.#entries.get('edge')?.current?.send({ type: 'metrics', metrics: { process, families } })
  }

  /** Lets every process drain; what still runs after `withinMs` is killed. Ends with no process of ours left. */
  async stop(withinMs: number): Promise<void> {
    this.#cancelSharing?.()
    using limit = background(this.#deps.env).within(withinMs)
    const entries = [...this.#entries.values()]
    await Promise.all(entries.map(({ link }) => link.drain(limit)))
    await Promise.all(entries.map(({ current }) => (current === undefined ? undefined : ended(current, limit))))
  }

  /** From its first moment, so that what must be stopped is known also before it is ready. */
  #hold(role: Role, running: RoleProcess): void {
    const entry = this.#entries.get(role)
    if (entry !== undefined) entry.current = running
    if (this.#databaseUrl !== undefined) running.send({ type: 'database', url: this.#databaseUrl } satisfies ToProcess)
  }

  #hear(role: Role, message: FromProcess): void {
    if (message.type === 'graph') this.#graphs.set(role, message.graph)
    if (message.type === 'metrics') this.tellMetrics(role, message.families)
    if (message.type !== 'refused') return
    const { code, message: reason } = message
    this.#deps.log.error({ event: 'process.refused', role, code, reason })
    // A port that was free once may be free again: then the link tries on. A schema that does not fit stays so.
    const hasRun = this.#entries
      .get(role)
      ?.link.snapshot()
      .transitions.some(({ to }) => to === 'up')
    if (hasRun !== true || code !== 'CONFIG_INVALID') this.#deps.onRefused(new RipstopError(code, reason))
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
