import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { createFakeConsumer, FAKE_TABLES, type FakeConsumerOptions, ORPHANS } from './consumer.fixture.ts'
import { startOutbox } from './outbox.ts'
import { moveOutbox } from './outbox-store.ts'

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  for (const statement of FAKE_TABLES.split(';')) await mesh.query(statement)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  for (const table of [
    'ripstop.events',
    'ripstop.event_keys',
    'fake_deliveries',
    'ripstop.outbox',
    'ripstop.rejected_events',
  ])
    await mesh.query(`delete from ${table}`)
})

function start(options: FakeConsumerOptions = {}, page = 500, owner?: string): AsyncDisposable {
  const { env, link, log } = mesh
  const consumers = [createFakeConsumer(link, options)]
  const named = owner === undefined ? {} : { owner }
  return startOutbox({
    env,
    log,
    metrics: mesh.mesh.metrics,
    link,
    consumers,
    leaseMs: 1_000,
    page,
    eventBytesMax: BYTES_MAX,
    ...named,
  })
}

const BYTES_MAX = 20_000

const publish = (event: unknown, tenant: string | null = null) =>
  mesh.query('select ripstop.publish($1::jsonb, $2)', [JSON.stringify(event), tenant])

async function isEmpty(): Promise<boolean> {
  return (await mesh.query('select 1 from ripstop.outbox limit 1')).length === 0
}

const dataInOrder = async (): Promise<unknown[]> =>
  (await mesh.query<{ body: Buffer }>('select body from ripstop.events order by event_id')).map(
    ({ body }) => JSON.parse(String(body)).data,
  )

describe('the outbox', () => {
  test('OB1, OB2: what was published in a transaction becomes events in order, with deliveries; what was rolled back does not', async () => {
    await using _ = start({}, 7)
    for (let n = 0; n < 20; n++) await publish({ type: 'n', data: n, source: '/db', id: `n-${n}` })
    const rolledBack = mesh.link.call(mesh.ctx, (pool, ctx) =>
      pool.transaction(ctx, async (tx) => {
        await tx.query(ctx, `select ripstop.publish('{"type":"never"}')`)
        throw new Error('rolled back')
      }),
    )
    await expect(rolledBack).rejects.toThrow('rolled back')
    await publish({ type: 'n', data: 'again', source: '/db', id: 'n-3' })
    await publish({ type: 'n', data: 20 })
    await until('it is moved', isEmpty)
    expect(await dataInOrder()).toEqual(Array.from({ length: 21 }, (_, n) => n))
    expect(await mesh.query(ORPHANS)).toEqual([])
    const [told] = await mesh.query<{ events: number }>(
      `select sum((details ->> 'events')::integer)::integer as events from ripstop.audit_log where actor = 'outbox'`,
    )
    expect(told?.events).toBe(21)
  })

  test('OB1, OB3: what is no event is rejected with the reason, wherever it stands, and holds up nothing', async () => {
    await mesh.query(
      `insert into ripstop.tenants (tenant_id, name) values (gen_random_uuid(), 'acme') on conflict do nothing`,
    )
    await publish({ type: 'ok', data: 0 })
    await publish(null)
    await publish({ type: 5 })
    await publish({ type: 'ok', data: 1 }, 'acme')
    await publish({ type: 'ok' }, 'nobody')
    await publish({ type: 'large', data: 'x'.repeat(BYTES_MAX) })
    await publish({ type: 'huge', data: 'x'.repeat(1_100_000) })
    await publish({ type: 'poison' })
    await publish({ type: 'broken' })
    await publish({ type: 'ok', data: 2 })
    await mesh.query('alter table fake_deliveries add constraint small check (target < 10)')
    const targets = ({ type }: { type: string }): number => {
      if (type === 'broken') throw new TypeError('a defect')
      return type === 'poison' ? 11 : 1
    }
    await using _ = start({ targets })
    await until('it is moved', isEmpty)
    expect((await dataInOrder()).sort()).toEqual([0, 1, 2])
    const rejected = await mesh.query<{ code: string; problems: { field: string }[]; type: string | null }>(
      `select code, problems, event ->> 'type' as type from ripstop.rejected_events order by rejected_id`,
    )
    expect(rejected.map(({ code, problems, type }) => [type, code, problems[0]?.field])).toEqual([
      [null, 'EVENT_INVALID', ''],
      ['5', 'EVENT_INVALID', '/type'],
      ['ok', 'NOT_FOUND', 'tenant'],
      ['large', 'PAYLOAD_TOO_LARGE', ''],
      ['huge', 'PAYLOAD_TOO_LARGE', ''],
      ['poison', 'EVENT_INVALID', ''],
      ['broken', 'INTERNAL', ''],
    ])
    await mesh.query('alter table fake_deliveries drop constraint small')
    expect(await mesh.query(ORPHANS)).toEqual([])
  })

  test('OB1: a plan whose ground moves meanwhile is made anew, and nobody is refused', async () => {
    let moves = 3
    const planned = async (): Promise<void> => {
      if (moves-- > 0) await mesh.query('update fake_revision set revision = revision + 1')
    }
    const refuse = () => {
      throw new Error('the outbox refuses nobody')
    }
    for (let n = 0; n < 5; n++) await publish({ type: 'n', data: n })
    await using _ = start({ planned, refuse })
    await until('it is moved', isEmpty)
    expect(await dataInOrder()).toEqual([0, 1, 2, 3, 4])
    expect(await mesh.query(ORPHANS)).toEqual([])
  })

  test('OB4: without its lease a relay moves nothing; the next one takes over', async () => {
    await publish({ type: 'n', data: 0 })
    const [row] = await mesh.query<{ outbox_id: string }>('select outbox_id from ripstop.outbox')
    const publication = { events: [], fanOut: [], plans: [], lines: [], lineOf: [] }
    const rejected = [{ outboxId: row?.outbox_id ?? '', tenantId: undefined, code: 'EVENT_INVALID', problems: [] }]
    const lost = { name: 'held', text: 'select 1 where false', values: [] }
    const moved = await moveOutbox(mesh.link, mesh.ctx, lost, { publication, outboxIds: [], rejected })
    expect(moved).toEqual({ isCurrent: false, published: 0, rejected: 0 })
    expect(await isEmpty()).toBe(false)
    {
      await using _one = start()
      await using _two = start()
      await until('it is moved', isEmpty)
      await publish({ type: 'n', data: 1 })
      await until('that too', isEmpty)
    }
    await publish({ type: 'n', data: 2 })
    await using _three = start()
    await until('by the next one', isEmpty)
    expect(await dataInOrder()).toEqual([0, 1, 2])
  })

  test('OB4: a relay whose connections are cut goes on, and moves each row once', async () => {
    await using _ = start({}, 20)
    const cut = () =>
      mesh
        .query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
        )
        .catch(() => undefined)
    for (let n = 0; n < 200; n++) {
      await until('it is in the outbox', () =>
        publish({ type: 'n', data: n, id: `cut-${n}` }).then(
          () => true,
          () => false,
        ),
      )
      if (n % 40 === 39) await cut()
    }
    await until('it is moved', () => isEmpty().catch(() => false), 20_000)
    const data = await dataInOrder()
    expect(new Set(data).size).toBe(200)
    expect(data).toHaveLength(200)
    expect(await mesh.query(ORPHANS)).toEqual([])
  })
})
