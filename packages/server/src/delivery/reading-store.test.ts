import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { addAttempt, addDead, addUndone, OTHER_TENANT, TENANT } from './reading.fixture.ts'
import {
  type AttemptFilter,
  listAttempts,
  listDeliveriesOfEvent,
  listUndone,
  readDelivery,
  SCAN_MAX,
} from './reading-store.ts'

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

/** All pages, a page at a time. */
async function follow(filter: AttemptFilter, limit: number, tenantId = TENANT): Promise<string[]> {
  const ids: string[] = []
  let after: string | undefined
  for (let page = 0; page < 100; page++) {
    const { lines, next } = await listAttempts(mesh.link, mesh.ctx, tenantId, filter, { after, limit })
    expect(lines.length).toBeLessThanOrEqual(limit)
    ids.push(...lines.map(({ attemptId }) => attemptId))
    if (next === undefined) return ids
    after = next
  }
  throw new Error('the list has no end')
}

describe('how a delivery stands', () => {
  test('it is undone, given up, delivered or discarded, with its last attempt', async () => {
    const wish = { eventId: id(), endpointId: id() }
    const undone = await addUndone(mesh, wish, 60_000, 1)
    await addAttempt(mesh, undone, { ...wish, outcome: 'failed', status: 503, nextDueInMs: 60_000 })
    const dead = await addDead(mesh, wish)
    const delivered = await addUndone(mesh, wish)
    await mesh.query('delete from ripstop.deliveries where delivery_id = $1', [delivered])
    await addAttempt(mesh, delivered, { ...wish, n: 1, outcome: 'unknown', nextDueInMs: 5 })
    await addAttempt(mesh, delivered, { ...wish, n: 2, status: 200 })
    const views = await listDeliveriesOfEvent(mesh.link, mesh.ctx, TENANT, wish.eventId)
    expect(views.map(({ deliveryId, state, attemptsMade }) => [deliveryId, state, attemptsMade])).toEqual([
      [delivered, 'delivered', 2],
      [dead, 'dead', 8],
      [undone, 'waiting', 1],
    ])
    expect(views[0]).toMatchObject({ ...wish, last: { attempt: 2, status: 200 }, dueWallMs: null, dead: undefined })
    expect(views[1]).toMatchObject({ ...wish, last: undefined, dead: { reason: 'exhausted', status: 500 } })
    expect(views[2]).toMatchObject({ ...wish, last: { attempt: 1, status: 503 }, isUnowned: false })
    expect(views[2]?.dueWallMs).toBeGreaterThan(Date.now())
    for (const view of views) {
      expect(await readDelivery(mesh.link, mesh.ctx, TENANT, view.deliveryId)).toEqual(view)
    }
  })

  test('it is due and nobody owns its shard, until somebody does', async () => {
    const deliveryId = await addUndone(mesh, {})
    const isUnowned = async () => (await readDelivery(mesh.link, mesh.ctx, TENANT, deliveryId))?.isUnowned
    expect(await isUnowned()).toBe(true)
    await mesh.query(`update ripstop.delivery_shards set expires_at = now() + interval '1 hour' where shard = 7`)
    expect(await isUnowned()).toBe(false)
    await mesh.query(`update ripstop.delivery_shards set expires_at = '-infinity' where shard = 7`)
  })
})

