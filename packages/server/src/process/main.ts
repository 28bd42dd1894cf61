// A role's process: reads its config, starts its role, tells the supervisor how it is, stops when told.

import { parseArgs } from 'node:util'
import { background, createEnv, type Env, isRipstopError, Mesh } from '@ripstop/kernel'
import { type Config, loadConfig } from '#platform/config'
import { createLog, logMesh, startProcessMetrics, tellMetrics } from '#platform/telemetry'
import { openChannel } from './channel.ts'
import type { RoleDeps, StartRole } from './role.ts'

/** The outside world, as far as a role's process is concerned. */
export interface ProcessInput {
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

const ROLES: Readonly<Record<Config['server']['roles'][number], () => Promise<StartRole>>> = {
  edge: async () => (await import('./edge.ts')).startEdge,
  work: async () => (await import('./work.ts')).startWork,
}

const GRAPH_EVERY_MS = 1_000

/** `ripstop process ROLE`, started by the supervisor; ends with it. */
export async function runProcess(input: ProcessInput): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...input.argv],
    options: { config: { type: 'string' } },
    allowPositionals: true,
  })
  const env = createEnv()
  const channel = openChannel(env)
  try {
    const role = positionals[0] === 'work' ? 'work' : 'edge'
    const config = loadConfig({ env: input.env, cwd: input.cwd, configPath: values.config })
    const log = createLog({ level: config.log.level, format: config.log.format, processName: role })
    process.once('exit', () => log.flush())
    await serve(role, { env, config, log, channel })
    return 0
  } catch (error) {
    if (isRipstopError(error)) channel.send({ type: 'refused', code: error.code, message: error.message })
    throw error
  } finally {
    if (process.connected) process.disconnect()
  }
}

async function serve(role: keyof typeof ROLES, outside: Omit<RoleDeps, 'mesh'>): Promise<void> {
  const { env, config, log, channel } = outside
  const mesh = new Mesh(env)
  logMesh(mesh, log)
  const unmeasure = startProcessMetrics(mesh)
  const start = await ROLES[role]()
  await using stack = new AsyncDisposableStack()
  stack.defer(unmeasure)
  const drain = background(env)
  stack.defer(async () => {
    using limit = drain.within(config.server.shutdownMs)
    await mesh.drain(limit)
  })
  const running = stack.use(await start({ ...outside, mesh }))
  stack.defer(tellGraph(env, mesh, channel))
  // The edge is asked itself.
  if (role !== 'edge') {
    stack.defer(tellMetrics(env, mesh.metrics, (families) => channel.send({ type: 'metrics', families })))
  }
  channel.send({ type: 'ready', address: running.address })
  const why = await channel.stopped
  log.info({ event: 'process.stopping', why })
}

/** Sends the graph once a second until the returned function is called. */
function tellGraph(env: Env, mesh: Mesh, channel: RoleDeps['channel']): () => void {
  let cancel: () => void
  const tell = (): void => {
    channel.send({ type: 'graph', graph: mesh.graph() })
    cancel = env.clock.schedule(GRAPH_EVERY_MS, tell)
  }
  tell()
  return () => cancel()
}
