import { RipstopError } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { migrateTestDatabase, startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import {
  addTarget,
  countRows,
  createFakeKind,
  type FakeKind,
  forgetAll,
  newDeliveries,
  OK,
  publish,
  SOON,
  startEngine,
  untilNothingUndone,
} from './engine.fixture.ts'
import type { Answer } from './kind.ts'
import type { DeliveryDeps } from './start.ts'

let database: TestDatabase
let mesh: TestMesh
let kind: FakeKind

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await forgetAll(mesh)
  kind = createFakeKind()
})

const start = (changes?: Partial<DeliveryDeps>) => startEngine(mesh, kind, changes)
const nothingUndone = () => untilNothingUndone(mesh)

describe('ownership', () => {
  test('DS5, DL9: workers come and go in order, share the shards, and nothing is sent twice', async () => {
    await using other = await startTestMesh(database.url)
    const targets = Array.from({ length: 40 }, () => addTarget(kind, { isOrdered: true }))
    const more = async () =>
      publish(
        mesh,
        targets.flatMap((target) => newDeliveries(target, 5, 3)),
      )
    const ids = await more()
    await using first = start()
    await until('all is sent', () => kind.sent.length === 200)
    await using second = start({ mesh: other.mesh, link: other.link })
    const owners = () =>
      mesh.query<{ count: number }>(
        'select count(*)::int as count from ripstop.delivery_shards where owner is not null group by owner',
      )
    await until('they share', async () => {
      ids.push(...(await more()))
      return (await owners()).map(({ count }) => count).join() === '32,32'
    })
    ids.push(...(await more()))
    await first[Symbol.asyncDispose]()
    ids.push(...(await more()))
    await nothingUndone()
    await second[Symbol.asyncDispose]()
    expect(await owners()).toEqual([])
    expect(kind.sent.map(({ deliveryId }) => deliveryId).sort((a, b) => a - b)).toEqual(ids.sort((a, b) => a - b))
    expect(kind.sent.filter(({ mayRepeat }) => mayRepeat)).toEqual([])
  })

  test('DC3, DS2: what a worker sent before another claimed its shard is not settled by it, and the other says that it may repeat', async () => {
    const target = addTarget(kind, { isOrdered: true })
    let answer = (_: Answer): void => undefined
    kind.answer = () =>
      new Promise((resolve) => {
        answer = resolve
      })
    await using _ = start()
    const [id] = await publish(mesh, newDeliveries(target, 1, 1))
    await until('it is sent', () => kind.sent.length === 1)
    await mesh.query(
      `update ripstop.delivery_shards set owner = gen_random_uuid(), epoch = epoch + 1, expires_at = now() + interval '300 ms'`,
    )
    answer(OK)
    kind.answer = () => OK
    await until('it is told that the shard is lost', () =>
      mesh.log.lines.some(({ event }) => event === 'delivery.shard_lost'),
    )
    expect(await countRows(mesh, 'attempts')).toBe(0)
    await nothingUndone()
    expect(kind.sent.map(({ deliveryId, mayRepeat }) => [deliveryId, mayRepeat])).toEqual([
      [id, false],
      [id, true],
    ])
    const [line] = await mesh.query<{ may_repeat: boolean }>('select may_repeat from ripstop.attempts')
    expect(line?.may_repeat).toBe(true)
  })

  test('DS3: nothing is sent while the lease can not be renewed, and it is taken up again when nobody claimed the shard', async () => {
    const target = addTarget(kind)
    let isAway = false
    const call: typeof mesh.link.call = (ctx, run, options) => {
      if (isAway) return Promise.reject(new RipstopError('LINK_DOWN', 'away', { sent: 'no' }))
      return mesh.link.call(ctx, run, options)
    }
    const link = Object.assign(Object.create(mesh.link), { call }) as typeof mesh.link
    let release = (): void => undefined
    kind.answer = () =>
      new Promise((resolve) => {
        release = () => resolve(OK)
      })
    await using _ = start({ link, settings: { ...SOON, leaseMs: 300, renewMs: 50 } })
    await publish(mesh, newDeliveries({ ...target }, 20))
    await until('as many as may are sent', () => kind.sent.length === 16)
    isAway = true
    kind.answer = () => OK
    await new Promise((resolve) => setTimeout(resolve, 400)) // the lease runs out: that is what is tested
    release()
    await new Promise((resolve) => setImmediate(resolve))
    expect(kind.sent).toHaveLength(16)
    isAway = false
    await until('the rest is sent', () => kind.sent.length === 20)
    expect(kind.sent.every(({ mayRepeat }) => !mayRepeat)).toBe(true)
  })

  test('DC5, DL5: Postgres is killed and comes back again and again, and all is settled in the end', {
    timeout: 60_000,
  }, async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using broken = await startTestMesh(cluster.url)
    const target = addTarget(kind)
    const ordered = addTarget(kind, { isOrdered: true })
    await using _ = start({ mesh: broken.mesh, link: broken.link, log: broken.log })
    const ids: number[] = []
    for (let round = 0; round < 3; round++) {
      ids.push(...(await publish(broken, [...newDeliveries(target, 500), ...newDeliveries(ordered, 200, 20)])))
      await until('some are sent', () => kind.sent.length > round * 700 + 50)
      await cluster.kill('SIGKILL')
      await cluster.restart()
      await until('the link is up', () => broken.link.state === 'up')
    }
    await until('nothing is undone', async () => (await countRows(broken, 'deliveries')) === 0, 20_000)
    expect(new Set(kind.sent.map(({ deliveryId }) => deliveryId)).size).toBe(ids.length)
    expect(await countRows(broken, 'attempts')).toBe(ids.length)
    // Its process lived, so its shards stayed its own, and nothing had to be repeated.
    expect(kind.sent).toHaveLength(ids.length)
  })
})