describe('lists', () => {
  test('DR2: pages give every attempt once, newest first, by event, endpoint, delivery, outcome and time', async () => {
    const endpointId = id()
    const events = [id(), id(), id()]
    const startMs = Date.now() - 100_000
    const made: { id: string; event: string; outcome: string }[] = []
    for (let index = 0; index < 60; index++) {
      const event = events[index % 3] as string
      const outcome = index % 5 === 0 ? 'failed' : 'delivered'
      // Some days ago: other partitions, and the default one.
      const attemptId = createId(startMs + index * 1_000 - (index < 20 ? 3 * 86_400_000 : 0))
      await addAttempt(mesh, String(900_000 + (index % 3)), { attemptId, endpointId, eventId: event, outcome })
      made.unshift({ id: attemptId, event, outcome })
    }
    made.sort((one, two) => (one.id < two.id ? 1 : -1))
    const idsOf = (rows: typeof made) => rows.map((row) => row.id)
    const [event = ''] = events
    for (const limit of [1, 7, 20, 60, 200]) {
      expect(await follow({ endpointId }, limit)).toEqual(idsOf(made))
      expect(await follow({ eventId: event }, limit)).toEqual(idsOf(made.filter((row) => row.event === event)))
      expect(await follow({ endpointId, outcome: 'failed' }, limit)).toEqual(
        idsOf(made.filter((row) => row.outcome === 'failed')),
      )
    }
    expect(await follow({ eventId: event, endpointId: id() }, 7)).toEqual([])
    expect(await follow({ deliveryId: '900001', endpointId }, 7)).toHaveLength(20)
    expect(await follow({ endpointId, sinceWallMs: startMs + 50_000 }, 7)).toEqual(idsOf(made).slice(0, 10))
    const all = await follow({}, 7)
    expect(all).toEqual([...all].sort().reverse())
    expect(all).toEqual(expect.arrayContaining(idsOf(made)))
  })

  test('DR2: a page looks at so many rows and no more, and says where the next one begins', async () => {
    const endpointId = id()
    const needle = createId(Date.now() - 3_600_000)
    await addAttempt(mesh, '5000000', { attemptId: needle, endpointId, outcome: 'failed' })
    await mesh.query(
      `insert into ripstop.attempts (attempt_id, delivery_id, tenant_id, kind, target_id, message_id, n, outcome, duration_ms)
       select (substr(ripstop.least_id_at(now() - interval '30 minutes' + n * interval '1 ms')::text, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid,
              5000000 + n, $1, 'webhook', $2, $2, 1, 'delivered', 1 from generate_series(1, $3::integer) n`,
      [TENANT, endpointId, SCAN_MAX + 500],
    )
    const first = await listAttempts(
      mesh.link,
      mesh.ctx,
      TENANT,
      { endpointId, outcome: 'failed' },
      { after: undefined, limit: 5 },
    )
    expect(first.lines).toEqual([])
    expect(first.next).toBeDefined()
    expect(await follow({ endpointId, outcome: 'failed' }, 5)).toEqual([needle])
    // The bound falls on a row that is asked for, too.
    expect(await follow({ endpointId, outcome: 'delivered' }, 5_000)).toHaveLength(SCAN_MAX + 500)
  })

  test('DR2: what waits is listed lane by lane in the order in which it is due', async () => {
    const endpointId = id()
    const eventId = id()
    const made: string[] = []
    for (let index = 0; index < 30; index++)
      made.push(await addUndone(mesh, { endpointId, eventId }, 1_000 * (30 - index)))
    await mesh.query('update ripstop.deliveries set lane = 1 where target_id = $1 and delivery_id % 2 = 0', [
      endpointId,
    ])
    const ids = made.map(Number)
    const ordered = [...ids.filter((id) => id % 2 === 1).reverse(), ...ids.filter((id) => id % 2 === 0).reverse()]
    for (const filter of [{ endpointId }, { eventId }, { endpointId, eventId }]) {
      const found: number[] = []
      let after: string | undefined
      do {
        const page = await listUndone(mesh.link, mesh.ctx, TENANT, filter, { after, limit: 7 })
        found.push(...page.lines.map(({ deliveryId }) => Number(deliveryId)))
        after = page.next
      } while (after !== undefined)
      expect(found).toEqual(ordered)
    }
    const elsewhere = await listUndone(
      mesh.link,
      mesh.ctx,
      TENANT,
      { eventId, endpointId: id() },
      { after: undefined, limit: 7 },
    )
    expect(elsewhere.lines).toEqual([])
  })
})

test('DR1: another tenant finds nothing, whatever it asks by', async () => {
  const wish = { tenantId: TENANT, eventId: id(), endpointId: id() }
  const undone = await addUndone(mesh, wish)
  const dead = await addDead(mesh, wish)
  const done = '777777'
  for (const deliveryId of [undone, dead, done]) await addAttempt(mesh, deliveryId, wish)
  const { eventId, endpointId } = wish
  const bounds = { after: undefined, limit: 50 }
  const look = async (tenantId: string) => {
    const counts: number[] = []
    for (const deliveryId of [undone, dead, done]) {
      counts.push((await readDelivery(mesh.link, mesh.ctx, tenantId, deliveryId)) === undefined ? 0 : 1)
    }
    counts.push((await listDeliveriesOfEvent(mesh.link, mesh.ctx, tenantId, eventId)).length)
    for (const filter of [{ eventId }, { endpointId }, { eventId, endpointId }]) {
      const { lines, next } = await listUndone(mesh.link, mesh.ctx, tenantId, filter, bounds)
      counts.push(lines.length)
      expect(next).toBeUndefined()
    }
    for (const filter of [{ eventId }, { endpointId }, { eventId, endpointId }, { deliveryId: undone }]) {
      counts.push((await follow(filter, 50, tenantId)).length)
    }
    return counts
  }
  expect(await look(TENANT)).toEqual([1, 1, 1, 3, 1, 1, 1, 3, 3, 3, 1])
  expect(await look(OTHER_TENANT)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  expect((await follow({}, 50, OTHER_TENANT)).length).toBe(0)
})
