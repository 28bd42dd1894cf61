import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '#access'
import { createDeliveryReader, deliveriesPart } from '#delivery'
import { discardOne, redriveOne } from '../delivery/dead-letter-store.ts'
import { composeStatement } from '../platform/postgres/statement.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { checkDelivery } from './check-store.ts'

const TENANT = DEFAULT_TENANT_ID
let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const id = () => createId(Date.now())

beforeEach(async () => {
  await mesh.query(
    'truncate ripstop.events, ripstop.deliveries, ripstop.attempts, ripstop.dead_letters, ripstop.outbox, ripstop.endpoint_secrets, ripstop.endpoints',
  )
  await mesh.query(`update ripstop.delivery_shards set owner = $1, expires_at = now() + interval '1 hour'`, [id()])
})

async function addEndpoint(state = 'active'): Promise<string> {
  const endpointId = id()
  await mesh.query(
    `insert into ripstop.endpoints (endpoint_id, tenant_id, url, event_types, state, revision) values ($1, $2, 'https://example.com', '{*}', $3, 1)`,
    [endpointId, TENANT, state],
  )
  return endpointId
}

/** Published as the mesh does it: the event and its deliveries in one statement. */
async function publish(endpointIds: readonly string[], count = 1): Promise<readonly string[]> {
  const eventIds = Array.from({ length: count }, id)
  const fresh = {
    name: 'fresh',
    text: `
      insert into ripstop.events (event_id, tenant_id, source, id, type, occurred_at, body, fan_out)
      select e, $2::uuid, 's', e::text, 't', now(), '{}', $3::integer from unnest($1::uuid[]) e returning event_id`,
    values: [eventIds, TENANT, endpointIds.length],
  }
  const wishes = eventIds.flatMap((messageId) =>
    endpointIds.map(
      (targetId) =>
        ({
          tenantId: TENANT,
          kind: 'webhook',
          targetId,
          messageId,
          bytes: 2,
          key: undefined,
          lanes: 1,
          isOrdered: false,
        }) as const,
    ),
  )
  const { text, values } = composeStatement([fresh, deliveriesPart(wishes)], 'select 1')
  await mesh.query(text, values)
  return eventIds
}

/** What the engine does when some were sent; an attempt is about as old as its event. */
const finish = (which: string, values: readonly unknown[]) =>
  mesh.query(
    `with done as (delete from ripstop.deliveries where ${which} returning *)
     insert into ripstop.attempts (attempt_id, delivery_id, tenant_id, kind, target_id, message_id, n, outcome, duration_ms, replay_id)
     select (substr(message_id::text, 1, 14) || substr(gen_random_uuid()::text, 15))::uuid, delivery_id, tenant_id, kind, target_id, message_id,
       1, 'delivered', 1, replay_id
     from done`,
    values,
  )

const check = async (over: object = {}) => {
  const bounds = {
    sinceWallMs: Date.now() - 600_000,
    untilWallMs: Date.now() + 1_000,
    secretAgeMs: 86_400_000,
    outboxAgeMs: 1_000,
    overdueMs: 60_000,
  }
  const found = await checkDelivery(mesh.link, mesh.ctx, { ...bounds, ...over })
  const orphans = Object.fromEntries(
    found.counts.filter(({ count }) => count > 0).map(({ name, count, ids }) => [name, { count, ids }]),
  )
  return { ...found, orphans }
}

