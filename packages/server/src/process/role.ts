import type { Env, Mesh } from '@ripstop/kernel'
import type { Config } from '#platform/config'
import type { ProcessLog } from '#platform/telemetry'
import type { Channel } from './channel.ts'

/** A role that runs: where it listens, if it does, and its end. */
export interface RunningRole extends AsyncDisposable {
  readonly address: string | undefined
}

export interface RoleDeps {
  readonly env: Env
  readonly log: ProcessLog
  readonly config: Config
  readonly mesh: Mesh
  readonly channel: Channel
}

export type StartRole = (deps: RoleDeps) => Promise<RunningRole>
