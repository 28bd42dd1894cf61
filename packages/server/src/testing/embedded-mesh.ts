// A process that owns an embedded Postgres as a mesh does, for tests to kill: node embedded-mesh.ts STATE_DIR.
// It prints one line of JSON when Postgres is up, and then lives until it is told to end.

import { background, createEnv } from '@ripstop/kernel'
import { startEmbeddedPostgres } from '../platform/postgres/embedded-cluster.ts'

const [, , stateDir = ''] = process.argv
const env = createEnv()
const log = { info: () => {}, warn: () => {} }
const { pid, url, attached } = await startEmbeddedPostgres(background(env), {
  stateDir,
  env,
  log,
  settings: { fsync: 'off' },
})
process.stdout.write(`${JSON.stringify({ pid, url, attached })}\n`)
process.stdin.resume()
