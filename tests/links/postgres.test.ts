// The postgres adapter on real servers: what only a real one can show.

import { randomBytes } from 'node:crypto'
import { chown, stat } from 'node:fs/promises'
import { startFaultProxy } from '@ripstop/faults'
import { background, type Ctx, createEnv, type GuaranteesInput, type Link, Mesh } from '@ripstop/kernel'
import { createPostgresAdapter, type PostgresOptions, type PostgresPool } from '@ripstop/kernel/postgres'
import { Client } from 'pg'
import { afterEach, beforeAll, expect, inject, test } from 'vitest'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { makeScratch, until } from '../../packages/server/src/testing/processes.ts'
import { createCertificate } from './certificate.ts'
import { startStandby } from './standby.ts'

let database: TestDatabase
const cleanups: (() => unknown)[] = []
beforeAll(async () => {
  database = await createTestDatabase()
  return () => database[Symbol.asyncDispose]()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

interface Fixture {
  readonly link: Link<PostgresPool>
  readonly ctx: Ctx
  /** Rows of a statement on the link. */
  rows<Row = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>
}

async function openLink(options: PostgresOptions = {}, guarantees: Partial<GuaranteesInput> = {}): Promise<Fixture> {
  const mesh = new Mesh(createEnv())
  const ctx = background(mesh.env)
  const link = mesh.link('postgres.main', createPostgresAdapter({ url: database.url, size: 4, ...options }), {
    deadlineMs: 5_000,
    bulkhead: { concurrent: 4, queue: 64 },
    ...guarantees,
  })
  cleanups.push(() => mesh.drain(ctx.within(1_000)))
  link.start()
  await link.whenUp(ctx.within(5_000))
  return {
    link,
    ctx,
    rows: async (text, values) => (await link.call(ctx, (pg, call) => pg.query(call, text, values))).rows as never,
  }
}

async function admin(text: string, url = inject('postgres').adminUrl): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

/** A word to find a statement by in pg_stat_activity. */
const tag = (): string => `tag_${randomBytes(6).toString('hex')}`
const running = (word: string): Promise<Record<string, unknown>[]> =>
  admin(
    `select pid, state from pg_stat_activity where query like '%${word}%' and pid <> pg_backend_pid() and state <> 'idle'`,
  )

test('L6: a statement that missed its deadline no longer runs at the server, and its connection is used again', async () => {
  const { link, ctx, rows } = await openLink({ size: 1 })
  const [{ pid }] = (await rows('select pg_backend_pid() as pid')) as [{ pid: number }]
  const word = tag()
  const call = link.call(ctx, (pg, call) => pg.query(call, `select pg_sleep(60) as ${word}`), { deadlineMs: 200 })
  await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
  await until('the server has stopped it', async () => (await running(word)).length === 0, 2_000)
  expect(await rows('select pg_backend_pid() as pid')).toEqual([{ pid }])
  expect(link.state).toBe('up')
})

test('L6: a deadline inside a transaction rolls it back, frees its locks and keeps its connection', async () => {
  const { link, ctx, rows } = await openLink({ size: 1 })
  await rows('create table locked (n int)')
  await rows('insert into locked values (0)')
  const [{ pid }] = (await rows('select pg_backend_pid() as pid')) as [{ pid: number }]
  const call = link.call(
    ctx,
    (pg, call) =>
      pg.transaction(call, async (tx) => {
        await tx.query(call, 'update locked set n = n + 1')
        await tx.query(call, 'select pg_sleep(60)')
      }),
    { deadlineMs: 200 },
  )
  await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  expect(await rows('update locked set n = n + 10 returning n, pg_backend_pid() as pid')).toEqual([{ n: 10, pid }])
})

test('a COMMIT whose answer is lost is reported as sent maybe, one that never went out as sent no', async () => {
  const server = new URL(database.url)
  const proxy = await startFaultProxy({ upstream: { host: server.hostname, port: Number(server.port) } })
  cleanups.push(() => proxy[Symbol.asyncDispose]())
  const { link, ctx, rows } = await openLink({ url: proxy.through(database.url), size: 1 })
  await rows('create table deferred (id int)')
  await rows(
    `create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.4); return null; end'`,
  )
  await rows(
    'create constraint trigger slow after insert on deferred deferrable initially deferred for each row execute function slow()',
  )
  const committing = link.call(ctx, (pg, call) =>
    pg.transaction(call, (tx) => tx.query(call, 'insert into deferred values (1)')),
  )
  await until('it commits', async () => (await running('commit')).length > 0)
  proxy.drop('reset')
  await expect(committing).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  await link.whenUp(ctx.within(5_000))
  const word = tag()
  const working = link.call(ctx, (pg, call) =>
    pg.transaction(call, (tx) => tx.query(call, `select pg_sleep(30) as ${word}`)),
  )
  await until('it works', async () => (await running(word)).length > 0)
  proxy.drop('reset')
  await expect(working).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'no' })
})