describe('the orphan check', () => {
  test('OR2: undone, delivered, dead, redriven, discarded and replayed deliveries leave every count at 0', async () => {
    const endpoints = [await addEndpoint(), await addEndpoint('paused')]
    const [one, two, three, four] = await publish(endpoints, 4)
    await publish([], 1)
    await finish('message_id = $1', [one])
    await mesh.query(
      `with dead as (delete from ripstop.deliveries where message_id = any ($1::uuid[]) returning *)
       insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason)
       select delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, 0, 'overflow' from dead`,
      [[two, three]],
    )
    const letters = await mesh.query<{ delivery_id: string; message_id: string }>(
      'select delivery_id, message_id from ripstop.dead_letters order by 1',
    )
    const audit = {
      tenantId: TENANT,
      actor: 'cli',
      action: 'x',
      resource: 'x',
      outcome: 'done',
      traceId: undefined,
    } as const
    for (const { delivery_id, message_id } of letters) {
      if (message_id === two) await redriveOne(mesh.link, mesh.ctx, delivery_id, audit, undefined)
      else await discardOne(mesh.link, mesh.ctx, delivery_id, id(), audit)
    }
    // A replay's deliveries are not what was made with the event.
    await mesh.query(
      `insert into ripstop.deliveries (tenant_id, kind, target_id, shard, message_id, bytes, replay_id) values ($1, 'webhook', $2, 0, $3, 1, $2)`,
      [TENANT, endpoints[0], four],
    )
    const found = await check()
    expect(found.orphans).toEqual({})
    expect(found).toMatchObject({ events: 5, deliveries: 8 })
    expect(found.counts.map(({ name }) => name)).toHaveLength(11)
  })

  test('OR1: a delivery that vanishes, or comes from nowhere, is counted with its event', async () => {
    const endpoints = [await addEndpoint(), await addEndpoint()]
    const eventIds = await publish(endpoints, 8)
    expect((await check()).orphans).toEqual({})
    await mesh.query('delete from ripstop.deliveries where message_id = $1 and target_id = $2', [
      eventIds[0],
      endpoints[0],
    ])
    expect((await check()).orphans).toEqual({ events_with_missing_deliveries: { count: 1, ids: [eventIds[0]] } })
    await mesh.query('delete from ripstop.deliveries where message_id = any ($1::uuid[])', [eventIds.slice(1)])
    await publish([endpoints[0] ?? ''], 1)
    const { orphans } = await check()
    expect(orphans.events_without_deliveries).toMatchObject({
      count: 7,
      ids: [...eventIds]
        .sort()
        .filter((event) => event !== eventIds[0])
        .slice(0, 5),
    })
    const [extra] = await publish([], 1)
    await mesh.query(
      `insert into ripstop.deliveries (tenant_id, kind, target_id, shard, message_id, bytes) values ($1, 'webhook', $2, 0, $3, 1)`,
      [TENANT, endpoints[0], extra],
    )
    expect((await check()).orphans.events_with_extra_deliveries).toEqual({ count: 1, ids: [extra] })
    await mesh.query(
      `insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason)
       select delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, 0, 'exhausted' from ripstop.deliveries where message_id = $1`,
      [eventIds[0]],
    )
    expect((await check()).orphans.deliveries_in_two_places?.count).toBe(1)
  })

  test('OR1: what is outside the window is not looked at', async () => {
    const [eventId] = await publish([await addEndpoint()], 1)
    await mesh.query('delete from ripstop.deliveries')
    expect((await check()).orphans.events_without_deliveries).toEqual({ count: 1, ids: [eventId] })
    expect(await check({ untilWallMs: Date.now() - 60_000 })).toMatchObject({ events: 0, deliveries: 0, orphans: {} })
  })

  test('OR1: undone deliveries without an event, an endpoint, or a sender are counted', async () => {
    const [active, parked, gone] = [await addEndpoint(), await addEndpoint('gone'), await addEndpoint()]
    await publish([active, parked, gone], 1)
    await mesh.query(`update ripstop.deliveries set due_at = now() - interval '10 minutes'`)
    expect((await check()).orphans).toEqual({ overdue_with_free_capacity: { count: 2, ids: expect.anything() } })
    await mesh.query(`update ripstop.endpoints set deleted_at = now() - interval '10 minutes' where endpoint_id = $1`, [
      gone,
    ])
    const [busy] = await mesh.query<{ delivery_id: string; message_id: string }>(
      'select delivery_id, message_id from ripstop.deliveries where target_id = $1',
      [active],
    )
    expect(Object.keys((await check()).orphans)).toEqual(['undone_without_endpoint', 'overdue_with_free_capacity'])
    // It is being sent to: what waits there waits for its turn.
    await mesh.query(
      `insert into ripstop.attempts (attempt_id, delivery_id, tenant_id, kind, target_id, message_id, n, outcome, duration_ms) values ($1, 999, $2, 'webhook', $3, $3, 1, 'failed', 1)`,
      [id(), TENANT, active],
    )
    expect(Object.keys((await check()).orphans)).toEqual(['undone_without_endpoint'])
    await mesh.query('delete from ripstop.events where event_id = $1', [busy?.message_id])
    expect((await check()).orphans.undone_without_event).toMatchObject({ count: 3 })
  })

  test('OR2: of an ordered key what waits behind an older one is not overdue', async () => {
    const endpointId = await addEndpoint()
    await publish([endpointId], 2)
    await mesh.query(
      `update ripstop.deliveries set key_hash = 5, due_at = now() + interval '1 hour' where delivery_id = (select min(delivery_id) from ripstop.deliveries)`,
    )
    await mesh.query(
      `update ripstop.deliveries set key_hash = 5, due_at = now() - interval '1 hour' where delivery_id = (select max(delivery_id) from ripstop.deliveries)`,
    )
    expect((await check()).orphans).toEqual({})
  })

  test('OR1: shards without owner, old secrets, missing partitions and a stale outbox are counted', async () => {
    const endpointId = await addEndpoint()
    await mesh.query(
      `update ripstop.delivery_shards set expires_at = now() - interval '1 second' where shard in (3, 9)`,
    )
    const secretId = id()
    await mesh.query(
      `insert into ripstop.endpoint_secrets (secret_id, endpoint_id, algorithm, sealed, created_at) values ($1, $2, 'v1', '', now() - interval '2 days')`,
      [secretId, endpointId],
    )
    const [row] = await mesh.query<{ outbox_id: string }>(
      `insert into ripstop.outbox (event, created_at) values ('{}', now() - interval '1 minute') returning outbox_id`,
    )
    const [tomorrow] = await mesh.query<{ name: string }>(
      `select 'attempts_' || to_char((now() + interval '1 day') at time zone 'UTC', 'YYYYMMDD') as name`,
    )
    await mesh.query(`alter table ripstop.attempts detach partition ripstop.${tomorrow?.name}`)
    await mesh.query(`alter table ripstop.${tomorrow?.name} rename to set_aside`)
    expect((await check()).orphans).toEqual({
      shards_without_owner: { count: 2, ids: ['3', '9'] },
      secrets_over_age: { count: 1, ids: [secretId] },
      partitions_missing: { count: 1, ids: ['attempts'] },
      outbox_waiting: { count: 1, ids: [row?.outbox_id] },
    })
    await mesh.query(`drop table ripstop.set_aside; select ripstop.make_partitions('attempts', 7)`)
    expect(Object.keys((await check()).orphans)).not.toContain('partitions_missing')
  })
})

