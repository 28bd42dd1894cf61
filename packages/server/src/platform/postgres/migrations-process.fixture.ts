// A process that migrates the database of its argument as a mesh does at its start, for tests that start several at once.

import { createEnv, Mesh } from '@ripstop/kernel'
import type { Log } from '#platform/telemetry'
import { parseConfig } from '../config/config.ts'
import { createPostgresLink } from './postgres-link.ts'
import { startMigrations } from './start.ts'

const env = createEnv()
const silent = (): void => {}
const applied: unknown[] = []
const log: Log = {
  debug: silent,
  info: (fields) => void applied.push(fields.version),
  warn: silent,
  error: silent,
  child: () => log,
}
const postgres = createPostgresLink({
  mesh: new Mesh(env),
  postgres: parseConfig({}, { DATABASE_URL: process.argv[2] }).postgres,
})
await startMigrations({ env, log, postgres }).done
process.stdout.write(JSON.stringify(applied))
