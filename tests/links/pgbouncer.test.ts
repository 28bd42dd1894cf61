// The postgres adapter behind a real pgBouncer in transaction mode: each transaction may run on another server connection.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { portAccepts } from '@ripstop/faults'
import { background, createEnv, type Link, Mesh } from '@ripstop/kernel'
import { createPostgresAdapter, type PostgresPool } from '@ripstop/kernel/postgres'
import { beforeEach, expect, test } from 'vitest'
import { startTestCluster, type TestCluster } from '../../packages/server/src/testing/postgres.ts'
import { findFreePort, makeScratch, until } from '../../packages/server/src/testing/processes.ts'

const SERVER_CONNECTIONS = 3
const NOBODY = 65_534

const installed = ((): boolean => {
  try {
    return execFileSync('pgbouncer', ['--version']).length > 0
  } catch {
    return false
  }
})()

beforeEach((context) => {
  if (installed) return
  process.stderr.write('\n*** pgbouncer is not on PATH: its tests are SKIPPED; install it to run them ***\n')
  context.skip('pgbouncer is not on PATH')
})

interface Bouncer extends AsyncDisposable {
  readonly url: string
  kill(): Promise<void>
  start(): Promise<void>
}

async function startBouncer(cluster: TestCluster): Promise<Bouncer> {
  await using starting = new AsyncDisposableStack()
  const { path } = starting.use(await makeScratch())
  const port = await findFreePort()
  const server = new URL(cluster.url)
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: join(path, 'users'),
    pool_mode: 'transaction',
    default_pool_size: SERVER_CONNECTIONS,
    server_login_retry: 1,
    query_wait_timeout: 5,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  await writeFile(settings.auth_file, `"${server.username}" "${decodeURIComponent(server.password)}"\n`)
  await writeFile(
    join(path, 'pgbouncer.ini'),
    `[databases]\n* = host=127.0.0.1 port=${server.port}\n[pgbouncer]\n${lines.join('\n')}\n`,
  )
  for (const name of ['users', 'pgbouncer.ini']) await chmod(join(path, name), 0o644)
  const runAs = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {} // it refuses to be root
  const launch = () => spawn('pgbouncer', ['-q', join(path, 'pgbouncer.ini')], { ...runAs, stdio: 'ignore' })
  let child = launch()
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  const ready = (): Promise<unknown> =>
    until('pgbouncer listens', () =>
      portAccepts(port).then(
        () => true,
        () => false,
      ),
    )
  starting.defer(kill)
  await ready()
  const owned = starting.move()
  const through = new URL(cluster.url)
  through.port = String(port)
  return {
    url: through.href,
    kill,
    start: async () => {
      child = launch()
      await ready()
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

test('L1 to L6 hold behind pgBouncer in transaction mode', async () => {
  await using cluster = await startTestCluster()
  await using bouncer = await startBouncer(cluster)
  const mesh = new Mesh(createEnv())
  const ctx = background(mesh.env)
  const adapter = createPostgresAdapter({ url: bouncer.url, size: 8, statementTimeoutMs: 7_000 })
  const link: Link<PostgresPool> = mesh.link('postgres.main', adapter, {
    deadlineMs: 4_000,
    bulkhead: { concurrent: 8, queue: 256 },
    breaker: 'none',
  })
  await using _ = { [Symbol.asyncDispose]: () => mesh.drain(ctx.within(1_000)) }
  link.start()
  await link.whenUp(ctx.within(5_000))
  const rows = async (text: string, values?: unknown[]): Promise<unknown[]> =>
    (await link.call(ctx, (pg, call) => pg.query(call, text, values))).rows

  // It doesn't take the session's timeouts: that is said, and each transaction has its own.
  expect(await link.call(ctx, (pg) => pg.sessionSettings)).toBe('refused')
  expect(await rows('show statement_timeout')).toEqual([{ statement_timeout: '30s' }]) // the server's own
  const shown = link.call(ctx, (pg, call) => pg.transaction(call, (tx) => tx.query(call, 'show statement_timeout')))
  expect((await shown).rows).toEqual([{ statement_timeout: '7s' }])

  // More clients than server connections, with values: nothing is left prepared, and nothing depends on the session.
  const many = await Promise.all(Array.from({ length: 200 }, (_, n) => rows('select $1::int as n', [n])))
  expect(many).toEqual(Array.from({ length: 200 }, (_, n) => [{ n }]))
  expect(await rows('select count(*)::int as n from pg_prepared_statements')).toEqual([{ n: 0 }])
  const pids = await Promise.all(
    Array.from({ length: 20 }, () =>
      link.call(ctx, (pg, call) =>
        pg.transaction(call, async (tx) => {
          const ask = async () => (await tx.query<{ pid: number }>(call, 'select pg_backend_pid() as pid')).rows[0]?.pid
          return [await ask(), await ask()]
        }),
      ),
    ),
  )
  expect(pids.filter(([first, second]) => first !== second)).toEqual([])
  expect(new Set(pids.flat()).size).toBeLessThanOrEqual(SERVER_CONNECTIONS)

  // A statement that missed its deadline is cancelled through pgBouncer, and the slot stays.
  const { size } = link.snapshot().pool ?? { size: 0 }
  const late = link.call(ctx, (pg, call) => pg.query(call, 'select pg_sleep(60)'), { deadlineMs: 200 })
  await expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
  await until('its slot is back', () => link.snapshot().pool?.inUse === 0, 2_000)
  expect(link.snapshot().pool?.size).toBe(size)
  expect(
    await rows(
      `select 1 from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()`,
    ),
  ).toEqual([])

  // pgBouncer dies; then the server behind it, which it goes on to speak for.
  await bouncer.kill()
  await until('the link is down', () => link.state !== 'up')
  await bouncer.start()
  await link.whenUp(ctx.within(5_000))
  await cluster.kill('SIGKILL')
  await until('the link is down', () => link.state !== 'up')
  await cluster.restart()
  await link.whenUp(ctx.within(8_000))
  expect(await rows('select 1 as one')).toEqual([{ one: 1 }])
}, 60_000)
