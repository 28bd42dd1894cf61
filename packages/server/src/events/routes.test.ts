import { RipstopError } from '@ripstop/kernel'
import type {
  ContractVerdictWire,
  EventTypeWire,
  EventWire,
  PublishResultsWire,
  PublishResultWire,
  RejectedEventWire,
} from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '../access/tenant.ts'
import { createOpenApi } from '../platform/http/openapi.ts'
import { post, sendRaw, startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { createFakeConsumer, FAKE_TABLES } from './consumer.fixture.ts'
import { startOutbox } from './outbox.ts'
import { type Events, startEvents } from './start.ts'
import { TYPES_KEPT, TypesCache } from './types-cache.ts'

const OTHER = '00000000-0000-7000-8000-00000000000b'

let database: TestDatabase
let mesh: TestMesh
let events: Events
let server: TestServer

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  for (const statement of FAKE_TABLES.split(';')) await mesh.query(statement)
  await mesh.query(`insert into ripstop.tenants (tenant_id, name) values ($1, 'other')`, [OTHER])
  const { env, link } = mesh
  const refuse = ({ type }: { type: string }) =>
    type === 'full' ? new RipstopError('BACKLOG_FULL', 'it is full', { retryAfterMs: 1_500 }) : undefined
  const consumers = [createFakeConsumer(link, { refuse })]
  events = startEvents({ env, mesh: mesh.mesh, link, consumers })
  server = await startTestServer({
    routes: events.routes,
    authenticate: (headers) => ({
      tenantId: headers['x-tenant'] === 'other' ? OTHER : DEFAULT_TENANT_ID,
      actor: 'key:1',
      keyId: '1',
      scopes: ['admin'],
    }),
  })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await events[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

async function call<T>(path: string, init: RequestInit = {}) {
  const answer = await server.request(path, init)
  return { ...answer, data: answer.json.data as T, code: answer.json.error?.code, details: answer.json.error?.details }
}

const publish = <T = PublishResultWire>(body: unknown, headers: Record<string, string> = {}) =>
  call<T>('/v1/events', post(body, headers))
const register = (name: string, schema: unknown, more: object = {}) =>
  call<EventTypeWire>('/v1/event-types', post({ name, schema, ...more }))

describe('publishing over HTTP', () => {
  test('EV11: one event is 202 with its id, its repetition 200 with the same, its refusal the error itself', async () => {
    const event = { type: 'order.paid', id: 'h-1', source: '/shop', data: { amount: 5 } }
    const first = await publish(event)
    expect([first.status, first.data.outcome]).toEqual([202, 'published'])
    const again = await publish(event)
    expect([again.status, again.data]).toEqual([200, { ...first.data, outcome: 'duplicate' }])
    const refused = await publish({ type: '' })
    expect([refused.status, refused.code]).toEqual([422, 'EVENT_INVALID'])
    expect(refused.details?.problems).toEqual([{ field: '/type', problem: expect.any(String) }])
    const full = await publish({ type: 'full' })
    expect([full.status, full.code, full.headers.get('retry-after')]).toEqual([429, 'BACKLOG_FULL', '2'])
    const read = await call<EventWire>(`/v1/events/${first.data.event_id}`)
    expect(read.data).toMatchObject({ type: 'order.paid', type_version: null, fan_out: 2, event })
  })

  test('EV12: a batch is answered item by item: 200, or 207 where some were refused', async () => {
    const all = await publish<PublishResultsWire>({ events: [{ type: 'a' }, { type: 'b' }] })
    expect([all.status, all.data.published]).toEqual([200, 2])
    const some = await publish<PublishResultsWire>({
      events: [{ type: 'a' }, 5, { type: 'a', data: 'x'.repeat(262_144) }],
    })
    expect(some.status).toBe(207)
    expect(some.data).toMatchObject({ published: 1, duplicates: 0, refused: 2 })
    expect(some.data.results.map(({ error }) => error?.code)).toEqual([undefined, 'EVENT_INVALID', 'PAYLOAD_TOO_LARGE'])
    const thousand = await publish<PublishResultsWire>({
      events: Array.from({ length: 1_000 }, (_, n) => ({ type: 'n', data: { n, text: 'x'.repeat(1_000) } })),
    })
    expect([thousand.status, thousand.data.published]).toEqual([200, 1_000])
  })

  test('EV5, EV12: what is no request for events is refused whole, with a typed error', async () => {
    const codes = async (body: unknown) => (await publish(body)).code
    expect(await codes({ events: Array.from({ length: 1_001 }, () => ({ type: 'a' })) })).toBe('BAD_REQUEST')
    expect(await codes({ events: [] })).toBe('BAD_REQUEST')
    expect(await codes({ events: [{ type: 'a' }], extra: 1 })).toBe('BAD_REQUEST')
    expect(await codes({ events: 'a' })).toBe('EVENT_INVALID')
    expect(await codes([{ type: 'a' }])).toBe('EVENT_INVALID')
    expect(await codes(null)).toBe('EVENT_INVALID')
    const raw = async (body: string, type = 'application/json') =>
      (await call('/v1/events', { method: 'POST', headers: { 'content-type': type }, body })).code
    expect(await raw('{"type":')).toBe('BAD_REQUEST')
    expect(await raw('{"type":"a"}', 'text/plain')).toBe('UNSUPPORTED_MEDIA_TYPE')
    expect(await raw(`{"type":"a","data":${'['.repeat(50_000)}${']'.repeat(50_000)}}`)).toBe('EVENT_INVALID')
    expect(await raw(`{"type":"a","data":"${'x'.repeat(9_000_000)}"}`)).toBe('PAYLOAD_TOO_LARGE')
    const bytes = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])
    const request = `POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${bytes.length}\r\n\r\n`
    const answer = await sendRaw(server.server.port, Buffer.concat([Buffer.from(request), bytes]))
    expect(answer).toContain('BAD_REQUEST')
  })

  test('EV13: an Idempotency-Key makes a request one, also over its refusals', async () => {
    const body = { events: [{ type: 'a' }, { type: '' }] }
    const first = await publish(body, { 'idempotency-key': 'http-1' })
    const again = await publish(body, { 'idempotency-key': 'http-1' })
    expect(again.data).toEqual(first.data)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect((await publish({ events: [{ type: 'b' }] }, { 'idempotency-key': 'http-1' })).code).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    )
  })

  test('events of another tenant are not there', async () => {
    const { data } = await publish({ type: 'mine' })
    expect((await call(`/v1/events/${data.event_id}`, { headers: { 'x-tenant': 'other' } })).code).toBe('NOT_FOUND')
    const listed = await call<EventWire[]>('/v1/events', { headers: { 'x-tenant': 'other' } })
    expect(listed.data).toEqual([])
  })

  test('a list has pages, newest first, by type', async () => {
    for (const n of [1, 2, 3]) await publish({ type: 'page.x', data: n })
    const first = await call<EventWire[]>('/v1/events?type=page.*&limit=2')
    expect(first.data.map(({ event }) => event.data)).toEqual([3, 2])
    const next = (first.json as { next_cursor?: string }).next_cursor
    const second = await call<EventWire[]>(`/v1/events?type=page.*&limit=2&cursor=${next}`)
    expect(second.data.map(({ event }) => event.data)).toEqual([1])
    expect((await call('/v1/events?cursor=bm8')).code).toBe('BAD_REQUEST')
  })
})

