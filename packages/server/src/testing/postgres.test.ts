import { Client } from 'pg'
import { expect, test, vi } from 'vitest'
import { isProcessAlive } from '../platform/postgres/embedded-binaries.ts'
import { createTestDatabase, startTestCluster, startTestPostgres } from './postgres.ts'
import { childrenOf } from './processes.ts'

async function ask(url: string, text: string): Promise<unknown> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 500 })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query(text)
    return rows[0]?.answer
  } finally {
    await client.end()
  }
}

test('each test database is fresh, is owned by the role that connects, and goes with its disposal', async () => {
  await using one = await createTestDatabase()
  const two = await createTestDatabase()
  await ask(one.url, 'create table mark (id int)')
  expect(await ask(two.url, `select to_regclass('mark') as answer`)).toBe(null)
  expect(await ask(one.url, `select to_regclass('mark')::text as answer`)).toBe('mark')
  await two[Symbol.asyncDispose]()
  await expect(ask(two.url, 'select 1')).rejects.toThrow('does not exist')
})

test('a test cluster can be frozen, killed and restarted on its port with what it acknowledged', async () => {
  const cluster = await startTestCluster()
  const first = cluster.pid
  await ask(cluster.url, 'create table mark as select 7 as id')

  await cluster.kill('SIGSTOP')
  await expect(ask(cluster.url, 'select 1 as answer')).rejects.toThrow('timeout')
  await cluster.kill('SIGCONT')
  expect(await ask(cluster.url, 'select 1 as answer')).toBe(1)

  const children = await childrenOf(first)
  expect(children.length).toBeGreaterThan(3)
  await cluster.kill('SIGKILL')
  for (const pid of [first, ...children]) expect(await isProcessAlive(pid)).toBe(false)
  await expect(ask(cluster.url, 'select 1')).rejects.toThrow('ECONNREFUSED')
  await cluster.restart()
  expect(cluster.pid).not.toBe(first)
  expect(await ask(cluster.url, 'select id as answer from mark')).toBe(7)

  const last = cluster.pid
  await cluster.kill('SIGSTOP')
  await cluster[Symbol.asyncDispose]() // a frozen one too
  expect(await isProcessAlive(last)).toBe(false)
})

test('a test run uses the server of DATABASE_URL_TEST, prepares its template, and leaves nothing on it', async () => {
  await using cluster = await startTestCluster()
  vi.stubEnv('DATABASE_URL_TEST', cluster.superuserUrl)
  try {
    const prepareTemplate = vi.fn(
      async (url: string) => void (await ask(url, 'create table migrated as select 1 as id')),
    )
    const run = await startTestPostgres({ prepareTemplate })
    expect(run).toMatchObject({ adminUrl: cluster.superuserUrl, ownerUrl: cluster.superuserUrl })
    expect(prepareTemplate).toHaveBeenCalledOnce()
    const url = prepareTemplate.mock.calls[0]?.[0] ?? ''
    expect(await ask(url, 'select id as answer from migrated')).toBe(1)
    await run[Symbol.asyncDispose]()
    expect(
      await ask(cluster.superuserUrl, `select count(*)::int as answer from pg_database where datname like 'ripstop_%'`),
    ).toBe(0)
  } finally {
    vi.unstubAllEnvs()
  }
})
