import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { age as ageRows } from './authority.fixture.ts'
import { type Beat, findOutages, type RedisView, sendBeat } from './epoch-store.ts'
import type { Period } from './periods.ts'

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
})
afterEach(() => mesh.query('truncate ripstop.session_epochs, ripstop.session_nodes'))
afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const NONE: RedisView = { sight: undefined, ageMs: undefined, steadyMs: 0, blindMs: 60_000, servedMs: undefined }
const seen = (epoch: number | undefined, runId = 'one', more: Partial<RedisView> = {}): RedisView => ({
  sight: { runId, epoch },
  ageMs: 1,
  steadyMs: 60_000,
  blindMs: 0,
  servedMs: undefined,
  ...more,
})
const blind = (ms: number): RedisView => ({ ...NONE, ageMs: ms, blindMs: ms })

const beat = (redis: RedisView = NONE, more: Partial<Beat> = {}) =>
  sendBeat(mesh.link, mesh.ctx, { nodeId: 'a', heldEpoch: undefined, knownEpoch: 0, isServing: true, redis, ...more })
const begins = async (...given: Parameters<typeof beat>): Promise<Partial<Period> | undefined> => {
  const { begun } = await beat(...given)
  return begun && { epoch: begun.epoch, mode: begun.mode, reason: begun.reason }
}
const age = (ms: number) => ageRows(mesh, ms)
const lengthOf = (period: Period | undefined): number => (period?.untilMs ?? 0) - (period?.sinceMs ?? 0)

describe('the first epoch', () => {
  test('is of Redis where it is seen', async () => {
    expect(await begins(seen(undefined))).toEqual({ epoch: 1, mode: 'redis', reason: 'first' })
  })

  test('is of Postgres where it is not, and every beat brings the time', async () => {
    const { begun, serverMs } = await beat()
    expect(begun).toMatchObject({ epoch: 1, mode: 'postgres' })
    expect(begun?.sinceMs).toBe(begun?.untilMs)
    const [{ ms } = { ms: 0 }] = await mesh.query<{ ms: number }>(
      `select date_part('epoch', clock_timestamp()) * 1000 as ms`,
    )
    expect(Math.abs(ms - serverMs)).toBeLessThan(2_000)
  })

  test('is later than what Redis knows of another database', async () => {
    expect(await begins(seen(7))).toMatchObject({ epoch: 8 })
  })
})

describe('interruptions', () => {
  test('AY5: after 1.5 s without a beat of anybody a new epoch begins, and tells since when', async () => {
    await beat()
    await age(1_000)
    expect(await begins()).toBeUndefined()
    await age(10_000)
    const { begun } = await beat()
    expect(begun).toMatchObject({ epoch: 2, mode: 'postgres', reason: 'interrupted' })
    expect(lengthOf(begun)).toBeGreaterThanOrEqual(10_000)
    expect(lengthOf(begun)).toBeLessThan(13_000)
    expect(await begins()).toBeUndefined()
  })

  test('AY5: none begins while another process beats', async () => {
    await beat()
    await age(10_000)
    await mesh.query(`insert into ripstop.session_nodes select 'b', beat_ms + 9500 from ripstop.session_nodes`)
    expect(await begins()).toBeUndefined()
  })

  test('AY5: with Redis it counts when anybody saw it last, also where Postgres was away meanwhile', async () => {
    await beat(seen(undefined))
    await age(60_000)
    const servedMs = (await beat(seen(1), { isServing: false })).serverMs - 400
    expect(await begins(seen(1, 'one', { servedMs }))).toBeUndefined()
    await age(60_000)
    const { begun } = await beat(seen(1, 'one', { servedMs: servedMs - 5_000 }))
    expect(begun).toMatchObject({ epoch: 2, mode: 'redis', reason: 'interrupted' })
    expect(lengthOf(begun)).toBeLessThan(8_000)
  })

  test('a process that starts without having seen Redis yet hides no interruption', async () => {
    await beat(seen(undefined))
    await age(10_000)
    expect(await begins({ ...NONE, blindMs: 300 })).toBeUndefined()
    const { begun } = await beat(seen(1))
    expect(begun).toMatchObject({ reason: 'interrupted' })
    expect(lengthOf(begun)).toBeGreaterThanOrEqual(10_000)
  })

  test('who does not serve begins nothing, and its life is no sign of service', async () => {
    await beat()
    await age(10_000)
    expect(await begins(NONE, { isServing: false, nodeId: 'work' })).toBeUndefined()
    expect(await begins()).toMatchObject({ reason: 'interrupted' })
  })
})

