import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '../access/tenant.ts'
import { withLease } from '../platform/postgres/lease.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { createEventsUpkeep } from './retention.ts'

const DAY_MS = 86_400_000

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

/** How much the task did. */
async function run(name: string): Promise<number> {
  const task = createEventsUpkeep().find((task) => task.name === name)
  const terms = { name: `upkeep.${name}`, owner: createId(mesh.env.clock.wallMs()), leaseMs: 5_000 }
  const rows = await withLease(mesh.link, mesh.ctx, terms, (held) =>
    held.run<{ deleted: number }>(mesh.ctx, task?.batch(1_000) ?? { text: '', values: [] }),
  )
  return rows?.reduce((sum, { deleted }) => sum + deleted, 0) ?? -1
}

const partitions = async (): Promise<string[]> =>
  (
    await mesh.query<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = 'ripstop.events'::regclass and c.relname <> 'events_default' order by 1`,
    )
  ).map(({ name }) => name)

/** The partition of a day that many days ago. */
async function makeDay(daysAgo: number): Promise<{ name: string; eventId: string }> {
  const dayMs = Math.floor(mesh.env.clock.wallMs() / DAY_MS - daysAgo) * DAY_MS
  const name = `events_${new Date(dayMs).toISOString().slice(0, 10).replaceAll('-', '')}`
  const bound = (ms: number): string => `ripstop.least_id_at('${new Date(ms).toISOString()}')::text`
  const [bounds] = await mesh.query<{ from: string; to: string }>(
    `select ${bound(dayMs)} as from, ${bound(dayMs + DAY_MS)} as to`,
  )
  await mesh.query(
    `create table ripstop.${name} partition of ripstop.events for values from ('${bounds?.from}') to ('${bounds?.to}')`,
  )
  const eventId = createId(dayMs + 3_600_000)
  await mesh.query(
    `insert into ripstop.events (event_id, tenant_id, source, id, type, occurred_at, body) values ($1, $2, 's', 'i', 't', now(), '')`,
    [eventId, DEFAULT_TENANT_ID],
  )
  return { name, eventId }
}

test('whole days of events go when they are old, but not while something of them is to be sent or can be sent again', async () => {
  const { name, eventId } = await makeDay(40)
  const young = await makeDay(20)
  const delivery = `insert into ripstop.deliveries (tenant_id, kind, target_id, shard, message_id, bytes)
    values ($1, 'webhook', $1, 0, $2, 1)`
  await mesh.query(delivery, [DEFAULT_TENANT_ID, eventId])
  expect(await run('events')).toBe(0)
  await mesh.query('delete from ripstop.deliveries')
  await mesh.query(
    `insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason)
     values (1, $1, 'webhook', $1, 0, 0, $2, 1, 8, 'exhausted')`,
    [DEFAULT_TENANT_ID, eventId],
  )
  expect(await run('events')).toBe(0)
  expect(await partitions()).toContain(name)
  await mesh.query('delete from ripstop.dead_letters')
  expect(await run('events')).toBe(1)
  expect(await partitions()).not.toContain(name)
  expect(await run('events')).toBe(0)
  expect(await partitions()).toContain(young.name)
})

test('dropping a day waits only a moment for whoever reads it, and leaves it for another turn', async () => {
  const { name } = await makeDay(50)
  await mesh.link.call(mesh.ctx, (pool, ctx) =>
    pool.transaction(ctx, async (tx) => {
      await tx.query(ctx, 'select 1 from ripstop.events limit 1')
      expect(await run('events')).toBe(0)
    }),
  )
  expect(await partitions()).toContain(name)
  expect(await run('events')).toBe(1)
})

test('names of publishers and rejected events go by their age, and partitions are made ahead', async () => {
  const now = mesh.env.clock.wallMs()
  const key = `insert into ripstop.event_keys (tenant_id, source, id, event_id) values ($1, 's', $2, $3)`
  await mesh.query(key, [DEFAULT_TENANT_ID, 'old', createId(now - 8 * DAY_MS)])
  await mesh.query(key, [DEFAULT_TENANT_ID, 'young', createId(now - 6 * DAY_MS)])
  expect(await run('event-keys')).toBe(1)
  expect(await mesh.query('select id from ripstop.event_keys')).toEqual([{ id: 'young' }])
  await mesh.query(
    `insert into ripstop.rejected_events (rejected_id, event, code, created_at, rejected_at)
     values (1, '{}', 'EVENT_INVALID', now(), now() - interval '91 days'), (2, '{}', 'EVENT_INVALID', now(), now())`,
  )
  expect(await run('rejected-events')).toBe(1)
  const last = (await partitions()).at(-1)
  await mesh.query(`drop table ripstop.${last}`)
  expect(await run('event-partitions')).toBe(0)
  expect((await partitions()).at(-1)).toBe(last)
})
