// `ripstop up`: the mesh, until it is told to stop.

import { parseArgs } from 'node:util'
import { background, createEnv } from '@ripstop/kernel'
import { type Config, loadConfig } from '#platform/config'
import { createLog, type Log } from '#platform/telemetry'
import { type Supervisor, startSupervisor } from '#supervisor'
import type { CommandDoc, Terminal } from './terminal.ts'

export interface UpDeps {
  /** This program, to be started again for every role. */
  readonly program: string
  /** Resolves at the first signal to stop; a second one exits at once. */
  readonly stopped: () => Promise<string>
}

export function createUp(deps: UpDeps): CommandDoc {
  return {
    usage: 'up [--config FILE] [--roles edge,work]',
    summary: 'start the mesh',
    run: async (terminal) => {
      const { values } = parseArgs({
        args: [...terminal.argv],
        options: { config: { type: 'string' }, roles: { type: 'string' } },
      })
      const processEnv = values.roles === undefined ? terminal.env : { ...terminal.env, RIPSTOP_ROLES: values.roles }
      const config = loadConfig({ env: processEnv, cwd: terminal.cwd, configPath: values.config })
      const log = createLog({ level: config.log.level, format: config.log.format, processName: 'supervisor' })
      process.once('exit', () => log.flush())
      for (const warning of config.warnings) log.warn({ event: 'config.warning', warning })
      await using supervisor = await startUnlessStopped({ ...deps, processEnv }, config, log)
      if (supervisor === undefined) return 0
      const address = supervisor.address()
      terminal.out(`ripstop is up${address === undefined ? '' : `: ${address}`}\n`)
      const signal = await Promise.race([deps.stopped(), supervisor.refused])
      log.info({ event: 'mesh.stopping', signal })
      return 0
    },
  }
}

interface StartDeps extends UpDeps {
  readonly processEnv: Terminal['env']
}

/** Undefined: it was told to stop before it was up, and everything is stopped again. */
async function startUnlessStopped(deps: StartDeps, config: Config, log: Log): Promise<Supervisor | undefined> {
  const file = config.file === undefined ? [] : ['--config', config.file]
  const env = createEnv()
  const starting = background(env)
  let told = false
  void deps.stopped().then(() => {
    told = true
    starting.cancel()
  })
  try {
    return await startSupervisor(starting, {
      env,
      log,
      config,
      program: deps.program,
      args: (role) => ['process', role, ...file],
      processEnv: deps.processEnv,
    })
  } catch (error) {
    if (told) return undefined
    throw error
  }
}