describe('event types over HTTP', () => {
  const schema = { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] }

  test('ET7, ET9: versions are registered, checked by at once, told in the changelog; a breaking one is refused with the diff', async () => {
    const first = await register('user.born', schema, { description: 'A user is there' })
    expect([first.status, first.data.version]).toEqual([201, 1])
    expect((await register('user.born', schema, { description: 'A user is there' })).status).toBe(200)
    expect((await publish({ type: 'user.born', data: { id: 5 } })).details?.problems).toEqual([
      { field: '/data/id', problem: 'must be string' },
    ])
    expect((await publish({ type: 'user.born' })).code).toBe('EVENT_INVALID')
    const breaking = await register('user.born', { ...schema, required: [] })
    expect([breaking.status, breaking.code]).toEqual([409, 'SCHEMA_BREAKING'])
    expect(breaking.details?.changes).toEqual([
      { pointer: '/properties/id', change: 'may be missing', breaks: ['consumers'] },
    ])
    const wider = { ...schema, properties: { ...schema.properties, name: { type: 'string' } } }
    expect((await register('user.born', wider)).data.version).toBe(2)
    const { data } = await publish({ type: 'user.born', data: { id: 'u', name: 'n' } })
    expect((await call<EventWire>(`/v1/events/${data.event_id}`)).data.type_version).toBe(2)
    expect((await publish({ type: 'user.born', data: { id: 'u', name: 1 } })).code).toBe('EVENT_INVALID')
    const log = await call<{ version: number; changes: { pointer: string }[] }[]>('/v1/event-types/user.born/changelog')
    expect(log.data.map(({ version, changes }) => [version, changes[0]?.pointer])).toEqual([
      [2, '/properties/name'],
      [1, undefined],
    ])
    expect((await call<EventTypeWire>('/v1/event-types/user.born/versions/1')).data.schema).toEqual(schema)
    expect((await call('/v1/event-types/user.born/versions/9')).code).toBe('NOT_FOUND')
    expect((await call<EventTypeWire[]>('/v1/event-types/user.born/versions')).data).toHaveLength(2)
    expect((await call<EventTypeWire>('/v1/event-types/user.born')).data.version).toBe(2)
    expect((await call('/v1/event-types/user.born', { headers: { 'x-tenant': 'other' } })).code).toBe('NOT_FOUND')
    const deprecated = await call<EventTypeWire>('/v1/event-types/user.born/deprecate', post({}))
    expect(deprecated.data.deprecated_at).not.toBeNull()
    expect((await publish({ type: 'user.born', data: { id: 'u' } })).status).toBe(202)
  })

  test('ET9: of many that register at the same time each makes a version of its own, or finds the one that is there', async () => {
    const names = ['a', 'b', 'c', 'a', 'b', 'c']
    const made = await Promise.all(
      names.map((name) => register('raced', { type: 'object', properties: { id: {} } }, { description: name })),
    )
    const versions = await call<EventTypeWire[]>('/v1/event-types/raced/versions')
    const numbers = versions.data.map(({ version }) => version)
    expect(numbers).toEqual(numbers.toSorted((a, b) => b - a))
    expect(new Set(numbers).size).toBe(numbers.length)
    for (const { status } of made) expect([200, 201, 409]).toContain(status)
  })

  test('ET1: hostile names and schemas are refused with typed errors', async () => {
    const codes = async (name: unknown, given: unknown) =>
      (await call('/v1/event-types', post({ name, schema: given }))).code
    expect(await codes('a b', {})).toBe('BAD_REQUEST')
    expect(await codes('a', 'x')).toBe('BAD_REQUEST')
    expect(await codes('a', { pattern: '(?=a)' })).toBe('SCHEMA_INVALID')
    expect(await codes('a', { $ref: 'https://example.com/s' })).toBe('SCHEMA_INVALID')
    expect(await codes('a', { if: { type: 'string' } })).toBe('SCHEMA_INVALID')
    const huge = {
      properties: Object.fromEntries(
        Array.from({ length: 500 }, (_, n) => [`p${n}`, { description: 'x'.repeat(200) }]),
      ),
    }
    expect(['SCHEMA_INVALID', 'PAYLOAD_TOO_LARGE']).toContain(await codes('a', huge))
    for (const name of ['constructor', '__proto__', 'toString']) {
      expect((await register(name, schema)).status, name).toBe(201)
      expect((await publish({ type: name, data: {} })).code, name).toBe('EVENT_INVALID')
    }
  })

  test('ET6: a consumer learns whether every version guarantees what it needs', async () => {
    await register('shop.sold', { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] })
    await register('shop.sold', {
      type: 'object',
      properties: { id: { type: 'string' }, note: { type: 'string' } },
      required: ['id'],
    })
    const ask = (body: unknown) => call<ContractVerdictWire>('/v1/event-types/shop.sold/contract-test', post(body))
    expect((await ask({ fields: ['id'] })).data).toMatchObject({
      guaranteed: true,
      versions: [{ version: 2 }, { version: 1 }],
    })
    const missing = await ask({ fields: ['note'] })
    expect(missing.data.guaranteed).toBe(false)
    expect(missing.data.versions[0]?.missing[0]).toEqual({ pointer: '/properties/note', problem: 'may be missing' })
    expect(
      (await ask({ schema: { required: ['id'], properties: { id: { type: ['string', 'null'] } } } })).data.guaranteed,
    ).toBe(true)
    expect((await ask({})).code).toBe('BAD_REQUEST')
    expect((await ask({ fields: ['a[0]'] })).code).toBe('SCHEMA_INVALID')
  })

  test('ET7, ET8: another process knows a new version within a second; what is kept has a bound', async () => {
    const cache = new TypesCache(mesh.link)
    const load = async (name: string) => (await cache.load(mesh.ctx, DEFAULT_TENANT_ID, new Set([name]))).get(name)
    expect((await load('late'))?.version).toBeUndefined()
    await register('late', schema)
    await until('it is known', async () => (await load('late'))?.version === 1, 3_000)
    const names = new Set(Array.from({ length: TYPES_KEPT + 100 }, (_, n) => `random.${n}`))
    await cache.load(mesh.ctx, DEFAULT_TENANT_ID, names)
    expect(cache.size).toBe(TYPES_KEPT)
    expect((await load('late'))?.version).toBe(1)
  })
})

