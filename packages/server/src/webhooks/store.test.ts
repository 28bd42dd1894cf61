import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { ownLine } from './asking.ts'
import { pauseEndpoint, resumeEndpoint, updateEndpoint } from './endpoints.ts'
import { listSecrets } from './secret-store.ts'
import { rotateSecret } from './secrets.ts'
import { changeEndpoint, currentPart, readChanges, readEndpoint } from './store.ts'
import { ASKING, addTenant, startWorld, type World } from './webhooks.fixture.ts'

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

const { tenantId } = ASKING.principal
const ctx = () => world.mesh.ctx.within(10_000)
const create = async () => (await world.create({ url: 'https://example.com' })).endpoint
const audited = (endpointId: string, action: string) =>
  world.count('audit_log', `resource = 'endpoint:${endpointId}' and action = '${action}'`)

/** Runs `statements` in a transaction that is committed only once `racing` waits for it. */
async function within<T>(statements: readonly string[], racing: () => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: database.url })
  await client.connect()
  try {
    await client.query('begin')
    for (const statement of statements) await client.query(statement)
    const result = racing()
    result.catch(() => undefined) // it is awaited below
    await until('it waits', async () => {
      const waiting = `select count(*)::int as count from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
      const [row] = await world.mesh.query<{ count: number }>(waiting)
      return (row?.count ?? 0) > 0
    })
    await client.query('commit')
    return await result
  } finally {
    await client.end()
  }
}
const raised = `update ripstop.endpoint_revisions set revision = revision + 1 where tenant_id = '${tenantId}'`

test('WE7: a change that waited for another is decided by what that one did', async () => {
  const { endpointId } = await create()
  const paused = `update ripstop.endpoints set state = 'paused', state_reason = 'by me' where endpoint_id = '${endpointId}'`
  const gone = () =>
    changeEndpoint(world.webhooks.link, ctx(), {
      tenantId,
      endpointId,
      set: [`state = 'gone'`],
      values: [],
      only: `e.state = 'active'`,
      audit: ownLine(tenantId, 'endpoint.gone', `endpoint:${endpointId}`),
      event: { type: 'ripstop.endpoint.gone', source: '/ripstop/webhooks', subject: endpointId },
    })
  const outbox = await world.count('outbox')
  expect(await within([raised, paused], gone)).toBeUndefined()
  expect(await readEndpoint(world.webhooks.link, ctx(), tenantId, endpointId)).toMatchObject({ state: 'paused' })
  expect(await audited(endpointId, 'endpoint.gone')).toBe(0)
  expect(await world.count('outbox')).toBe(outbox)
  // One that has nothing to do with the other is done all the same.
  const described = () => updateEndpoint(world.webhooks, ctx(), ASKING, endpointId, { description: 'changed' })
  expect(await within([raised], described)).toMatchObject({ description: 'changed', state: 'paused' })
})

test('WS4, WE7: a rotation that waited for another ends the secret that the other made', async () => {
  const { endpointId } = await create()
  const other = '01900000-0000-7000-8000-0000000000aa'
  const rotation = [
    raised,
    `update ripstop.endpoint_secrets set signs_until = now() + interval '1 day' where endpoint_id = '${endpointId}'`,
    `insert into ripstop.endpoint_secrets (secret_id, endpoint_id, algorithm, sealed) values ('${other}', '${endpointId}', 'v1', '')`,
  ]
  const made = await within(rotation, () => rotateSecret(world.webhooks, ctx(), ASKING, endpointId, {}))
  const secrets = await listSecrets(world.webhooks.link, ctx(), tenantId, [endpointId])
  const present = secrets.filter(({ signsUntilWallMs }) => signsUntilWallMs === undefined)
  expect(present.map(({ secretId }) => secretId)).toEqual([made.secretId])
  expect(secrets).toHaveLength(3)
})

test('WE7: many changes of one tenant at once are all done, or refused by name', async () => {
  const { endpointId } = await create()
  const both = Array.from({ length: 12 }, (_, n) =>
    n % 2 === 0
      ? pauseEndpoint(world.webhooks, ctx(), ASKING, endpointId)
      : resumeEndpoint(world.webhooks, ctx(), ASKING, endpointId),
  )
  for (const result of await Promise.allSettled(both)) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'OVERLOADED' })
  }
  const [paused, resumed] = [await audited(endpointId, 'endpoint.pause'), await audited(endpointId, 'endpoint.resume')]
  const { state } = (await readEndpoint(world.webhooks.link, ctx(), tenantId, endpointId)) ?? {}
  // Every pause but the last was ended by a resume.
  expect(paused - resumed).toBe(state === 'paused' ? 1 : 0)
})

test('WE2, WK1: what changed since a revision is read with it, deleted ones too, and nothing of another tenant', async () => {
  const tenant = await addTenant(world, 'changes')
  const asking = { principal: { ...ASKING.principal, tenantId: tenant } }
  const { link } = world.webhooks
  expect(await readChanges(link, ctx(), tenant, 0)).toEqual({ revision: 0, endpoints: [] })
  const [one, two] = [
    (await world.create({ url: 'https://example.com/1' }, asking)).endpoint,
    (await world.create({ url: 'https://example.com/2' }, asking)).endpoint,
  ]
  const all = await readChanges(link, ctx(), tenant, 0)
  expect(all.revision).toBe(2)
  expect(all.endpoints.map(({ endpointId }) => endpointId).sort()).toEqual([one.endpointId, two.endpointId].sort())
  await updateEndpoint(world.webhooks, ctx(), asking, two.endpointId, { description: 'x' })
  await world.mesh.query(
    `with r as (update ripstop.endpoint_revisions set revision = revision + 1 where tenant_id = $2 returning revision)
     update ripstop.endpoints set deleted_at = now(), revision = r.revision from r where endpoint_id = $1`,
    [one.endpointId, tenant],
  )
  const since = await readChanges(link, ctx(), tenant, 2)
  expect(since.revision).toBe(4)
  expect(
    since.endpoints.map(({ endpointId, deletedWallMs }) => [endpointId, deletedWallMs !== undefined]).sort(),
  ).toEqual(
    [
      [one.endpointId, true],
      [two.endpointId, false],
    ].sort(),
  )
  expect((await readChanges(link, ctx(), tenant, 4)).endpoints).toEqual([])
  expect((await readChanges(link, ctx(), tenant, 0)).endpoints).toHaveLength(1)
})

test('what a plan relied on is checked for every tenant of it, known or not', async () => {
  const tenant = await addTenant(world, 'current')
  const holds = async (known: readonly (readonly [string, number])[]) => {
    const { text, values } = currentPart(new Map(known))
    return (await world.mesh.query(text, values)).length === 1
  }
  const { revision } = await readChanges(world.webhooks.link, ctx(), tenantId, 0)
  expect(await holds([[tenantId, revision]])).toBe(true)
  expect(await holds([[tenant, 0]])).toBe(true)
  expect(await holds([])).toBe(true)
  expect(await holds([[tenantId, revision - 1]])).toBe(false)
  expect(
    await holds([
      [tenantId, revision],
      [tenant, 1],
    ]),
  ).toBe(false)
})
