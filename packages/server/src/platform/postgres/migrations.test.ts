import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasCode, type RipstopError } from '@ripstop/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../../testing/postgres.ts'
import { until } from '../../testing/processes.ts'
import { migrate, readMigrationStatus } from './migrations.ts'
import { readMigrations } from './migrations-files.ts'
import { startMigrations } from './start.ts'

const OWN = join(import.meta.dirname, '..', '..', '..', 'migrations')
const run = promisify(execFile)

let database: TestDatabase
let mesh: TestMesh
let scratch: string

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  scratch = await mkdtemp(join(tmpdir(), 'ripstop-migrations-'))
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
  await rm(scratch, { recursive: true, force: true })
})

/** An empty database and a copy of our migrations that a test may change. */
async function startAnew(name: string): Promise<string> {
  await mesh.query('drop schema if exists ripstop cascade')
  const directory = join(scratch, name)
  await cp(OWN, directory, { recursive: true })
  return directory
}

const apply = (directory: string) => migrate(mesh.ctx.within(20_000), { link: mesh.link, log: mesh.log, directory })
const status = (directory: string) => readMigrationStatus(mesh.ctx.within(5_000), { link: mesh.link, directory })
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error as RipstopError,
  )

describe('migrations', () => {
  test('an empty database is brought up to date, and a second run changes nothing', async () => {
    const directory = await startAnew('plain')
    expect(await status(directory)).toMatchObject({ state: 'pending', version: undefined })
    await apply(directory)
    const files = await readdir(directory)
    const [before] = await mesh.query<{ rows: string }>('select json_agg(m)::text as rows from ripstop.migrations m')
    await apply(directory)
    expect(await mesh.query('select json_agg(m)::text as rows from ripstop.migrations m')).toEqual([before])
    expect(await status(directory)).toEqual({
      state: 'current',
      version: files.length,
      newest: files.length,
      problems: [],
    })
  })

  test('MG1: four processes that start at once on an empty database all succeed, and apply every step once', {
    timeout: 60_000,
  }, async () => {
    await startAnew('four')
    const program = join(import.meta.dirname, 'migrations-process.fixture.ts')
    const starts = Array.from({ length: 4 }, () => run(process.execPath, [program, database.url], { timeout: 50_000 }))
    const applied = (await Promise.all(starts)).flatMap(({ stdout }) => JSON.parse(stdout) as number[])
    const versions = (await readMigrations()).map(({ version }) => version)
    expect(applied.toSorted((a, b) => a - b)).toEqual(versions)
    expect(await status(OWN)).toMatchObject({ state: 'current', problems: [] })
  })

  test('MG2: a step that fails leaves nothing behind, names itself, and the steps before it stay', async () => {
    const directory = await startAnew('failing')
    await writeFile(
      join(directory, '0099-broken.sql'),
      'create table ripstop.half (id int); select no_such_function();',
    )
    const error = await failure(apply(directory))
    expect([error?.code, error?.message]).toEqual([
      'MIGRATION_FAILED',
      'migration 99 (broken): function no_such_function() does not exist',
    ])
    expect(await mesh.query(`select to_regclass('ripstop.half') as half`)).toEqual([{ half: null }])
    expect(await status(OWN)).toMatchObject({ state: 'current', problems: [] })
  })

  test('MG3: a changed, a missing and an overtaken file are named, together, and nothing is applied', async () => {
    const directory = await startAnew('files')
    await apply(directory)
    await writeFile(join(directory, '0002-audit-log.sql'), 'select 1;')
    await rm(join(directory, '0003-idempotency.sql'))
    await writeFile(join(directory, '9000-later.sql'), 'create table ripstop.later (id int);')
    const problems = [
      'migration 2 (audit-log) was changed after it was applied',
      'migration 3 (idempotency) was applied, but its file is missing',
    ]
    const error = await failure(apply(directory))
    expect([error?.code, error?.details.problems]).toEqual(['MIGRATION_DRIFT', problems])
    expect(await status(directory)).toMatchObject({ state: 'drifted', problems })
    expect(await mesh.query(`select to_regclass('ripstop.later') as later`)).toEqual([{ later: null }])

    const overtaken = join(scratch, 'overtaken')
    await cp(OWN, overtaken, { recursive: true })
    await rename(join(overtaken, '0003-idempotency.sql'), join(overtaken, '9000-idempotency.sql'))
    await mesh.query('update ripstop.migrations set version = 9000 where version = 3')
    await writeFile(join(overtaken, '0003-new.sql'), 'select 1;')
    expect((await failure(apply(overtaken)))?.message).toBe(
      'migration 3 (new) appeared after migration 9000 was applied',
    )
  })

  test('MG3: line ends of another system are no change', async () => {
    const directory = await startAnew('lines')
    await apply(directory)
    const [first] = await readMigrations(directory)
    await writeFile(join(directory, '0001-access.sql'), first?.sql.replaceAll('\n', '\r\n') ?? '')
    await apply(directory)
  })

  test('MG3: what is missing or different in the database is named, and stops further steps', async () => {
    const directory = await startAnew('catalog')
    await apply(directory)
    await mesh.query(`
      alter table ripstop.api_keys drop column last_used_at;
      alter table ripstop.api_keys alter column name type varchar(100);
      alter table ripstop.api_keys alter column prefix drop not null;
      drop index ripstop.audit_log_at;
      alter table ripstop.audit_log disable trigger keep_rows;
      drop table ripstop.leases;
      create index by_hand on ripstop.tenants (created_at)`)
    const problems = [
      'table ripstop.leases is missing',
      'column ripstop.api_keys.last_used_at is missing',
      'column ripstop.api_keys.name is "character varying(100) not null", was "text not null"',
      'column ripstop.api_keys.prefix is "text", was "text not null"',
      'index ripstop.audit_log.audit_log_at is missing',
      expect.stringMatching(/^trigger ripstop.audit_log.keep_rows is "D /),
    ]
    expect((await status(directory)).problems).toEqual([...problems, 'index ripstop.tenants.by_hand is unexpected'])
    expect((await status(directory)).state).toBe('drifted')
    await writeFile(join(directory, '9000-later.sql'), 'create table ripstop.later (id int);')
    const error = await failure(apply(directory))
    expect([error?.code, error?.details.problems]).toEqual(['MIGRATION_DRIFT', problems])
  })

  test('MG3: an index that somebody added is told of and stops nothing', async () => {
    const directory = await startAnew('added')
    await apply(directory)
    await mesh.query('create index by_hand on ripstop.tenants (created_at)')
    expect(await status(directory)).toMatchObject({
      state: 'current',
      problems: ['index ripstop.tenants.by_hand is unexpected'],
    })
    await writeFile(join(directory, '9000-later.sql'), 'create table ripstop.later (id int);')
    await apply(directory)
    expect(await status(directory)).toMatchObject({ state: 'current', problems: [] })
  })

  test('MG3: a binary that is older than the database is refused, by number', async () => {
    const directory = await startAnew('old')
    await writeFile(join(directory, '0099-new.sql'), 'create table ripstop.newer (id int);')
    await apply(directory)
    const error = await failure(apply(OWN))
    expect(error?.code).toBe('SCHEMA_TOO_NEW')
    expect(error?.message).toMatch(/^the database is at migration 99, this binary only knows \d+$/)
    expect((await status(OWN)).state).toBe('too_new')
  })

  test('files whose names make no order are refused', async () => {
    const directory = await startAnew('names')
    await writeFile(join(directory, '0001-again.sql'), 'select 1;')
    expect((await failure(readMigrations(directory)))?.message).toBe(
      'migrations access and again have the same number 1',
    )
    await rm(join(directory, '0001-again.sql'))
    await writeFile(join(directory, '5-short.sql'), 'select 1;')
    expect((await failure(readMigrations(directory)))?.message).toBe(
      'migration file 5-short.sql is not named NNNN-name.sql',
    )
  })

  test('a lock that another process keeps is waited for no longer than its ctx', async () => {
    const directory = await startAnew('locked')
    const release = Promise.withResolvers<void>()
    const taken = Promise.withResolvers<void>()
    const holder = mesh.link.call(mesh.ctx, (pool, ctx) =>
      pool.transaction(ctx, async (tx) => {
        await tx.query(ctx, 'select pg_advisory_xact_lock($1)', [0x52495053])
        taken.resolve()
        await release.promise
      }),
    )
    await taken.promise
    const given = mesh.ctx.within(300)
    const error = await failure(migrate(given, { link: mesh.link, log: mesh.log, directory }))
    expect(error?.code).toBe('DEADLINE_EXCEEDED')
    release.resolve()
    await holder
    await apply(directory)
  })

  test('a database that comes late is migrated when it is there; giving up before that ends at once', {
    timeout: 60_000,
  }, async () => {
    await using cluster = await startTestCluster()
    await cluster.kill('SIGKILL')
    await using late = await startTestMesh(cluster.url, { wait: false })
    const migrations = startMigrations({ env: late.env, log: late.log, postgres: late.postgres })
    const impatient = startMigrations({ env: late.env, log: late.log, postgres: late.postgres })
    expect(migrations.status().state).toBe('unknown')
    await until('the link has failed once', () => late.link.state === 'down')
    await impatient[Symbol.asyncDispose]()
    expect(hasCode(await failure(impatient.done), 'CANCELLED')).toBe(true)
    await cluster.restart()
    await migrations.done
    expect(migrations.status()).toMatchObject({ state: 'current', problems: [] })
  })
})
