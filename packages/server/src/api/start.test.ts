import { expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '#access'
import { post, startTestServer } from '../testing/http.ts'
import { createTestDatabase } from '../testing/postgres.ts'
import { startWorld } from '../webhooks/webhooks.fixture.ts'
import { startApi } from './start.ts'

test('nothing is replayed to an endpoint that is deleted, or that is another tenant’s', async () => {
  await using database = await createTestDatabase()
  await using world = await startWorld(database.url, { works: false })
  const { mesh, webhooks, sealer } = world
  await using api = startApi({
    env: mesh.env,
    mesh: mesh.mesh,
    link: mesh.link,
    webhooks,
    sealer,
    consumers: [],
    isStrict: () => false,
    liveKeys: async () => new Set(),
    eventBytesMax: 10_000,
    secretAgeMs: 1e10,
  })
  let tenantId = DEFAULT_TENANT_ID
  const authenticate = () => ({ tenantId, actor: 'test', keyId: undefined, scopes: ['admin'] })
  await using server = await startTestServer({ routes: api.routes, authenticate, env: mesh.env })
  const { endpoint } = await world.create({ url: 'http://127.0.0.1:4999/' })
  const since = new Date(Date.now() - 1_000).toISOString()
  const ask = async (path: string, wish: object) =>
    (await server.request(path, post({ endpoint_id: endpoint.endpointId, ...wish }))).status
  const replay = () => ask('/v1/replays', { since })
  const redrive = () => ask('/v1/dead-letters/redrive', {})
  expect([await replay(), await redrive()]).toEqual([202, 202])
  tenantId = '00000000-0000-7000-8000-00000000abcd'
  expect([await replay(), await redrive()]).toEqual([404, 404])
  tenantId = DEFAULT_TENANT_ID
  const deleted = await server.request(`/v1/endpoints/${endpoint.endpointId}`, { method: 'DELETE' })
  expect(deleted.status).toBeLessThan(300)
  expect([await replay(), await redrive()]).toEqual([404, 404])
})
