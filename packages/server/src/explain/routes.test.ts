import { createId } from '@ripstop/kernel'
import type { DeliveryCheckWire, WhyWire } from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '#access'
import { createDeliveryReader } from '#delivery'
import { addAttempt, addDead, addUndone } from '../delivery/reading.fixture.ts'
import { startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { createExplainRoutes } from './routes.ts'

const TENANT = DEFAULT_TENANT_ID
const OTHER_TENANT = '01900000-0000-7000-8000-00000000000b'
let database: TestDatabase
let mesh: TestMesh
let server: TestServer

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  const { env, link } = mesh
  server = await startTestServer({
    routes: createExplainRoutes({ env, link, reader: createDeliveryReader(link) }),
    authenticate: (headers) => ({
      tenantId: String(headers['x-tenant'] ?? TENANT),
      actor: 'key:1',
      keyId: '1',
      scopes: headers['x-tenant'] === undefined ? ['webhooks:read', 'mesh:read'] : ['webhooks:read'],
    }),
  })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const id = () => createId(Date.now())
const asOther = { headers: { 'x-tenant': OTHER_TENANT } }

async function call<T = WhyWire>(path: string, init: RequestInit = {}) {
  const answer = await server.request(path, init)
  return { ...answer, data: answer.json.data as T, code: answer.json.error?.code }
}

async function addEndpoint(over: { types?: string[]; filter?: string; state?: string; createdAt?: Date } = {}) {
  const endpointId = id()
  await mesh.query(
    `insert into ripstop.endpoints (endpoint_id, tenant_id, url, event_types, filter, state, state_reason, state_actor, created_at, revision)
     values ($1, $2, 'https://example.com', $3, $4, $5, 'maintenance', 'key:9', $6, 1)`,
    [
      endpointId,
      TENANT,
      over.types ?? ['*'],
      over.filter ?? null,
      over.state ?? 'active',
      over.createdAt ?? new Date(Date.now() - 3_600_000),
    ],
  )
  return endpointId
}

async function addEvent(data: object = {}, name?: string) {
  const eventId = id()
  const body = { specversion: '1.0', id: name ?? eventId, source: 'shop', type: 'order.paid', data }
  await mesh.query(
    `insert into ripstop.events (event_id, tenant_id, source, id, type, occurred_at, body) values ($1, $2, 'shop', $3, 'order.paid', now(), $4)`,
    [eventId, TENANT, body.id, Buffer.from(JSON.stringify(body))],
  )
  if (name !== undefined)
    await mesh.query(`insert into ripstop.event_keys (tenant_id, source, id, event_id) values ($1, 'shop', $2, $3)`, [
      TENANT,
      name,
      eventId,
    ])
  return eventId
}

describe('why, over the API', () => {
  test('WY1: of a delivery: waiting for a paused endpoint, delivered, dead', async () => {
    const wish = { eventId: await addEvent(), endpointId: await addEndpoint({ state: 'paused' }) }
    const deliveryId = await addUndone(mesh, wish)
    const { data } = await call(`/v1/deliveries/${deliveryId}/why`)
    expect(data).toMatchObject({
      cause: 'endpoint_paused',
      explanation: expect.stringContaining('by key:9 because: maintenance'),
    })
    const active = { eventId: wish.eventId, endpointId: await addEndpoint() }
    const attemptId = await addAttempt(mesh, '700', { ...active, status: 200 })
    const delivered = await call('/v1/deliveries/700/why')
    expect(delivered.data.cause).toBe('delivered')
    expect(JSON.stringify(delivered.data.facts)).toContain(attemptId)
    const dead = await addDead(mesh, active, 'overflow')
    expect((await call(`/v1/deliveries/${dead}/why`)).data.cause).toBe('dead_overflow')
    const unowned = await addUndone(mesh, active, -60_000)
    expect((await call(`/v1/deliveries/${unowned}/why`)).data.cause).toBe('no_worker')
  })

  test('WY1: of an event for an endpoint: its type, its filter with what it looked at, and its age', async () => {
    const eventId = await addEvent({ amount: 99 })
    const why = async (over: Parameters<typeof addEndpoint>[0]) =>
      (await call(`/v1/events/${eventId}/why?endpoint_id=${await addEndpoint(over)}`)).data
    expect((await why({ types: ['user.*'] })).cause).toBe('type_not_subscribed')
    expect(await why({ filter: 'event.data.amount > 100' })).toMatchObject({
      cause: 'filter_no_match',
      explanation: expect.stringContaining('event.data.amount is 99'),
    })
    expect((await why({ filter: 'event.data.missing > 100' })).cause).toBe('filter_failed')
    expect((await why({ createdAt: new Date(Date.now() + 1_000) })).cause).toBe('before_endpoint')
    expect((await why({})).cause).toBe('settings_changed')
  })

  test('WY1: of an event as a whole, also by what its publisher called it, and of what is in the outbox', async () => {
    const name = `order-${id()}`
    const eventId = await addEvent({}, name)
    expect((await call(`/v1/events/${eventId}/why`)).data.cause).toBe('nobody_wanted_it')
    await addUndone(mesh, { eventId, endpointId: await addEndpoint({ state: 'paused' }) })
    const named = await call(`/v1/events/${name}/why?source=shop`)
    expect(named.data.cause).toBe('parked')
    expect(JSON.stringify(named.data.facts)).toContain('repetition')
    const [row] = await mesh.query<{ id: string }>(`select ripstop.publish('{"type":"x"}'::jsonb)::text as id`)
    expect((await call(`/v1/events/${row?.id}/why`)).data.cause).toBe('in_outbox')
    await mesh.query(
      `with moved as (delete from ripstop.outbox returning *)
       insert into ripstop.rejected_events (rejected_id, tenant_id, event, code, problems, created_at)
       select outbox_id, $1, event, 'EVENT_INVALID', '[{"field":"/data","problem":"is required"}]', created_at from moved`,
      [TENANT],
    )
    expect((await call(`/v1/events/${row?.id}/why`)).data).toMatchObject({
      cause: 'rejected_event_invalid',
      explanation: expect.stringContaining('/data is required'),
    })
    expect((await call(`/v1/events/${row?.id}/why`, asOther)).code).toBe('NOT_FOUND')
    expect((await call(`/v1/events/nothing/why?source=shop`)).code).toBe('NOT_FOUND')
    expect((await call(`/v1/events/nothing/why`)).code).toBe('BAD_REQUEST')
  })

  test('what is not there, or another tenant’s, is not found', async () => {
    const wish = { eventId: await addEvent(), endpointId: await addEndpoint() }
    const deliveryId = await addUndone(mesh, wish)
    expect((await call(`/v1/deliveries/${deliveryId}/why`)).status).toBe(200)
    const paths = [
      `/v1/deliveries/${deliveryId}/why`,
      `/v1/events/${wish.eventId}/why`,
      `/v1/events/${wish.eventId}/why?endpoint_id=${wish.endpointId}`,
    ]
    for (const path of paths) expect((await call(path, asOther)).code).toBe('NOT_FOUND')
    expect((await call(`/v1/events/${id()}/why`)).code).toBe('NOT_FOUND')
    expect((await call(`/v1/events/${wish.eventId}/why?endpoint_id=${id()}`)).code).toBe('NOT_FOUND')
    expect((await call('/v1/deliveries/99999999/why')).code).toBe('NOT_FOUND')
  })
})

test('OR1: the check is for operators, and a delivery deleted by hand shows', async () => {
  await mesh.query('truncate ripstop.events, ripstop.deliveries, ripstop.attempts, ripstop.dead_letters')
  await mesh.query(`update ripstop.delivery_shards set owner = $1, expires_at = now() + interval '1 hour'`, [id()])
  expect((await call('/v1/delivery/check', asOther)).code).toBe('FORBIDDEN')
  const eventId = await addEvent()
  await mesh.query('update ripstop.events set fan_out = 1')
  const deliveryId = await addUndone(mesh, { eventId, endpointId: await addEndpoint() })
  const sound = await call<DeliveryCheckWire>('/v1/delivery/check')
  expect(sound.data).toMatchObject({ ok: true, events: 1, deliveries: 1 })
  await mesh.query('delete from ripstop.deliveries where delivery_id = $1', [deliveryId])
  const broken = await call<DeliveryCheckWire>('/v1/delivery/check')
  expect(broken.data.ok).toBe(false)
  expect(broken.data.counts.find(({ count }) => count > 0)).toMatchObject({
    name: 'events_without_deliveries',
    ids: [eventId],
  })
  expect((await call('/v1/delivery/check?since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z')).code).toBe(
    'BAD_REQUEST',
  )
})