describe('rejected events over HTTP', () => {
  test('OB1: they are listed with the reason and go back into the outbox, mended types and all', async () => {
    await register('mend', { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] })
    const { env, link, log } = mesh
    const run = () => startOutbox({ env, log, metrics: mesh.mesh.metrics, link, consumers: [createFakeConsumer(link)] })
    await mesh.query(
      `select ripstop.publish('{"type":"mend","data":{}}'), ripstop.publish('{"type":"mend"}', 'nobody')`,
    )
    const empty = async () => (await mesh.query('select 1 from ripstop.outbox')).length === 0
    {
      await using _ = run()
      await until('they are moved', empty)
    }
    const { data } = await call<RejectedEventWire[]>('/v1/rejected-events')
    expect(data.map(({ reason, code, tenant }) => [reason, code, tenant])).toEqual([
      ['tenant', 'NOT_FOUND', 'nobody'],
      ['schema', 'EVENT_INVALID', null],
    ])
    const other = { headers: { 'x-tenant': 'other' } }
    expect((await call<unknown[]>('/v1/rejected-events', other)).data).toEqual([])
    const id = data[1]?.rejected_id
    expect((await call(`/v1/rejected-events/${id}/redrive`, { method: 'POST', ...other })).code).toBe('NOT_FOUND')
    const redriven = await call(`/v1/rejected-events/${id}/redrive`, {
      method: 'POST',
      headers: { 'idempotency-key': 'r1' },
    })
    expect([redriven.status, redriven.data]).toEqual([202, { rejected_id: id, state: 'waiting' }])
    const again = await call(`/v1/rejected-events/${id}/redrive`, {
      method: 'POST',
      headers: { 'idempotency-key': 'r1' },
    })
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(await mesh.query('select 1 from ripstop.outbox')).toHaveLength(1)
    expect((await call(`/v1/rejected-events/${id}/redrive`, { method: 'POST' })).code).toBe('NOT_FOUND')
  })
})

test('the routes have a document, and events are in it as CloudEvents', () => {
  const document = createOpenApi(events.routes, '1')
  expect(document.components.schemas.PublishEvent).toMatchObject({ type: 'object', required: ['type'] })
})
