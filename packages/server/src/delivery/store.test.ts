import { createId } from '@ripstop/kernel'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { composeStatement } from '#platform/postgres'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { countRows, newDeliveries, OK, publish, TARGET } from './engine.fixture.ts'
import type { NewDelivery } from './kind.ts'
import { keyHashOf, laneOf, SHARDS, shardOf } from './placing.ts'
import { deliveriesPart, overflowPart } from './publishing-store.ts'
import { createDeliveryUpkeep } from './retention.ts'
import { type Ending, settle, settleStatement } from './settling-store.ts'
import { claimShards, releaseShards, renewShards } from './shard-store.ts'
import {
  discover,
  readDue,
  readKeys,
  readSnapshot,
  SWEEP_FROM_START,
  type SweptLane,
  scanKeys,
  sweep,
} from './store.ts'

/** Rows in the table say it: another result would be another place for the same key. */
const PLACED = [2, 3, 6134634097715694, 9]
const ALL = Array.from({ length: SHARDS }, (_, shard) => shard)
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

beforeEach(async () => {
  await mesh.query('truncate ripstop.deliveries, ripstop.attempts, ripstop.dead_letters')
  await mesh.query(`update ripstop.delivery_shards set owner = null, expires_at = '-infinity', epoch = 7`)
})

const target = (isOrdered = false, lanes = 1) => ({ ...TARGET, targetId: createId(Date.now()), isOrdered, lanes })

describe('publishing', () => {
  test('DL1: only deliveries of messages that are fresh are written, and none of a statement that fails', async () => {
    const deliveries = newDeliveries(target(), 4)
    const [first, second] = deliveries as [NewDelivery, NewDelivery]
    const fresh = {
      name: 'fresh',
      text: 'select unnest($1::uuid[]) as event_id',
      values: [[first.messageId, second.messageId]],
    }
    const { text, values } = composeStatement(
      [fresh, deliveriesPart(deliveries)],
      'select message_id from deliveries_made order by delivery_id',
    )
    expect(await mesh.query(text, values)).toEqual([{ message_id: first.messageId }, { message_id: second.messageId }])
    expect(await countRows(mesh, 'deliveries')).toBe(2)
    const failing = composeStatement(
      [fresh, deliveriesPart(deliveries)],
      'select 1 / (select count(*) - 2 from deliveries_made)',
    )
    await expect(mesh.query(failing.text, failing.values)).rejects.toThrow()
    expect(await countRows(mesh, 'deliveries')).toBe(2)
  })

  test('DL1: what is beyond the bound of a backlog is a dead letter in the same statement, with all that a redrive needs', async () => {
    const [delivery] = newDeliveries(target(true), 1, 1) as [NewDelivery]
    const once = { name: 'once', text: 'select 1', values: [] }
    const { text, values } = composeStatement(
      [once, overflowPart([delivery], 'once')],
      'select count(*)::int as count from overflow_made',
    )
    expect(await mesh.query(text, values)).toEqual([{ count: 1 }])
    const [dead] = await mesh.query(
      'select message_id, reason, lane, shard, key_hash::float8, bytes, attempts from ripstop.dead_letters',
    )
    const where = { lane: 0, shard: shardOf(delivery.targetId, 0), key_hash: keyHashOf('key-0') }
    expect(dead).toEqual({ message_id: delivery.messageId, reason: 'overflow', bytes: 100, attempts: 0, ...where })
  })

  test('DL2: ids rise in the order given, and over publishes that do not overlap', async () => {
    const deliveries = [target(), target(), target()].flatMap((one) => newDeliveries(one, 200))
    const ids = [...(await publish(mesh, deliveries.slice(0, 400))), ...(await publish(mesh, deliveries.slice(400)))]
    expect(ids).toEqual([...ids].sort((one, other) => one - other))
    const rows = await mesh.query<{ message_id: string }>(
      'select message_id from ripstop.deliveries order by delivery_id',
    )
    expect(rows.map(({ message_id }) => message_id)).toEqual(deliveries.map(({ messageId }) => messageId))
  })

  test('DS1: a key has one lane and one hash, a lane one shard; both are spread evenly and never change', () => {
    expect(laneOf('order-1', 8)).toBe(laneOf('order-1', 8))
    expect([
      laneOf('order-1', 8),
      laneOf('order-2', 8),
      keyHashOf('order-1'),
      shardOf('019a0000-0000-7000-8000-000000000000', 3),
    ]).toEqual(PLACED)
    const lanes = new Map<number, number>()
    const shards = new Map<number, number>()
    for (let index = 0; index < 6_400; index++) {
      const lane = laneOf(`key-${index}`, 8)
      lanes.set(lane, (lanes.get(lane) ?? 0) + 1)
      const shard = shardOf(createId(index), 0)
      shards.set(shard, (shards.get(shard) ?? 0) + 1)
    }
    expect(Math.min(...lanes.values())).toBeGreaterThan(700)
    expect(shards.size).toBe(SHARDS)
    expect(Math.max(...shards.values())).toBeLessThan(150)
  })
})