describe('Redis', () => {
  test('AY6: authority moves when nobody has seen it for 2 s; one process alone moves nothing', async () => {
    await beat(seen(undefined))
    await beat(seen(1), { nodeId: 'b' })
    await age(1_500)
    expect(await begins(blind(2_600))).toBeUndefined()
    await age(600)
    const { begun } = await beat(blind(2_600))
    expect(begun).toMatchObject({ epoch: 2, mode: 'postgres', reason: 'redis_gone' })
    expect(lengthOf(begun)).toBeGreaterThanOrEqual(2_100)
    expect(await begins(blind(3_000))).toBeUndefined()
  })

  test('AY6: it moves back when every process that lives sees it again, for 2 s', async () => {
    await beat(seen(undefined))
    await age(5_000)
    await beat(blind(5_000))
    await beat(blind(5_000), { nodeId: 'b' })
    expect(await begins(seen(2, 'two', { steadyMs: 1_900 }))).toBeUndefined()
    expect(await begins(seen(2, 'two'))).toBeUndefined()
    await beat(seen(2, 'two', { steadyMs: 10 }), { nodeId: 'b' })
    const { begun } = await beat(seen(2, 'two'))
    expect(begun).toMatchObject({ epoch: 3, mode: 'redis', reason: 'redis_back' })
    expect(lengthOf(begun)).toBe(0)
  })

  test('AY6: a Redis that was gone again and again has to be there for longer before it gets the authority back', async () => {
    await beat(seen(undefined))
    for (let epoch = 2; epoch <= 5; epoch++)
      await mesh.query(
        `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) select $1, 'postgres', ms, ms, 'redis_gone'
         from (select floor(date_part('epoch', clock_timestamp()) * 1000)::bigint as ms) as now`,
        [epoch],
      )
    const back = (steadyMs: number) => begins(seen(5, 'one', { steadyMs }), { heldEpoch: 5 })
    expect(await back(15_000)).toBeUndefined()
    expect(await back(17_000)).toMatchObject({ epoch: 6, reason: 'redis_back' })
  })

  test('AY2: another run id, or an epoch that is lost, counts only under the term that is present', async () => {
    await beat(seen(undefined))
    expect(await begins(seen(undefined, 'one'), { heldEpoch: 1 })).toEqual({
      epoch: 2,
      mode: 'redis',
      reason: 'redis_lost',
    })
    expect(await begins(seen(undefined, 'one'), { heldEpoch: 1 })).toBeUndefined()
    expect(await begins(seen(1, 'two'), { heldEpoch: 1 })).toBeUndefined()
    expect(await begins(seen(2, 'two'), { heldEpoch: 2 })).toEqual({
      epoch: 3,
      mode: 'redis',
      reason: 'redis_replaced',
    })
    expect(await begins(seen(2, 'two'), { heldEpoch: 2 })).toBeUndefined()
    expect(await begins(seen(2, 'two'))).toBeUndefined() // it has just started, and will raise it
  })

  test('an epoch of Redis that Postgres has forgotten is left behind', async () => {
    await beat(seen(undefined))
    expect(await begins(seen(40), { heldEpoch: 1 })).toEqual({ epoch: 41, mode: 'redis', reason: 'redis_ahead' })
  })
})

test('a process that starts while the first one tells Redis of its epoch does not call it lost; later it does', async () => {
  await beat(seen(undefined))
  expect(await begins(seen(undefined), { nodeId: 'b' })).toBeUndefined()
  await age(3_100)
  const served = seen(undefined, 'one', { servedMs: Number.MAX_SAFE_INTEGER })
  expect(await begins(served, { nodeId: 'b' })).toMatchObject({ reason: 'redis_lost' })
})

test('AY1: of fifty beats at once that call for an epoch one begins it, and the others say that they are behind', async () => {
  await beat()
  await age(10_000)
  const nodes = Array.from({ length: 50 }, (_, place) => `node-${place}`)
  const answers = await Promise.all(nodes.map((nodeId) => beat(NONE, { nodeId })))
  expect(answers.filter(({ begun }) => begun !== undefined)).toHaveLength(1)
  expect(await mesh.query('select epoch::int as epoch from ripstop.session_epochs order by 1')).toEqual([
    { epoch: 1 },
    { epoch: 2 },
  ])
  for (const { begun, isBehind, periods } of answers) {
    const knows = periods.some(({ epoch }) => epoch === 2)
    expect(begun !== undefined || isBehind || knows).toBe(true)
  }
})

test('outages are told in order, up to the epoch that is asked for', async () => {
  await beat()
  for (let epoch = 2; epoch <= 4; epoch++) {
    await age(5_000)
    await beat()
  }
  const outages = await findOutages(mesh.link, mesh.ctx, 1, 3)
  expect(outages.map(({ epoch }) => epoch)).toEqual([2, 3])
  for (const { sinceMs, untilMs } of outages) expect(untilMs - sinceMs).toBeGreaterThanOrEqual(5_000)
})
