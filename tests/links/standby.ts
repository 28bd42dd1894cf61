// A real standby: a test cluster stopped and started again as one, on its own data and port. Linux only (it reads /proc).

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readlink, writeFile } from 'node:fs/promises'
import { Client } from 'pg'
import { startTestCluster } from '../../packages/server/src/testing/postgres.ts'
import { until } from '../../packages/server/src/testing/processes.ts'

export interface Standby extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Makes it a primary. */
  promote(): Promise<void>
}

export async function startStandby(): Promise<Standby> {
  await using starting = new AsyncDisposableStack()
  const cluster = starting.use(await startTestCluster())
  const { url, superuserUrl, port, pid } = cluster
  const program = await readlink(`/proc/${pid}/exe`)
  const [, ...args] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const idOf = (kind: 'Uid' | 'Gid'): number => Number(new RegExp(`${kind}:\\s+(\\d+)`).exec(status)?.[1])
  const runAs = { uid: idOf('Uid'), gid: idOf('Gid') }
  const directory = String((await ask(superuserUrl, 'show data_directory')).data_directory)
  await cluster.kill('SIGINT')
  await writeFile(`${directory}/standby.signal`, '')
  const child = spawn(program, args, { ...runAs, cwd: '/', env: { LC_ALL: 'C', TZ: 'UTC' }, stdio: 'ignore' })
  starting.defer(async () => {
    child.kill('SIGQUIT')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  await until('the standby answers', () =>
    ask(superuserUrl, 'select 1').then(
      () => true,
      () => false,
    ),
  )
  const owned = starting.move()
  return {
    url,
    port,
    promote: async () => void (await ask(superuserUrl, 'select pg_promote()')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function ask(url: string, text: string): Promise<Record<string, unknown>> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows[0] ?? {}
  } finally {
    await client.end()
  }
}