describe('reading', () => {
  test('DL3: rows are discovered once each as they become visible, though later transactions commit first', async () => {
    const slow = new Client({ connectionString: database.url })
    await slow.connect()
    const [late, early] = [newDeliveries(target(), 1), newDeliveries(target(), 1)] as [NewDelivery[], NewDelivery[]]
    await slow.query('begin')
    const once = { name: 'once', text: 'select 1', values: [] }
    const { text, values } = composeStatement([once, deliveriesPart(late, 'once')], 'select 1')
    await slow.query(text, [...values])
    const first = await readSnapshot(mesh.link, mesh.ctx)
    await publish(mesh, early)
    const second = await discover(mesh.link, mesh.ctx, first, ALL, 100)
    expect(second.rows.map(({ message_id }) => message_id)).toEqual([early[0]?.messageId])
    await slow.query('commit')
    await slow.end()
    const third = await discover(mesh.link, mesh.ctx, second.snapshot, ALL, 100)
    expect(third.rows.map(({ message_id }) => message_id)).toEqual([late[0]?.messageId])
    const fourth = await discover(mesh.link, mesh.ctx, third.snapshot, ALL, 100)
    expect(fourth.rows).toEqual([])
    expect(await discover(mesh.link, mesh.ctx, first, [], 100)).toMatchObject({ rows: [] })
  })

  test('DL4: of keys the oldest are read in order; a key whose oldest waits is known by when it is due', async () => {
    const one = target(true)
    const ids = await publish(mesh, newDeliveries(one, 60, 3))
    await mesh.query(`update ripstop.deliveries set due_at = now() + interval '1 minute' where delivery_id = $1`, [
      ids[1],
    ])
    const scanned = await scanKeys(mesh.link, mesh.ctx, [{ targetId: one.targetId, lane: 0, afterKey: -1, most: 2 }])
    expect(scanned).toHaveLength(2)
    const after = Math.max(...scanned.map(({ key_hash }) => key_hash))
    const rest = await scanKeys(mesh.link, mesh.ctx, [{ targetId: one.targetId, lane: 0, afterKey: after, most: 2 }])
    const due = new Map([...scanned, ...rest].map(({ key_hash, due_in_ms }) => [key_hash, due_in_ms]))
    expect(due.size).toBe(3)
    expect(due.get(keyHashOf('key-1'))).toBeGreaterThan(50_000)
    expect(due.get(keyHashOf('key-0'))).toBeLessThanOrEqual(0)
    const question = { targetId: one.targetId, lane: 0, key: keyHashOf('key-2'), repeats: undefined }
    const head = await readKeys(mesh.link, mesh.ctx, [{ ...question, afterId: 0 }], 16)
    expect(head.map(({ delivery_id }) => delivery_id)).toEqual(ids.filter((_, index) => index % 3 === 2).slice(0, 16))
    const tail = await readKeys(mesh.link, mesh.ctx, [{ ...question, afterId: head.at(-1)?.delivery_id as number }], 16)
    expect(tail).toHaveLength(4)
    expect(
      await readDue(mesh.link, mesh.ctx, [
        { targetId: one.targetId, lane: 0, afterUs: 0, afterId: 0, most: 5, repeats: undefined },
      ]),
    ).toEqual([])
  })

  test('without a key rows are read in the order in which they are due, from where the last read ended', async () => {
    const one = target()
    const ids = await publish(mesh, newDeliveries(one, 10))
    await mesh.query(`update ripstop.deliveries set due_at = due_at - interval '1 minute' where delivery_id = $1`, [
      ids[9],
    ])
    await mesh.query(`update ripstop.deliveries set due_at = due_at + interval '1 minute' where delivery_id = $1`, [
      ids[0],
    ])
    const question = { targetId: one.targetId, lane: 0, most: 4, repeats: undefined }
    const read: number[] = []
    let place = { afterUs: 0, afterId: 0 }
    for (let round = 0; round < 3; round++) {
      const rows = await readDue(mesh.link, mesh.ctx, [{ ...question, ...place }])
      const waiting = rows.filter(({ delivery_id }) => delivery_id === null)
      expect(waiting[0]?.due_in_ms).toBeGreaterThan(50_000)
      for (const { delivery_id, due_us } of rows) {
        if (delivery_id === null) continue
        read.push(delivery_id)
        place = { afterUs: due_us, afterId: delivery_id }
      }
    }
    expect(read).toEqual([ids[9], ...ids.slice(1, 9)])
  })

  test('DL5: a sweep finds every lane with something undone, keyed or not, over its pages', async () => {
    const targets = Array.from({ length: 25 }, (_, index) => target(index % 2 === 0, 3))
    await publish(
      mesh,
      targets.flatMap((one) => newDeliveries(one, 20, 10)),
    )
    const found: SweptLane[] = []
    let place: typeof SWEEP_FROM_START | undefined = SWEEP_FROM_START
    for (let pages = 0; place !== undefined && pages < 100; pages++) {
      const page: Awaited<ReturnType<typeof sweep>> = await sweep(mesh.link, mesh.ctx, ALL.slice(0, 40), place, 4)
      found.push(...page.lanes)
      place = page.next
    }
    const wanted = await mesh.query<{ lane: string }>(
      `select distinct target_id || '/' || lane || '/' || (key_hash is not null) as lane from ripstop.deliveries where shard < 40`,
    )
    const lanes = found.map(({ target_id, lane, is_keyed }) => `${target_id}/${lane}/${is_keyed}`)
    expect([...new Set(lanes)].sort()).toEqual(wanted.map(({ lane }) => lane).sort())
  })
})

