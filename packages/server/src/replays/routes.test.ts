import { createId } from '@ripstop/kernel'
import type { ReplayWire } from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { post, startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { OTHER_TENANT, TENANT } from './replays.fixture.ts'
import { createReplayRoutes } from './routes.ts'

const ENDPOINT = createId(Date.now())
let database: TestDatabase
let mesh: TestMesh
let server: TestServer

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  const { env, link } = mesh
  const hasEndpoint = async (_: unknown, tenantId: string, endpointId: string) =>
    tenantId === TENANT && endpointId === ENDPOINT
  server = await startTestServer({
    routes: createReplayRoutes({ env, link, hasEndpoint }),
    authenticate: (headers) => ({
      tenantId: String(headers['x-tenant'] ?? TENANT),
      actor: 'key:1',
      keyId: '1',
      scopes: ['webhooks:read', 'webhooks:write'],
    }),
  })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

async function call<T = ReplayWire>(path: string, init: RequestInit = {}) {
  const answer = await server.request(path, init)
  return { ...answer, data: answer.json.data as T, code: answer.json.error?.code }
}

describe('replays over the API', () => {
  test('one is asked for, shown, listed and cancelled; a repetition is the same one', async () => {
    const wish = { endpoint_id: ENDPOINT, since: '2026-01-01T00:00:00Z', types: ['order.*'] }
    const headers = { 'idempotency-key': 'replay-1' }
    const [one, again] = [
      await call('/v1/replays', post(wish, headers)),
      await call('/v1/replays', post(wish, headers)),
    ]
    expect(one.status).toBe(202)
    expect(one.data).toMatchObject({
      what: 'events',
      endpoint_id: ENDPOINT,
      state: 'running',
      done: 0,
      cursor_at: null,
    })
    expect(one.data.selector).toMatchObject({ since: '2026-01-01T00:00:00.000Z', types: ['order.*'], only: 'all' })
    expect(Date.parse(String(one.data.selector.until))).toBeLessThanOrEqual(Date.now())
    expect([again.data, again.headers.get('idempotency-replayed')]).toEqual([one.data, 'true'])
    const path = `/v1/replays/${one.data.replay_id}`
    expect((await call(path)).data).toEqual(one.data)
    expect((await call<ReplayWire[]>('/v1/replays')).data).toEqual([one.data])
    expect((await call(`${path}/cancel`, { method: 'POST' })).data).toMatchObject({ state: 'cancelled' })
    expect((await call(`${path}/cancel`, { method: 'POST' })).data).toMatchObject({ state: 'cancelled' })
    const lines = await mesh.query<{ action: string }>('select action from ripstop.audit_log order by audit_id')
    expect(lines.map(({ action }) => action)).toEqual(['replay.create', 'replay.cancel'])
  })

  test('dead letters are sent again by a job of the same kind', async () => {
    const { data } = await call('/v1/dead-letters/redrive', post({ reason: 'overflow' }))
    expect(data).toMatchObject({ what: 'dead_letters', endpoint_id: null, selector: { reason: 'overflow' } })
  })

  test('what makes no sense, is not there, or is another tenant’s is refused', async () => {
    const wish = { endpoint_id: ENDPOINT, since: '2026-01-02T00:00:00Z' }
    expect((await call('/v1/replays', post({ ...wish, until: '2026-01-01T00:00:00Z' }))).code).toBe('BAD_REQUEST')
    expect((await call('/v1/replays', post({ ...wish, since: '2999-01-01T00:00:00Z' }))).code).toBe('BAD_REQUEST')
    expect((await call('/v1/replays', post({ ...wish, endpoint_id: createId(1) }))).code).toBe('NOT_FOUND')
    expect((await call('/v1/replays?cursor=bm90IG91cnM')).code).toBe('BAD_REQUEST')
    const asOther = { 'x-tenant': OTHER_TENANT }
    expect((await call('/v1/replays', post(wish, asOther))).code).toBe('NOT_FOUND')
    const { data } = await call('/v1/replays', post(wish))
    expect((await call(`/v1/replays/${data.replay_id}`, { headers: asOther })).code).toBe('NOT_FOUND')
    expect((await call(`/v1/replays/${data.replay_id}/cancel`, { method: 'POST', headers: asOther })).code).toBe(
      'NOT_FOUND',
    )
    expect((await call(`/v1/replays/${data.replay_id}`)).data.state).toBe('running')
    expect((await call<ReplayWire[]>('/v1/replays', { headers: asOther })).data).toEqual([])
  })

  test('so many run at a time and no more', async () => {
    const wish = { endpoint_id: ENDPOINT, since: '2026-01-02T00:00:00Z' }
    await mesh.query('delete from ripstop.replay_jobs')
    for (let index = 0; index < 20; index++) expect((await call('/v1/replays', post(wish))).status).toBe(202)
    expect((await call('/v1/replays', post(wish))).code).toBe('CONFLICT')
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const { json, data }: { json: object; data: ReplayWire[] } = await call<ReplayWire[]>(
        `/v1/replays?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`,
      )
      seen.push(...data.map((job) => job.replay_id))
      cursor = (json as { next_cursor?: string | null }).next_cursor ?? null
    }
    expect(seen).toHaveLength(20)
    expect(seen).toEqual([...seen].sort().reverse())
  })
})
