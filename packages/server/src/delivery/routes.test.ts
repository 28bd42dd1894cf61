import { createId } from '@ripstop/kernel'
import type { DeadLetterWire, DeliveryAttemptWire, DeliveryDetailWire, DeliveryWire } from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { post, startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import type { Target } from './kind.ts'
import { addAttempt, addDead, addUndone, OTHER_TENANT, TENANT } from './reading.fixture.ts'
import { type DeliveryReading, startDeliveryReading } from './reading.ts'

let database: TestDatabase
let mesh: TestMesh
let reading: DeliveryReading
let server: TestServer
const parked = new Set<string>()

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  const { env, link } = mesh
  const targets = async (_: unknown, ids: readonly string[]) =>
    new Map(ids.map((id) => [id, { state: parked.has(id) ? 'parked' : 'active' } as Target]))
  reading = startDeliveryReading({ env, link, targets })
  const authenticate = (headers: { 'x-tenant'?: string }) => ({
    tenantId: headers['x-tenant'] ?? TENANT,
    actor: 'key:1',
    keyId: '1',
    scopes: ['webhooks:read', 'webhooks:write'],
  })
  server = await startTestServer({
    routes: reading.routes,
    authenticate: (headers) => authenticate(headers as { 'x-tenant'?: string }),
  })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await reading[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const id = () => createId(Date.now())

async function call<T>(path: string, init: RequestInit = {}) {
  const answer = await server.request(path, init)
  const json = answer.json as { data?: unknown; next_cursor?: string | null }
  return { ...answer, data: json.data as T, next: json.next_cursor, code: answer.json.error?.code }
}

const asOther = { headers: { 'x-tenant': OTHER_TENANT } }

describe('deliveries', () => {
  test('one that waits is shown with its attempts, as parked while its endpoint is not active', async () => {
    const wish = { eventId: id(), endpointId: id() }
    const deliveryId = await addUndone(mesh, wish, 60_000, 1)
    const attemptId = await addAttempt(mesh, deliveryId, {
      ...wish,
      outcome: 'failed',
      status: 503,
      code: 'PEER_FAILED',
      nextDueInMs: 60_000,
    })
    const { data } = await call<DeliveryDetailWire>(`/v1/deliveries/${deliveryId}`)
    expect(data).toMatchObject({
      delivery_id: deliveryId,
      event_id: wish.eventId,
      endpoint_id: wish.endpointId,
      state: 'waiting',
    })
    expect(data.attempts).toMatchObject([
      { attempt_id: attemptId, status: 503, response: 'thank you', outcome: 'failed' },
    ])
    expect(Date.parse(data.due_at ?? '')).toBeGreaterThan(Date.now())
    parked.add(wish.endpointId)
    expect((await call<DeliveryWire>(`/v1/deliveries/${deliveryId}`)).data).toMatchObject({
      state: 'parked',
      due_at: null,
    })
    const { data: ofEvent } = await call<DeliveryWire[]>(`/v1/events/${wish.eventId}/deliveries`)
    expect(ofEvent).toMatchObject([
      { delivery_id: deliveryId, state: 'parked', last_attempt: { attempt_id: attemptId } },
    ])
    const { data: attempts } = await call<DeliveryAttemptWire[]>(`/v1/deliveries/${deliveryId}/attempts`)
    expect(attempts).toEqual(data.attempts)
  })

  test('lists follow their cursors; what waits needs an endpoint or an event; a foreign cursor is refused', async () => {
    const wish = { endpointId: id() }
    const eventIds = [id(), id(), id()]
    for (const eventId of eventIds) {
      await addAttempt(mesh, '9000', { ...wish, eventId })
      await addUndone(mesh, { ...wish, eventId })
    }
    for (const outcome of ['delivered', 'waiting']) {
      const seen: string[] = []
      let cursor = ''
      do {
        const { data, next } = await call<DeliveryAttemptWire[]>(
          `/v1/deliveries?endpoint_id=${wish.endpointId}&outcome=${outcome}&limit=2${cursor}`,
        )
        seen.push(...data.map((line) => line.event_id))
        cursor = next === null ? '' : `&cursor=${next}`
      } while (cursor !== '')
      expect(seen.sort()).toEqual([...eventIds].sort())
    }
    const one = await call<DeliveryAttemptWire[]>(`/v1/deliveries?event_id=${eventIds[0]}&since=2026-01-01T00:00:00Z`)
    expect(one.data).toHaveLength(1)
    expect((await call('/v1/deliveries?outcome=waiting')).code).toBe('BAD_REQUEST')
    expect((await call('/v1/deliveries?cursor=bm90IG91cnM')).code).toBe('BAD_REQUEST')
    expect((await call('/v1/deliveries/abc')).code).toBe('BAD_REQUEST')
    expect((await call('/v1/deliveries/999999999999')).code).toBe('NOT_FOUND')
    expect((await call('/v1/deliveries/999999999999/attempts')).code).toBe('NOT_FOUND')
  })

  test('DR1: to another tenant they do not exist', async () => {
    const wish = { eventId: id(), endpointId: id() }
    const deliveryId = await addUndone(mesh, wish)
    const deadId = await addDead(mesh, wish)
    await addAttempt(mesh, deliveryId, wish)
    for (const path of [`/v1/deliveries/${deliveryId}`, `/v1/deliveries/${deliveryId}/attempts`]) {
      expect((await call(path, asOther)).code).toBe('NOT_FOUND')
    }
    const lists = ['/v1/deliveries', '/v1/dead-letters', `/v1/events/${wish.eventId}/deliveries`].concat(
      [`endpoint_id=${wish.endpointId}`, `event_id=${wish.eventId}&outcome=waiting`].map(
        (query) => `/v1/deliveries?${query}`,
      ),
    )
    for (const path of lists) expect((await call(path, asOther)).json).toMatchObject({ data: [], next_cursor: null })
    const redrive = { ...post(undefined), headers: { ...asOther.headers } }
    expect((await call(`/v1/dead-letters/${deadId}/redrive`, redrive)).code).toBe('NOT_FOUND')
    expect((await call(`/v1/dead-letters/${deadId}`, { method: 'DELETE', ...asOther })).code).toBe('NOT_FOUND')
    expect((await call(`/v1/deliveries/${deadId}`)).data).toMatchObject({ state: 'dead' })
  })
})

test('DR3, DR4: dead letters are listed, sent again and given up', async () => {
  const wish = { endpointId: id(), eventId: id() }
  const [one, two] = [await addDead(mesh, wish), await addDead(mesh, wish, 'overflow')]
  const path = `/v1/dead-letters?endpoint_id=${wish.endpointId}`
  expect((await call<DeadLetterWire[]>(path)).data).toMatchObject([
    { delivery_id: two, reason: 'overflow' },
    { delivery_id: one, reason: 'exhausted', status: 500, attempts_made: 8 },
  ])
  expect((await call<DeadLetterWire[]>(`${path}&reason=overflow`)).data).toHaveLength(1)
  const redrive = { method: 'POST', headers: { 'idempotency-key': 'redrive-1' } }
  const answers = [
    await call(`/v1/dead-letters/${one}/redrive`, redrive),
    await call(`/v1/dead-letters/${one}/redrive`, redrive),
  ]
  for (const { data } of answers) expect(data).toEqual({ delivery_id: one, state: 'waiting' })
  expect(answers[1]?.headers.get('idempotency-replayed')).toBe('true')
  expect((await call(`/v1/dead-letters/${one}/redrive`, { method: 'POST' })).code).toBe('NOT_FOUND')
  expect((await call(`/v1/deliveries/${one}`)).data).toMatchObject({ state: 'waiting', attempts_made: 0, dead: null })
  expect((await call(`/v1/dead-letters/${two}`, { method: 'DELETE' })).data).toEqual({
    delivery_id: two,
    state: 'discarded',
  })
  expect((await call(`/v1/deliveries/${two}`)).data).toMatchObject({ state: 'discarded', last_attempt: { attempt: 0 } })
  expect((await call(`/v1/dead-letters/${two}`, { method: 'DELETE' })).code).toBe('NOT_FOUND')
})

test('DR5, DR6: attempts come as server-sent events, of one endpoint if asked, and too many listeners are refused', async () => {
  const endpointId = id()
  const stop = new AbortController()
  const open = (query = '') => fetch(new URL(`/v1/deliveries/stream${query}`, server.url), { signal: stop.signal })
  const response = await open(`?endpoint_id=${endpointId}`)
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  let text = ''
  const reading = (async () => {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk as Uint8Array).toString()
  })().catch(() => undefined)
  await until('it is greeted', () => text.includes('event: hello'))
  await addAttempt(mesh, '5', {})
  const attemptId = await addAttempt(mesh, '6', { endpointId })
  await until('it is heard', () =>
    text.includes(`id: ${attemptId}\nevent: attempt\ndata: {"attempt_id":"${attemptId}"`),
  )
  expect(text.match(/event: attempt/g)).toHaveLength(1)
  const others = await Promise.all(Array.from({ length: 15 }, () => open()))
  expect(others.map(({ status }) => status)).toEqual(Array(15).fill(200))
  const refused = await open()
  expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([
    503,
    'OVERLOADED',
  ])
  stop.abort()
  await reading
})
