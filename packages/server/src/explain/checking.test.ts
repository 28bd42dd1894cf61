import { createId, Metrics } from '@ripstop/kernel'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '#access'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startChecking } from './checking.ts'

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  const held = `owner = gen_random_uuid(), expires_at = now() + interval '1 hour'`
  await mesh.query(`update ripstop.delivery_shards set ${held}`)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

function start(everyMs: number) {
  const metrics = new Metrics()
  const { env, log, link } = mesh
  const owner = createId(Date.now())
  const checking = startChecking({ env, log, link, metrics, owner, secretAgeMs: 1e10, everyMs, standbyMs: 20 })
  const counts = (): string[] =>
    metrics
      .text()
      .split('\n')
      .filter((line) => line.startsWith('delivery_check_count{'))
  return { counts, [Symbol.asyncDispose]: () => checking[Symbol.asyncDispose]() }
}

const LOST = 'delivery_check_count{name="events_without_deliveries"}'
const told = () => mesh.log.lines.filter(({ event }) => event === 'delivery.check_found')

test('OR2: what the check counts is in the metrics: all 0, until something is lost, which is told once with its ids', async () => {
  await using checking = start(20)
  await until('it is told', () => checking.counts().length > 8)
  expect(checking.counts().filter((line) => !line.endsWith(' 0'))).toEqual([])
  const eventId = createId(Date.now())
  await mesh.query(
    `insert into ripstop.events (event_id, tenant_id, source, id, type, occurred_at, body, fan_out)
     values ($1, $2, 's', 'lost', 't', now(), '{}', 1)`,
    [eventId, DEFAULT_TENANT_ID],
  )
  await until('it is found', () => checking.counts().includes(`${LOST} 1`))
  await mesh.query('delete from ripstop.events')
  await until('all is well again', () => checking.counts().includes(`${LOST} 0`))
  expect(told()).toMatchObject([{ name: 'events_without_deliveries', count: 1, ids: [eventId] }])
})

test('OR3: of two processes one checks; the other does when that one ends, or can not any more', async () => {
  const first = start(3_600_000)
  await until('one tells', () => first.counts().length > 8)
  await using second = start(20)
  let turns = 0
  await until('the other has asked again and again', () => ++turns > 40)
  expect(second.counts()).toEqual([])
  await first[Symbol.asyncDispose]()
  await until('the other tells', () => second.counts().length > 8)
  const stolen = `owner = gen_random_uuid(), epoch = epoch + 1, expires_at = now() + interval '1 hour'`
  await mesh.query(`update ripstop.leases set ${stolen} where name = 'delivery.check'`)
  await until('it leaves it to the next', () => second.counts().length === 0)
})

test('a check that fails is told, takes back what was known, and is made again', async () => {
  await mesh.query(`update ripstop.leases set expires_at = now() where name = 'delivery.check'`)
  await using checking = start(20)
  await until('it is told', () => checking.counts().length > 8)
  await mesh.query('alter table ripstop.outbox rename to away')
  await until('nothing is known', () => checking.counts().length === 0)
  expect(mesh.log.lines.some(({ event }) => event === 'delivery.check_failed')).toBe(true)
  await mesh.query('alter table ripstop.away rename to outbox')
  await until('it is told again', () => checking.counts().length > 8)
})
