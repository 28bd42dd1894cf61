// Real Postgres for tests: one for the whole run with a fresh database a test file, and own ones to be killed.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { background, createEnv } from '@ripstop/kernel'
import { Client } from 'pg'
import { inject } from 'vitest'
import { isProcessAlive, sendSignal } from '../platform/postgres/embedded-binaries.ts'
import {
  type EmbeddedPostgres,
  type PostgresSettings,
  startEmbeddedPostgres,
} from '../platform/postgres/embedded-cluster.ts'
import { childrenOf, makeScratch, until } from './processes.ts'

/** What workers of a test run are told by its global setup. */
export interface ProvidedPostgres {
  /** May create databases. */
  readonly adminUrl: string
  /** Owns the test databases, and is no superuser if that could be helped. */
  readonly ownerUrl: string
  readonly template: string
}

declare module 'vitest' {
  interface ProvidedContext {
    readonly postgres: ProvidedPostgres
  }
}

export interface TestPostgres extends ProvidedPostgres, AsyncDisposable {}

export interface TestPostgresOptions {
  /** Runs once, on the database that every test database is copied from: the place for migrations. */
  readonly prepareTemplate?: (url: string) => Promise<void>
}

const FAST: PostgresSettings = { fsync: 'off', full_page_writes: 'off', autovacuum_naptime: '1h' }

/** One server for a test run: that of DATABASE_URL_TEST, else an embedded one that forgets everything. */
export async function startTestPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  await using starting = new AsyncDisposableStack()
  const external = process.env.DATABASE_URL_TEST
  const cluster = external === undefined ? starting.use(await startTestCluster()) : undefined
  const adminUrl = cluster?.superuserUrl ?? external ?? ''
  const ownerUrl = cluster?.url ?? external ?? ''
  const template = `ripstop_template_${randomBytes(6).toString('hex')}`
  await query(adminUrl, `CREATE DATABASE ${template} OWNER "${userOf(ownerUrl)}"`)
  starting.defer(() => query(adminUrl, `DROP DATABASE IF EXISTS ${template} WITH (FORCE)`))
  await options.prepareTemplate?.(withDatabase(ownerUrl, template))
  const owned = starting.move()
  return { adminUrl, ownerUrl, template, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export interface TestDatabase extends AsyncDisposable {
  readonly url: string
}

/** A fresh copy of the template, for one test file. Needs the run's global setup. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { adminUrl, ownerUrl, template } = inject('postgres')
  const name = `ripstop_test_${randomBytes(6).toString('hex')}`
  await query(adminUrl, `CREATE DATABASE ${name} TEMPLATE ${template} OWNER "${userOf(ownerUrl)}"`)
  const drop = () => query(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  return { url: withDatabase(ownerUrl, name), [Symbol.asyncDispose]: drop }
}

function userOf(url: string): string {
  return decodeURIComponent(new URL(url).username)
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

async function query(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

export interface TestClusterOptions {
  readonly settings?: PostgresSettings
}

/** A server of one test, to be broken. Nobody supervises it. */
export interface TestCluster extends AsyncDisposable {
  /** Role and database `ripstop`, no superuser. The port stays the same over restarts. */
  readonly url: string
  readonly superuserUrl: string
  readonly port: number
  readonly pid: number
  /** SIGSTOP and SIGCONT reach every process of the server; after any other it resolves once all are gone (SIGTERM waits for clients). */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Starts it again, after ending it if it still runs. */
  restart(): Promise<void>
}

export async function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  await using starting = new AsyncDisposableStack()
  const scratch = starting.use(await makeScratch())
  const env = createEnv()
  const ctx = background(env)
  const settings = { ...FAST, ...options.settings }
  const log = { info: () => {}, warn: () => {} }
  const start = () => startEmbeddedPostgres(ctx, { stateDir: join(scratch.path, 'state'), env, log, settings })
  let server = await start()
  starting.defer(() => end(server, 'SIGQUIT'))
  const restart = async () => {
    const { port } = server
    await end(server, 'SIGQUIT')
    server = await until(`port ${port} is free again`, async () => {
      const restarted = await start()
      if (restarted.port === port) return restarted
      await end(restarted, 'SIGQUIT')
      return undefined
    })
  }
  const owned = starting.move()
  return {
    url: server.url,
    superuserUrl: server.superuserUrl,
    port: server.port,
    get pid() {
      return server.pid
    },
    kill: (signal) => (signal === 'SIGSTOP' || signal === 'SIGCONT' ? freeze(server, signal) : end(server, signal)),
    restart,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Every connection has a process of its own, which a stop of the parent alone would not touch. */
async function freeze({ pid }: EmbeddedPostgres, signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  sendSignal(pid, signal)
  for (const child of await childrenOf(pid)) sendSignal(child, signal)
}

async function end(server: EmbeddedPostgres, signal: NodeJS.Signals): Promise<void> {
  const children = await childrenOf(server.pid)
  sendSignal(server.pid, signal)
  for (const pid of [server.pid, ...children]) sendSignal(pid, 'SIGCONT')
  await server.exited
  await until('the processes of the server are gone', async () => {
    const alive = await Promise.all(children.map(isProcessAlive))
    return !alive.includes(true)
  })
}
