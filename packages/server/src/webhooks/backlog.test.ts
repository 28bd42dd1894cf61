import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { Backlogs } from './backlog.ts'
import type { Endpoint } from './endpoint.ts'
import { findEndpoint, pauseEndpoint } from './endpoints.ts'
import { ASKING, startWorld, type World } from './webhooks.fixture.ts'

let database: TestDatabase
let world: World
let endpoint: Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
  world = await startWorld(database.url, { works: false })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await world.mesh.query('truncate ripstop.deliveries, ripstop.dead_letters')
  await world.mesh.query('update ripstop.endpoints set deleted_at = now(), revision = revision + 1')
  await world.mesh.query('update ripstop.endpoint_revisions set revision = revision + 1')
  ;({ endpoint } = await world.create({ url: 'https://example.com', eventTypes: ['b.*'], backlogMax: 100 }))
  await world.webhooks.cache.load(ctx(), [endpoint.endpointId])
})

const ctx = () => world.mesh.ctx.within(10_000)
const isFull = async () =>
  (await findEndpoint(world.webhooks, ctx(), ASKING.principal.tenantId, endpoint.endpointId)).backlogFull
const tell = (backlogs: Backlogs, undone: number) => backlogs.told(ctx(), new Map([[endpoint.endpointId, undone]]))

test('WK11: the mark is set above the bound and taken back below four fifths of it', async () => {
  const backlogs = new Backlogs(world.webhooks)
  const seen: boolean[] = []
  for (const undone of [100, 101, 99, 80, 79, 99, 101]) {
    await tell(backlogs, undone)
    seen.push(await isFull())
  }
  expect(seen).toEqual([false, true, true, true, false, false, true])
  // A worker that comes new to it, after a crash of the one that set it, takes it back.
  await tell(new Backlogs(world.webhooks), 10)
  expect(await isFull()).toBe(false)
})

test('WK4: over a full backlog a publisher is refused before anything is accepted, and another type is not', async () => {
  await tell(new Backlogs(world.webhooks), 101)
  await expect(world.publish('b.x')).rejects.toThrow('BACKLOG_FULL')
  expect(await world.count('events', `type = 'b.x'`)).toBe(0)
  await world.publish('c.x')
})

test('WK4: a parked endpoint that is full refuses nobody: what is beyond the bound is a dead letter', async () => {
  await tell(new Backlogs(world.webhooks), 101)
  await pauseEndpoint(world.webhooks, ctx(), ASKING, endpoint.endpointId)
  const eventId = await world.publish('b.parked')
  expect(await world.count('deliveries')).toBe(0)
  expect(await world.count('dead_letters', `message_id = '${eventId}' and reason = 'overflow'`)).toBe(1)
  expect(await world.count('events', `event_id = '${eventId}' and fan_out = 1`)).toBe(1)
})

test('WK4: the outbox is never refused: beyond the bound of an active endpoint are dead letters', async () => {
  await tell(new Backlogs(world.webhooks), 101)
  const { tenantId } = ASKING.principal
  const event = { type: 'b.x', source: 's', id: 'i', subject: undefined, tenantId, eventId: tenantId, key: undefined }
  const given = { ...event, typeVersion: undefined, occurredWallMs: 0, body: Buffer.from('{}'), event: {} }
  const refusing = await world.webhooks.consumer.plan(ctx(), [given], true)
  expect([...refusing.refused.values()]).toMatchObject([{ code: 'BACKLOG_FULL', sent: 'no' }])
  const taking = await world.webhooks.consumer.plan(ctx(), [{ ...given }], false)
  expect(taking.refused.size).toBe(0)
  expect(taking.parts.map(({ name }) => name)).toEqual(['overflow_made'])
  expect(taking.fanOut).toEqual([1])
})
