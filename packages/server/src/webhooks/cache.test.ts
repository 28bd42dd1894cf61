import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { EndpointCache } from './cache.ts'
import { deleteEndpoint, updateEndpoint } from './endpoints.ts'
import { addTenant, principalAsking, startWorld, type World } from './webhooks.fixture.ts'

let database: TestDatabase
let world: World

beforeAll(async () => {
  database = await createTestDatabase()
  world = await startWorld(database.url, { works: false })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const ctx = () => world.mesh.ctx.within(10_000)
const createCache = (endpointsMax = 1_000) =>
  new EndpointCache({ env: world.mesh.env, link: world.webhooks.link, endpointsMax })

test('WK1: a poll brings what was made, changed and deleted, and leaves the rest as it was', async () => {
  const tenantId = await addTenant(world, 'polled')
  const asking = principalAsking(tenantId)
  const make = async (path: string) =>
    (await world.create({ url: `https://example.com/${path}` }, asking)).endpoint.endpointId
  const [kept, changed, deleted] = [await make('kept'), await make('changed'), await make('deleted')]
  const cache = createCache()
  await cache.load(ctx(), [kept])
  const before = cache.endpoint(kept)
  expect([kept, changed, deleted].map((id) => cache.endpoint(id) !== undefined)).toEqual([true, true, true])
  const made = await make('made')
  await updateEndpoint(world.webhooks, ctx(), asking, changed, { eventTypes: ['other'] })
  await deleteEndpoint(world.webhooks, ctx(), asking, deleted)
  await cache.poll(ctx())
  const tenant = await cache.tenant(tenantId)
  expect(new Set(tenant.byId.keys())).toEqual(new Set([kept, changed, made]))
  expect(cache.endpoint(kept)).toBe(before)
  expect(cache.endpoint(deleted)).toBeUndefined()
  expect(
    tenant
      .find('any')
      .map(({ endpoint }) => endpoint.endpointId)
      .sort(),
  ).toEqual([kept, made].sort())
  expect(tenant.find('other').length).toBe(3)
})

test('the tenant that was used least lately leaves at the bound, and is read again', async () => {
  const cache = createCache(4)
  const tenants: { readonly tenantId: string; readonly endpointId: string }[] = []
  for (const name of ['room-a', 'room-b', 'room-c']) {
    const tenantId = await addTenant(world, name)
    const { endpoint } = await world.create({ url: 'https://example.com/1' }, principalAsking(tenantId))
    await world.create({ url: 'https://example.com/2' }, principalAsking(tenantId))
    tenants.push({ tenantId, endpointId: endpoint.endpointId })
  }
  const [a, b, c] = tenants as [(typeof tenants)[0], (typeof tenants)[0], (typeof tenants)[0]]
  await cache.tenant(a.tenantId)
  await cache.tenant(b.tenantId)
  await cache.tenant(a.tenantId)
  await cache.tenant(c.tenantId)
  expect(cache.known(b.tenantId)).toBeUndefined()
  expect(cache.endpoint(b.endpointId)).toBeUndefined()
  expect(cache.endpoint(a.endpointId)).toBeDefined()
  await cache.load(ctx(), [b.endpointId])
  expect(cache.endpoint(b.endpointId)).toBeDefined()
  expect(cache.known(a.tenantId)).toBeUndefined()
})

test('an endpoint that was never there is asked for once', async () => {
  const cache = createCache()
  const missing = createId(Date.now())
  await cache.load(ctx(), [missing])
  await world.mesh.postgres.link.drain(ctx())
  await cache.load(ctx(), [missing])
  expect(cache.endpoint(missing)).toBeUndefined()
  world.mesh.postgres.link.start()
  await world.mesh.postgres.link.whenUp(ctx())
})

test('a tenant has at most 10,000 endpoints; the next is refused, and one can be made when another is deleted', async () => {
  const tenantId = await addTenant(world, 'crowded')
  const asking = principalAsking(tenantId)
  const { endpoint } = await world.create({ url: 'https://example.com/1' }, asking)
  await world.mesh.query(
    `insert into ripstop.endpoints (endpoint_id, tenant_id, url, event_types, revision)
     select gen_random_uuid(), $1, 'https://example.com/', '{a.b}', 1 from generate_series(2, 10000)`,
    [tenantId],
  )
  await expect(world.create({ url: 'https://example.com/2' }, asking)).rejects.toMatchObject({ code: 'CONFLICT' })
  await deleteEndpoint(world.webhooks, ctx(), asking, endpoint.endpointId)
  await world.create({ url: 'https://example.com/2' }, asking)
  const cache = createCache(20_000)
  const startedMs = performance.now()
  const tenant = await cache.tenant(tenantId)
  const loadMs = performance.now() - startedMs
  expect(tenant.byId.size).toBe(10_000)
  expect(tenant.find('a.b')).toHaveLength(10_000)
  expect(tenant.find('a.c')).toHaveLength(1)
  expect(loadMs).toBeLessThan(5_000)
})