test('OR2: while deliveries are published, sent and redriven every count stays at 0', async () => {
  const endpoints = [await addEndpoint(), await addEndpoint(), await addEndpoint()]
  let isOver = false
  const found: object[] = []
  const publishing = (async () => {
    for (let round = 0; round < 40; round++) await publish(endpoints, 10)
    await until('it was looked at often enough', () => found.length > 3)
    isOver = true
  })()
  const working = (async () => {
    while (!isOver) {
      await finish('delivery_id % 3 = 0', [])
      await mesh.query(
        `with dead as (delete from ripstop.deliveries where delivery_id % 3 = 1 returning *)
         insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason)
         select delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, 8, 'exhausted' from dead`,
      )
      const letters = await mesh.query<{ delivery_id: string }>('select delivery_id from ripstop.dead_letters limit 20')
      const gate = { name: 'gate', text: 'select 1', values: [] }
      const { redriveParts } = createDeliveryReader(mesh.link)
      const parts = redriveParts(
        TENANT,
        letters.map((letter) => letter.delivery_id),
        'gate',
      )
      const { text, values } = composeStatement([gate, ...parts], 'select 1')
      await mesh.query(text, values)
    }
  })()
  while (!isOver) found.push((await check()).orphans)
  await Promise.all([publishing, working])
  expect(found.length).toBeGreaterThan(3)
  expect(found.filter((orphans) => Object.keys(orphans).length > 0)).toEqual([])
  expect(await check()).toMatchObject({ events: 400, deliveries: 1_200, orphans: {} })
})