describe('settling', () => {
  const workerId = createId(Date.now())
  const claim = async () => claimShards(mesh.link, mesh.ctx, workerId, [], SHARDS, 10_000)
  const endings = (deliveries: readonly NewDelivery[], ids: readonly number[], epoch: number): Ending[] =>
    deliveries.map((delivery, index) => ({
      delivery: { ...delivery, deliveryId: ids[index] as number, attempt: 1, mayRepeat: false, replayId: undefined },
      kind: 'webhook',
      shard: shardOf(delivery.targetId, 0),
      epoch,
      answer: OK,
      attemptId: createId(Date.now()),
      dueInMs: index % 3 === 1 ? 60_000 : undefined,
      dead: index % 3 === 2 ? 'refused' : undefined,
      isUnsent: false,
    }))

  test('DC4: a statement that is sent again changes nothing more, and the parts of kinds see only what it settled itself', async () => {
    const epoch = (await claim())[0]?.epoch as number
    const deliveries = newDeliveries(target(), 9)
    const batch = endings(deliveries, await publish(mesh, deliveries), epoch)
    await mesh.query('create table if not exists noted (message_id uuid)')
    const noted = { name: 'noted', text: 'insert into noted select message_id from settled returning 1', values: [] }
    const statement = settleStatement(workerId, batch, [noted])
    const first = await settle(mesh.link, mesh.ctx, statement)
    expect(first.settled).toHaveLength(9)
    const second = await settle(mesh.link, mesh.ctx, statement)
    expect(second).toMatchObject({ settled: [], held: first.held })
    expect(await countRows(mesh, 'deliveries')).toBe(3)
    expect(await countRows(mesh, 'dead_letters')).toBe(3)
    expect(await countRows(mesh, 'attempts')).toBe(9)
    expect(await mesh.query('select count(*)::int as count from noted')).toEqual([{ count: 9 }])
  })

  test('DC3, DS2: of a shard with another epoch or owner nothing is settled; a claim waits for a statement under way', async () => {
    const claimed = await claim()
    const epoch = claimed[0]?.epoch as number
    const deliveries = newDeliveries(target(), 3)
    const ids = await publish(mesh, deliveries)
    for (const [owner, old] of [
      [workerId, epoch - 1],
      [createId(Date.now()), epoch],
    ] as const) {
      const { held, settled } = await settle(
        mesh.link,
        mesh.ctx,
        settleStatement(owner, endings(deliveries, ids, old), []),
      )
      expect({ held, settled }).toEqual({ held: [], settled: [] })
    }
    expect(await countRows(mesh, 'deliveries')).toBe(3)
    const slow = new Client({ connectionString: database.url })
    await slow.connect()
    await slow.query('begin')
    const { text, values } = settleStatement(workerId, endings(deliveries, ids, epoch), [])
    await slow.query(text, [...values])
    await mesh.query(`update ripstop.delivery_shards set expires_at = now() where shard <> $1`, [
      shardOf(deliveries[0]?.targetId as string, 0),
    ])
    const other = await claimShards(mesh.link, mesh.ctx, createId(Date.now()), [], SHARDS, 10_000)
    expect(other).toHaveLength(SHARDS - 1)
    expect(other.every((one) => one.epoch > epoch && one.repeats !== undefined)).toBe(true)
    await slow.query('commit')
    await slow.end()
  })

  test('DS2, DS4, DS5: who holds a shard keeps it; who starts anew has its own at once; what is let go repeats nothing', async () => {
    const mine = await claim()
    expect(mine).toHaveLength(SHARDS)
    expect(mine.every(({ repeats }) => repeats === undefined)).toBe(true)
    expect(await claimShards(mesh.link, mesh.ctx, createId(Date.now()), [], SHARDS, 10_000)).toEqual([])
    const renewed = await renewShards(mesh.link, mesh.ctx, workerId, mine, 10_000)
    expect(renewed.shards).toHaveLength(SHARDS)
    const again = await claim()
    expect(again.map(({ shard }) => shard).sort((one, other) => one - other)).toEqual(ALL)
    expect(again.every(({ epoch, repeats }) => epoch > (mine[0]?.epoch as number) && repeats !== undefined)).toBe(true)
    expect((await renewShards(mesh.link, mesh.ctx, workerId, mine, 10_000)).shards).toEqual([])
    await releaseShards(mesh.link, mesh.ctx, workerId, mine)
    expect(await claimShards(mesh.link, mesh.ctx, createId(Date.now()), [], SHARDS, 10_000)).toEqual([])
    await releaseShards(mesh.link, mesh.ctx, workerId, again)
    const other = await claimShards(mesh.link, mesh.ctx, createId(Date.now()), [], 10, 10_000)
    expect(other).toHaveLength(10)
    expect(other.every(({ repeats }) => repeats === undefined)).toBe(true)
  })
})

