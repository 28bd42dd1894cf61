// The work process: what goes on in the background.

import { createPostgresLink } from '#platform/postgres'
import type { RoleDeps, RunningRole } from './main.ts'

export async function startWork({ config, mesh, channel }: RoleDeps): Promise<RunningRole> {
  const postgres = createPostgresLink({ mesh, postgres: config.postgres })
  channel.onDatabase(postgres.moveTo)
  postgres.link.start()
  return { address: undefined, [Symbol.asyncDispose]: async () => undefined }
}
