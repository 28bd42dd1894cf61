import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Principal } from '#platform/http'
import { post, startTestServer, type TestServer } from '../testing/http.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { createWebhookRoutes } from './routes.ts'
import { ASKING, addTenant, type Receiver, startReceiver, startWorld, type World } from './webhooks.fixture.ts'

let database: TestDatabase
let world: World
let receiver: Receiver
let server: TestServer
let principal: Principal
let liveKeys: string[]
let schema: unknown

beforeAll(async () => {
  database = await createTestDatabase()
  world = await startWorld(database.url)
  receiver = await startReceiver()
  const { webhooks, events } = world
  const routes = createWebhookRoutes({
    webhooks,
    publish: events.publish,
    liveKeys: async (_, __, keyIds) => new Set(keyIds.filter((id) => liveKeys.includes(id))),
    readSchema: async () => schema,
  })
  server = await startTestServer({ routes, authenticate: () => principal, bodyBytesMax: 100_000 })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})
beforeEach(() => {
  principal = ASKING.principal
  liveKeys = []
  schema = undefined
})

interface Shown {
  readonly endpoint_id: string
  readonly secret: string
  readonly [field: string]: unknown
}

const send = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
  const init = body === undefined ? { method, headers } : { ...post(body, headers), method }
  const answer = await server.request(path, init)
  return { ...answer, data: answer.json.data as Shown, code: answer.json.error?.code }
}
const create = (body: object, headers = {}) =>
  send('POST', '/v1/endpoints', { url: receiver.url, event_types: ['r.*'], ...body }, headers)

test('an endpoint is made, read, listed, changed and deleted; its secret and headers are shown never again', async () => {
  const made = await create({
    description: 'mine',
    headers: { Authorization: 'Bearer hunter2' },
    filter: 'event.data.a > 1',
  })
  expect(made.status).toBe(201)
  expect(made.data).toMatchObject({
    description: 'mine',
    owner: 'key:test',
    state: 'active',
    header_names: ['authorization'],
    ordering: 'none',
    lanes: 1,
    secret: expect.stringMatching(/^whsec_/),
  })
  const path = `/v1/endpoints/${made.data.endpoint_id}`
  const read = await send('GET', path)
  expect(read.data).toEqual(Object.fromEntries(Object.entries(made.data).filter(([name]) => name !== 'secret')))
  const changed = await send('PATCH', path, { filter: null, event_types: ['*'], rate_per_second: 5, headers: null })
  expect(changed.data).toMatchObject({
    filter: null,
    event_types: ['*'],
    rate_per_second: 5,
    header_names: [],
    description: 'mine',
  })
  const listed = await send('GET', '/v1/endpoints?limit=1')
  expect(listed.json.data).toMatchObject([{ endpoint_id: made.data.endpoint_id }])
  for (const { text } of [read, changed, listed]) expect(text).not.toMatch(/hunter2|whsec_/)
  expect((await send('DELETE', path)).status).toBe(200)
  expect((await send('DELETE', path)).status).toBe(200)
  expect((await send('GET', path)).code).toBe('NOT_FOUND')
  expect((await send('PATCH', path, { lanes: 2 })).code).toBe('NOT_FOUND')
})

test('WE2: what is made has its audit line, its revision, and is made once for one Idempotency-Key', async () => {
  const tenantId = await addTenant(world, 'audited')
  principal = { ...principal, tenantId }
  const headers = { 'Idempotency-Key': 'make-1' }
  const first = await create({}, headers)
  const again = await create({}, headers)
  expect(again.data.endpoint_id).toBe(first.data.endpoint_id)
  expect(again.data.secret).toBeNull()
  expect(again.headers.get('idempotency-replayed')).toBe('true')
  expect((await create({ description: 'another' }, headers)).code).toBe('IDEMPOTENCY_KEY_REUSED')
  expect(await world.count('endpoints', `tenant_id = '${tenantId}' and revision = 1`)).toBe(1)
  expect(await world.count('endpoint_secrets', `endpoint_id = '${first.data.endpoint_id}'`)).toBe(1)
  expect(await world.count('audit_log', `tenant_id = '${tenantId}' and action = 'endpoint.create'`)).toBe(1)
  const path = `/v1/endpoints/${first.data.endpoint_id}`
  await Promise.all(Array.from({ length: 8 }, (_, n) => send('PATCH', path, { description: `n${n}` })))
  const [revisions] = await world.mesh.query<{ revision: string }>(
    'select revision from ripstop.endpoint_revisions where tenant_id = $1',
    [tenantId],
  )
  expect(revisions?.revision).toBe('9')
  expect(await world.count('audit_log', `tenant_id = '${tenantId}' and action = 'endpoint.update'`)).toBe(8)
  // A change that finds nothing leaves nothing.
  await send('PATCH', `/v1/endpoints/${createId(Date.now())}`, { description: 'x' })
  expect(await world.count('endpoint_revisions', `tenant_id = '${tenantId}' and revision = 9`)).toBe(1)
})

