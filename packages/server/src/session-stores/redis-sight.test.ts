import { createEnv } from '@ripstop/kernel'
import { createFakeClock } from '@ripstop/kernel/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createRecordingLog } from '../testing/http.ts'
import { startTestRedis, type TestRedis } from '../testing/redis.ts'
import { startSide, type TestSide } from './redis.fixture.ts'
import { RedisSighting } from './redis-sight.ts'

let redis: TestRedis
let side: TestSide

beforeAll(async () => {
  redis = await startTestRedis()
  side = await startSide(redis.url)
})
beforeEach(async () => {
  await side.link.call(side.ctx, (client) => client.flushall())
})
afterAll(async () => {
  await side[Symbol.asyncDispose]()
  await redis[Symbol.asyncDispose]()
})

const clock = createFakeClock()
const createSighting = () =>
  new RedisSighting({ env: createEnv({ clock }), log: createRecordingLog(), redis: side.link })
const servedInRedis = () => side.link.call(side.ctx, (client) => client.get('ripstop:sessions:served'))

test('it tells which server it is, and the lowest epoch of all shards', async () => {
  const sighting = createSighting()
  const first = await sighting.look(side.ctx, undefined)
  expect(first.sight).toEqual({ runId: expect.stringMatching(/^\w{40}$/), epoch: undefined })
  await sighting.raise(side.ctx, 5)
  await sighting.raise(side.ctx, 3)
  expect((await sighting.look(side.ctx, undefined)).sight?.epoch).toBe(5)
  await side.link.call(side.ctx, (client) => client.set('ripstop:{s7}:epoch', '4'))
  expect((await sighting.look(side.ctx, undefined)).sight?.epoch).toBe(4)
  await side.link.call(side.ctx, (client) => client.del('ripstop:{s7}:epoch'))
  expect((await sighting.look(side.ctx, undefined)).sight?.epoch).toBeUndefined()
})

test('AY5: when sessions were served last is written for others to read, but not over a gap that no beat has told of', async () => {
  const [one, other] = [createSighting(), createSighting()]
  expect((await one.look(side.ctx, 10_000)).servedMs).toBeUndefined()
  expect((await other.look(side.ctx, undefined)).servedMs).toBe(10_000)
  expect((await one.look(side.ctx, 10_600)).servedMs).toBe(10_000)
  expect(await servedInRedis()).toBe('10600')
  // It was stopped for a while.
  expect((await one.look(side.ctx, 15_000)).servedMs).toBe(10_600)
  expect(await servedInRedis()).toBe('10600')
  one.resumed(15_100)
  await one.look(side.ctx, 15_500)
  expect(await servedInRedis()).toBe('15500')
})

test('how long it is seen, or not, is counted by the monotonic clock', async () => {
  const sighting = createSighting()
  expect(await sighting.look(side.ctx, undefined)).toMatchObject({ steadyMs: 0, blindMs: 0, ageMs: 0 })
  await clock.advance(700)
  clock.jumpWall(3_600_000)
  expect(await sighting.look(side.ctx, undefined)).toMatchObject({ steadyMs: 700, blindMs: 0 })
  const never = new RedisSighting({ env: createEnv({ clock }), log: createRecordingLog(), redis: undefined })
  await clock.advance(2_500)
  expect(await never.look(side.ctx, undefined)).toMatchObject({ sight: undefined, blindMs: 2_500, steadyMs: 0 })
  expect((await never.look(side.ctx, undefined)).ageMs).toBeUndefined()
})