test('what is kept for long goes by its age: dead letters one by one, attempts by whole days, and days ahead are there', async () => {
  const tasks = createDeliveryUpkeep({ attemptsMs: 86_400_000, deadLettersMs: 1_000 })
  const run = async () => {
    for (const { batch } of tasks) {
      const { text, values } = composeStatement(
        [
          { name: 'held', text: 'select 1', values: [] },
          { name: 'work', ...batch(2) },
        ],
        'select count(*) from work',
      )
      await mesh.query(text, values)
    }
  }
  const partitions = async () =>
    (
      await mesh.query<{
        name: string
      }>(`select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'ripstop.attempts'::regclass order by 1`)
    ).map(({ name }) => name)
  await mesh.query(`create table ripstop.attempts_20200101 partition of ripstop.attempts
    for values from (ripstop.least_id_at('2020-01-01Z')) to (ripstop.least_id_at('2020-01-02Z'))`)
  const deliveries = newDeliveries(target(), 5)
  const once = { name: 'once', text: 'select 1', values: [] }
  const { text, values } = composeStatement([once, overflowPart(deliveries, 'once')], 'select 1')
  await mesh.query(text, values)
  await mesh.query(
    `update ripstop.dead_letters set dead_at = now() - interval '1 hour' where delivery_id <> (select max(delivery_id) from ripstop.dead_letters)`,
  )
  await run()
  expect(await countRows(mesh, 'dead_letters')).toBe(3)
  await run()
  await run()
  expect(await countRows(mesh, 'dead_letters')).toBe(1)
  const names = await partitions()
  expect(names).not.toContain('attempts_20200101')
  expect(names.length).toBeGreaterThanOrEqual(9)
})