test.each([
  [{ url: 'http://10.0.0.1/' }, 'EGRESS_REFUSED'],
  [{ url: 'ftp://example.com/' }, 'EGRESS_REFUSED'],
  [{ url: 'https://user:pass@example.com/' }, 'EGRESS_REFUSED'],
  [{ filter: 'event.data.a >' }, 'FILTER_INVALID'],
  [{ filter: 'event.data.a.matches(event.data.b)' }, 'FILTER_INVALID'],
  [{ headers: { 'webhook-id': 'x' } }, 'BAD_REQUEST'],
  [{ event_types: [] }, 'BAD_REQUEST'],
  [{ event_types: ['*.paid'] }, 'BAD_REQUEST'],
  [{ lanes: 65 }, 'BAD_REQUEST'],
  [{ retry_schedule_ms: [1] }, 'BAD_REQUEST'],
  [{ retry_schedule_ms: Array(21).fill(5_000) }, 'BAD_REQUEST'],
  [{ deadline_ms: 60_001 }, 'BAD_REQUEST'],
  [{ rate_per_second: 0 }, 'BAD_REQUEST'],
  [{ secret: 'hunter2' }, 'BAD_REQUEST'],
  [{ unknown: 1 }, 'BAD_REQUEST'],
])('%j is refused: %s, and nothing is made', async (body, code) => {
  const before = await world.count('endpoints')
  const answer = await create(body)
  expect(answer.code).toBe(code)
  expect(answer.text).not.toContain('hunter2')
  expect(await world.count('endpoints')).toBe(before)
})

test('WE3: to another tenant an endpoint is not there', async () => {
  const { data } = await create({})
  const other = await addTenant(world, 'routes-neighbour')
  principal = { ...principal, tenantId: other }
  const path = `/v1/endpoints/${data.endpoint_id}`
  const asked = [
    send('GET', path),
    send('PATCH', path, { description: 'stolen' }),
    send('DELETE', path),
    send('POST', `${path}/pause`, {}),
    send('POST', `${path}/resume`),
    send('POST', `${path}/test`),
    send('GET', `${path}/secrets`),
    send('POST', `${path}/secrets`, {}),
  ]
  for (const { status, code } of await Promise.all(asked)) expect([status, code]).toEqual([404, 'NOT_FOUND'])
  expect((await send('GET', '/v1/endpoints')).json.data).toEqual([])
  expect((await send('DELETE', `/v1/hooks/${data.endpoint_id}`)).status).toBe(200)
  principal = ASKING.principal
  expect((await send('GET', path)).data).toMatchObject({ description: '', state: 'active' })
})

test('WE4: lanes and ordering change while nothing is undone, and not while something is', async () => {
  const { data } = await create({ event_types: ['lanes.*'] })
  const path = `/v1/endpoints/${data.endpoint_id}`
  expect((await send('PATCH', path, { lanes: 4, ordering: 'key' })).data).toMatchObject({ lanes: 4, ordering: 'key' })
  expect((await send('POST', `${path}/pause`, { reason: 'a rest' })).data).toMatchObject({
    state: 'paused',
    state_reason: 'a rest',
  })
  await world.publish('lanes.x')
  expect((await send('PATCH', path, { lanes: 8 })).code).toBe('CONFLICT')
  expect((await send('PATCH', path, { ordering: 'none' })).code).toBe('CONFLICT')
  // The same value is no change.
  expect((await send('PATCH', path, { lanes: 4, ordering: 'key', description: 'ok' })).status).toBe(200)
  expect((await send('POST', `${path}/resume`)).data).toMatchObject({ state: 'active', state_reason: null })
  await world.nothingUndone()
  expect((await send('PATCH', path, { lanes: 8 })).data).toMatchObject({ lanes: 8 })
})