test('a serialization failure is sent no, so the link tries the transaction again though it is not idempotent', async () => {
  const { link, ctx, rows } = await openLink({}, { retry: { attempts: 3, baseMs: 1, capMs: 5 } })
  await rows('create table tallies (n int)')
  await rows('insert into tallies values (0)')
  let attempts = 0
  await link.call(ctx, (pg, call) =>
    pg.transaction(call, async (tx) => {
      await tx.query(call, 'set transaction isolation level repeatable read')
      const before = (await tx.query<{ n: number }>(call, 'select n from tallies')).rows[0]?.n ?? 0
      if (++attempts === 1) await admin('update tallies set n = n + 100', database.url)
      await tx.query(call, 'update tallies set n = $1', [before + 1])
    }),
  )
  expect(attempts).toBe(2)
  expect(await rows('select n from tallies')).toEqual([{ n: 101 }])
})

test('a backend that is terminated fails its statement alone, and the next call has a connection', async () => {
  const { link, ctx, rows } = await openLink({ size: 2 })
  const { generation } = link.snapshot()
  const word = tag()
  const call = link.call(ctx, (pg, call) => pg.query(call, `select pg_sleep(30) as ${word}`))
  const failed = expect(call).rejects.toMatchObject({
    code: 'LINK_LOST',
    sent: 'maybe',
    details: { sqlState: '57P01' },
  })
  await until('it runs', async () => (await running(word)).length > 0)
  const [{ pid } = { pid: 0 }] = await running(word)
  await admin(`select pg_terminate_backend(${pid})`)
  await failed
  expect(await rows('select 1 as one')).toEqual([{ one: 1 }])
  expect(link.snapshot().generation).toBe(generation)
})

test('statement_timeout and idle_in_transaction_session_timeout reach the server', async () => {
  const { link, ctx, rows } = await openLink({ statementTimeoutMs: 300, idleInTransactionTimeoutMs: 250 })
  expect(await rows('show idle_in_transaction_session_timeout')).toEqual([
    { idle_in_transaction_session_timeout: '250ms' },
  ])
  await expect(rows('select pg_sleep(30)')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
  const idle = link.call(ctx, (pg, call) =>
    pg.transaction(call, async (tx) => {
      const [{ pid } = { pid: 0 }] = (await tx.query<{ pid: number }>(call, 'select pg_backend_pid() as pid')).rows
      await until(
        'the server ended it',
        async () => (await admin(`select 1 from pg_stat_activity where pid = ${pid}`)).length === 0,
      )
      await tx.query(call, 'select 1')
    }),
  )
  await expect(idle).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'no' })
})

test('L10: renewal under load replaces every connection and fails no call', async () => {
  const name = `renew_${tag()}`
  const { link, ctx } = await openLink({ size: 3, maxAgeMs: 0, applicationName: name })
  const pids = async (): Promise<unknown[]> =>
    (await admin(`select pid from pg_stat_activity where application_name = '${name}'`)).map(({ pid }) => pid)
  const load = (): Promise<unknown> => link.call(ctx, (pg, call) => pg.query(call, 'select pg_sleep(0.02)'))
  await until('all slots are open', async () => {
    await Promise.all([load(), load(), load()])
    return (await pids()).length === 4
  })
  const before = await pids()
  let failed = 0
  const calls: Promise<unknown>[] = []
  const timer = setInterval(() => calls.push(load().catch(() => failed++)), 10)
  link.renew()
  await until('all are new', async () => !(await pids()).some((pid) => before.includes(pid)), 15_000)
  clearInterval(timer)
  await Promise.all(calls)
  expect(failed).toBe(0)
  expect((await pids()).length).toBeLessThanOrEqual(4)
  expect(link.snapshot()).toMatchObject({ generation: 1, state: 'up' })
})

test('drained, no connection is left at the server', async () => {
  const name = `drain_${tag()}`
  const { link, ctx, rows } = await openLink({ applicationName: name })
  await rows('select 1')
  const count = async (): Promise<number> =>
    (await admin(`select 1 from pg_stat_activity where application_name = '${name}'`)).length
  expect(await count()).toBe(2)
  await link.drain(ctx.within(500))
  await until('they are gone', async () => (await count()) === 0)
})

