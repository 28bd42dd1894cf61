// The embedded Postgres behind a link of the supervisor's mesh.

import { background, type Env, isRipstopError, type Mesh, type RipstopError } from '@ripstop/kernel'
import type { Config } from '#platform/config'
import { createEmbeddedAdapter } from '#platform/postgres'
import type { Log } from '#platform/telemetry'

/** Crash recovery of a large database is part of opening it: to cut it short would be to start it over, for ever. */
const POSTGRES_OPEN_MS = 600_000
const POSTGRES_PROBE_MS = 3_000

export interface DatabaseDeps {
  readonly env: Env
  readonly log: Log
  readonly config: Config
}

export interface DatabaseEvents {
  readonly onUrl: (url: string) => void
  readonly onRefused: (error: RipstopError) => void
}

/** Starts it in the background; the returned function stops it. */
export function startDatabase(
  { env, log, config }: DatabaseDeps,
  mesh: Mesh,
  events: DatabaseEvents,
): () => Promise<void> {
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