test('pause and resume may be repeated, with a key and without', async () => {
  const { data } = await create({})
  const path = `/v1/endpoints/${data.endpoint_id}`
  const headers = { 'Idempotency-Key': `pause-${data.endpoint_id}` }
  for (const given of [headers, headers, {}]) {
    expect((await send('POST', `${path}/pause`, undefined, given)).data).toMatchObject({ state: 'paused' })
  }
  for (const given of [{}, {}]) expect((await send('POST', `${path}/resume`, undefined, given)).status).toBe(200)
  expect(
    await world.count('audit_log', `resource = 'endpoint:${data.endpoint_id}' and action = 'endpoint.pause'`),
  ).toBe(1)
})

test('a test event arrives at its endpoint although its types do not fit', async () => {
  const { data } = await create({ url: `${receiver.url}/tested`, event_types: ['nothing.fits'] })
  const tested = await send('POST', `/v1/endpoints/${data.endpoint_id}/test`)
  expect(tested.status).toBe(202)
  await until('it arrives', () => receiver.idsAt('/tested').length === 1)
  expect(receiver.idsAt('/tested')).toEqual([(tested.data as unknown as { event_id: string }).event_id])
})

test('a filter that can not tell is counted and shown', async () => {
  const { data } = await create({ event_types: ['broken.*'], filter: 'event.data.missing > 1' })
  await world.publish('broken.x')
  expect((await send('GET', `/v1/endpoints/${data.endpoint_id}`)).data).toMatchObject({
    filter_errors: { count: 1, last: expect.stringContaining('missing') },
  })
})

test('secrets over the API: rotated with overlap, listed without themselves, revoked, and reported when they are old', async () => {
  const { data } = await create({ algorithm: 'v1a' })
  expect(data.secret).toMatch(/^whpk_/)
  const path = `/v1/endpoints/${data.endpoint_id}/secrets`
  const rotated = await send('POST', path, { algorithm: 'v1', overlap_ms: 60_000 })
  expect(rotated.status).toBe(201)
  expect(rotated.data.secret).toMatch(/^whsec_/)
  expect((await send('POST', path, { overlap_ms: 8 * 86_400_000 })).code).toBe('BAD_REQUEST')
  const listed = await send('GET', path)
  const [present, old] = listed.json.data as { secret_id: string }[]
  expect(listed.json.data).toMatchObject([
    { algorithm: 'v1', is_present: true, public_key: null },
    { algorithm: 'v1a', is_present: false, public_key: data.secret },
  ])
  expect(listed.text).not.toMatch(/whsec_|whsk_/)
  expect((await send('DELETE', `${path}/${present?.secret_id}`)).code).toBe('CONFLICT')
  expect((await send('DELETE', `${path}/${old?.secret_id}`)).status).toBe(200)
  await world.mesh.query(
    `update ripstop.endpoint_secrets set created_at = now() - interval '80 days' where secret_id = $1`,
    [present?.secret_id],
  )
  const stale = await send('GET', '/v1/webhooks/secrets/stale')
  expect(stale.json.data).toMatchObject([{ secret_id: present?.secret_id, is_too_old: false, rotates_itself: false }])
})