test('max connections reached: a pool shares what it has, a link without any waits for one and comes up', async () => {
  await using cluster = await startTestCluster({
    settings: { max_connections: 6, superuser_reserved_connections: 2, reserved_connections: 0, max_wal_senders: 0 },
  })
  const { link, ctx } = await openLink({ url: cluster.url, size: 10 }, { bulkhead: { concurrent: 10, queue: 64 } })
  const call = (): Promise<unknown> => link.call(ctx, (pg, call) => pg.query(call, 'select pg_sleep(0.02)'))
  // A connection that takes long to open may miss the first calls: they go on until the pool has what there is.
  await until('it holds all it can get', async () => {
    await Promise.all(Array.from({ length: 30 }, call))
    return link.snapshot().pool?.size === 3
  })
  expect(link.snapshot().pool).toEqual({ size: 3, inUse: 0, waiting: 0 }) // four in all, one for probes

  const mesh = new Mesh(createEnv())
  const second = mesh.link('postgres.second', createPostgresAdapter({ url: cluster.url }), { deadlineMs: 1_000 })
  cleanups.push(() => mesh.drain(ctx.within(500)))
  second.start()
  await until('it has been refused', () => second.snapshot().why?.includes('53300'))
  await expect(second.call(ctx, (pg, call) => pg.query(call, 'select 1'))).rejects.toMatchObject({
    code: 'LINK_DOWN',
    sent: 'no',
  })
  await link.drain(ctx.within(1_000))
  await second.whenUp(ctx.within(4_000))
})

test('of several hosts the writable one is used, and after a failover the new primary', async () => {
  await using primary = await startTestCluster()
  await using standby = await startStandby()
  const { username, password, pathname } = new URL(primary.url)
  // One login for both: each cluster has its own random password.
  await admin(`alter role ripstop password '${new URL(standby.url).password}'`, primary.superuserUrl)
  const hosts = [standby.port, primary.port].map((port) => ({ host: '127.0.0.1', port }))
  expect(password).not.toBe('')
  const { link, ctx, rows } = await openLink({
    url: `postgres://${username}:${new URL(standby.url).password}@x${pathname}`,
    hosts,
  })
  const port = async (): Promise<unknown> =>
    (await rows<{ port: string }>('select current_setting($1) as port', ['port']))[0]?.port
  expect(await port()).toBe(String(primary.port))
  await primary.kill('SIGKILL')
  await until('it is down', () => link.state !== 'up')
  await until('it saw the standby', () => link.snapshot().why?.includes('standby'))
  await standby.promote()
  await link.whenUp(ctx.within(6_000))
  expect(await port()).toBe(String(standby.port))
}, 60_000)

test('a primary that comes back as a standby under the same address is not up', async () => {
  await using primary = await startTestCluster()
  await using standby = await startStandby()
  await admin(`alter role ripstop password '${new URL(standby.url).password}'`, primary.superuserUrl)
  await using proxy = await startFaultProxy({ upstream: { host: '127.0.0.1', port: primary.port } })
  const { link, ctx } = await openLink({ url: proxy.through(standby.url) })
  await proxy.configure({ upstream: { host: '127.0.0.1', port: standby.port } })
  await until('its role is seen', () => link.snapshot().why?.includes('standby'))
  expect(link.state).not.toBe('up')
  await expect(link.call(ctx, (pg, call) => pg.query(call, 'select 1'))).rejects.toMatchObject({ code: 'LINK_DOWN' })
  await standby.promote()
  await link.whenUp(ctx.within(6_000))
}, 60_000)

test('over TLS, calls and cancels work, and a certificate that nobody vouches for is refused', async (context) => {
  await using scratch = await makeScratch()
  const certificate = await createCertificate(scratch.path)
  if (certificate === undefined) return context.skip('there is no openssl')
  const { keyFile, certificateFile, ca } = certificate
  await using user = await startTestCluster() // shows as whom servers run here: they take only a key of their own
  const { uid, gid } = await stat(`/proc/${user.pid}`)
  if (process.getuid?.() === 0) await chown(keyFile, uid, gid)
  const settings = { ssl: 'on', ssl_cert_file: certificateFile, ssl_key_file: keyFile }
  await using cluster = await startTestCluster({ settings })
  const { link, ctx, rows } = await openLink({ url: cluster.url, ssl: { ca }, size: 1 })
  const encrypted = 'select ssl, pid from pg_stat_ssl where pid = pg_backend_pid()'
  const [before] = await rows(encrypted)
  expect(before).toMatchObject({ ssl: true })
  const late = link.call(ctx, (pg, call) => pg.query(call, 'select pg_sleep(60)'), { deadlineMs: 200 })
  await expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  expect(await rows(encrypted)).toEqual([before]) // the same connection: the cancel was confirmed over TLS

  const mesh = new Mesh(createEnv())
  const strict = mesh.link('postgres.strict', createPostgresAdapter({ url: `${cluster.url}?sslmode=verify-full` }), {
    deadlineMs: 1_000,
  })
  cleanups.push(() => mesh.drain(ctx.within(500)))
  strict.start()
  await until('it is refused', () => strict.snapshot().why?.includes('certificate'))
}, 60_000)
