import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createAccessUpkeep, DEFAULT_TENANT_ID } from '#access'
import { expireIdempotency } from '#platform/postgres'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startUpkeep, type UpkeepTask } from './start.ts'

const DAY_MS = 86_400_000
const IDEMPOTENCY: UpkeepTask = { name: 'idempotency', everyMs: 20, batch: expireIdempotency }
const soon = (tasks: readonly UpkeepTask[]): readonly UpkeepTask[] => tasks.map((task) => ({ ...task, everyMs: 20 }))

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await mesh.query('delete from ripstop.idempotency')
  await mesh.query('delete from ripstop.api_keys')
  mesh.log.lines.length = 0
})

const start = (tasks: readonly UpkeepTask[], on = mesh, batchMax = 100) =>
  startUpkeep({ env: on.env, link: on.link, log: on.log, tasks, batchMax })
const count = async (table: string, where = 'true') =>
  (await mesh.query<{ count: number }>(`select count(*)::int as count from ${table} where ${where}`))[0]?.count

async function addRecords(rows: number, expires: string): Promise<void> {
  await mesh.query(
    `insert into ripstop.idempotency (tenant_id, idempotency_key, claim_id, request_sha256, response, expires_at)
     select $1, gen_random_uuid()::text, gen_random_uuid(), '', 'null', now() + $3::interval from generate_series(1, $2)`,
    [DEFAULT_TENANT_ID, rows, expires],
  )
}

describe('upkeep', () => {
  test('UP2: what is over goes, batch by batch; what is not stays', async () => {
    await addRecords(950, '-1 second')
    await addRecords(7, '1 hour')
    await using _ = start([IDEMPOTENCY])
    await until('all that is over is gone', async () => (await count('ripstop.idempotency')) === 7)
    await until('it is told', () => mesh.log.lines.length > 0)
    const told = mesh.log.lines.map(({ rows }) => rows as number)
    expect(told.reduce((sum, rows) => sum + rows, 0)).toBe(950)
  })

  test('UP1: two processes with the same tasks delete everything once between them', async () => {
    await using second = await startTestMesh(database.url)
    await mesh.query('create table if not exists deletions (at timestamptz)')
    await mesh.query(`create or replace function count_deletion() returns trigger language plpgsql as $$
      begin insert into deletions values (now()); return old; end $$`)
    await mesh.query(
      `create or replace trigger counted after delete on ripstop.idempotency for each row execute function count_deletion()`,
    )
    await addRecords(500, '-1 second')
    await using _first = start([IDEMPOTENCY])
    await using _second = start([IDEMPOTENCY], second)
    await until('all is gone', async () => (await count('ripstop.idempotency')) === 0)
    expect(await count('deletions')).toBe(500)
    await mesh.query('drop trigger counted on ripstop.idempotency')
  })

  test('audit lines and keys go when their retention is over, and not before', async () => {
    const key = (ended: string) =>
      mesh.query(
        `insert into ripstop.api_keys (key_id, tenant_id, name, prefix, secret_sha256, scopes, created_at, revoked_at, expires_at)
         values ($1, $2, 'x', 'x', sha256(gen_random_uuid()::text::bytea), '{}', now(), ${ended})`,
        [createId(mesh.env.clock.wallMs()), DEFAULT_TENANT_ID],
      )
    await key(`now() - interval '91 days', null`)
    await key(`null, now() - interval '91 days'`)
    await key(`now() - interval '89 days', null`)
    await key('null, null')
    const line = `insert into ripstop.audit_log (tenant_id, at, actor, action, resource, outcome)
      values ($1, now() - $2::interval, 'cli', 'test', 'x', 'done')`
    for (const age of ['30 days', '11 days', '9 days', '0 days']) await mesh.query(line, [DEFAULT_TENANT_ID, age])
    await using _ = start(soon(createAccessUpkeep({ auditMs: 10 * DAY_MS })))
    await until('old lines are gone', async () => (await count('ripstop.audit_log', `action = 'test'`)) === 2)
    await until('old keys are gone', async () => (await count('ripstop.api_keys')) === 2)
  })

  test('UP3: without its database it goes on trying, ends at once when told, and works again', {
    timeout: 60_000,
  }, async () => {
    await using cluster = await startTestCluster()
    await using broken = await startTestMesh(cluster.url)
    const upkeep = start([IDEMPOTENCY], broken) // the schema is not there either
    await until('a turn failed', () => broken.log.lines.some(({ event }) => event === 'upkeep.failed'))
    await cluster.kill('SIGKILL')
    broken.log.lines.length = 0
    await until('turns fail for another reason', () => broken.log.lines.some(({ code }) => code !== 'INTERNAL'))
    await upkeep[Symbol.asyncDispose]()
    const told = broken.log.lines.length
    await cluster.restart()
    await until('the link is up', () => broken.link.state === 'up')
    expect(broken.log.lines).toHaveLength(told)
  })

  test('UP3: a task that fails holds up no other', async () => {
    await addRecords(10, '-1 second')
    const failing: UpkeepTask = {
      name: 'failing',
      everyMs: 20,
      batch: () => ({ text: 'select no_such_thing() from held', values: [] }),
    }
    await using _ = start([failing, IDEMPOTENCY])
    await until('the other is done', async () => (await count('ripstop.idempotency')) === 0)
    await until('the failure is told', () => mesh.log.lines.some(({ task }) => task === 'failing'))
  })
})
