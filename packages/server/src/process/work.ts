// The work process: what goes on in the background. It waits for the schema, which an edge makes.

import { createAccessUpkeep } from '#access'
import { createPostgresLink, expireIdempotency, startMigrations } from '#platform/postgres'
import { startUpkeep } from '#upkeep'
import type { RoleDeps, RunningRole } from './role.ts'

const EXPIRE_EVERY_MS = 300_000

export async function startWork({ env, log, config, mesh, channel }: RoleDeps): Promise<RunningRole> {
  await using starting = new AsyncDisposableStack()
  const postgres = createPostgresLink({ mesh, postgres: config.postgres })
  channel.onDatabase(postgres.moveTo)
  postgres.link.start()
  mesh.component({ name: 'upkeep', kind: 'role' })
  mesh.use({ component: 'upkeep', link: 'postgres.main', need: 'hard' })

  const migrations = starting.use(startMigrations({ env, log, postgres }))
  channel.refuseWith(migrations.done)
  const tasks = [{ name: 'idempotency', everyMs: EXPIRE_EVERY_MS, batch: expireIdempotency }, ...createAccessUpkeep()]
  starting.use(startUpkeep({ env, log, link: postgres.link, tasks }))
  const owned = starting.move()
  let closing: Promise<void> | undefined
  return {
    address: undefined,
    [Symbol.asyncDispose]: () => {
      closing ??= owned.disposeAsync()
      return closing
    },
  }
}