test('orphans are told with their reasons and what to do', async () => {
  const tenantId = await addTenant(world, 'orphaned')
  principal = { ...principal, tenantId }
  const [live, dead] = [createId(Date.now()), createId(Date.now())]
  liveKeys = [live]
  const names = ['fine', 'gone', 'silent', 'unmatched', 'ownerless', 'dead-owner'] as const
  const ids = new Map<string, string>()
  for (const name of names) {
    const owner = name === 'ownerless' ? null : `key:${name === 'dead-owner' ? dead : live}`
    ids.set(name, (await create({ owner, description: name })).data.endpoint_id)
  }
  const set = (name: string, assignments: string) =>
    world.mesh.query(`update ripstop.endpoints set ${assignments} where endpoint_id = $1`, [ids.get(name)])
  await set('gone', `state = 'gone', state_reason = 'it answered 410'`)
  await set(
    'silent',
    `created_at = now() - interval '60 days', last_attempt_at = now(), last_success_at = now() - interval '31 days'`,
  )
  await set('unmatched', `created_at = now() - interval '60 days'`)
  await set(
    'fine',
    `created_at = now() - interval '60 days', last_attempt_at = now(), last_success_at = now() - interval '29 days'`,
  )
  const { json } = await send('GET', '/v1/webhooks/orphans?limit=200')
  const found = json.data as { endpoint_id: string; reasons: { reason: string }[]; what_to_do: string }[]
  expect(Object.fromEntries(found.map((one) => [one.endpoint_id, one.reasons.map(({ reason }) => reason)]))).toEqual({
    [ids.get('gone') ?? '']: ['gone'],
    [ids.get('silent') ?? '']: ['no_success'],
    [ids.get('unmatched') ?? '']: ['never_matched'],
    [ids.get('ownerless') ?? '']: ['owner_missing'],
    [ids.get('dead-owner') ?? '']: ['owner_deleted'],
  })
  for (const { what_to_do: advice } of found) expect(advice).not.toBe('')
  expect((await send('GET', '/v1/webhooks/orphans?days=1')).text).toContain(ids.get('fine'))
})

test('WE6: REST Hooks subscribe and unsubscribe, as often as they are asked', async () => {
  const tenantId = await addTenant(world, 'hooked')
  principal = { ...principal, tenantId }
  const made = await send('POST', '/v1/hooks', { hookUrl: `${receiver.url}/hook`, event: 'deal.won' })
  expect(made.status).toBe(201)
  const { id } = made.json as unknown as { id: string }
  expect(made.json).toMatchObject({ id: expect.any(String), target_url: `${receiver.url}/hook`, event: 'deal.won' })
  await world.publish('deal.won', { value: 1 }, {}, tenantId)
  await until('it arrives', () => receiver.idsAt('/hook').length === 1)
  for (let round = 0; round < 2; round++) {
    const gone = await send('DELETE', `/v1/hooks/${id}`)
    expect([gone.status, gone.json]).toEqual([200, { id }])
  }
  expect((await send('DELETE', `/v1/hooks/${createId(Date.now())}`)).status).toBe(200)
  expect((await send('GET', `/v1/endpoints/${id}`)).code).toBe('NOT_FOUND')
  for (const bad of [
    { event: 'a' },
    { target_url: receiver.url, hookUrl: receiver.url, event: 'a' },
    { target_url: 'http://10.0.0.1', event: 'a' },
  ])
    expect((await send('POST', '/v1/hooks', bad)).status).toBe(400)
})

test('samples and polls look like what is delivered; without events a sample is made up from the schema', async () => {
  const tenantId = await addTenant(world, 'sampled')
  principal = { ...principal, tenantId }
  schema = {
    type: 'object',
    properties: {
      value: { type: 'number', minimum: 3 },
      who: { type: 'object', properties: { mail: { type: 'string', format: 'email' } } },
      tags: { type: 'array', items: { enum: ['hot'] } },
    },
  }
  const made = await send('GET', '/v1/hooks/samples?event=deal.won')
  expect(made.json).toMatchObject([
    { type: 'deal.won', data: { value: 3, who: { mail: 'somebody@example.com' }, tags: ['hot'] } },
  ])
  const since = new Date(Date.now() - 1_000).toISOString()
  const ids: string[] = []
  for (let value = 0; value < 5; value++) ids.push(await world.publish('deal.won', { value }, {}, tenantId))
  await world.publish('deal.lost', {}, {}, tenantId)
  const samples = (await send('GET', '/v1/hooks/samples?event=deal.won')).json as unknown as { id: string }[]
  expect(samples.map(({ id }) => id)).toEqual(ids.slice(2).reverse())
  const polled = (await send('GET', `/v1/hooks/poll?event=deal.*&since=${since}`)).json as unknown as { type: string }[]
  expect(polled.map(({ type }) => type)).toEqual(['deal.lost', ...Array(5).fill('deal.won')])
  principal = { ...principal, tenantId: await addTenant(world, 'not-sampled') }
  expect((await send('GET', '/v1/hooks/poll?event=*')).json).toEqual([])
})
