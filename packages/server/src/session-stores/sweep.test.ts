import { RipstopError } from '@ripstop/kernel'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { idOf } from './conformance-writing.fixture.ts'
import { begun, played, refOf, startHybrid, type TestHybrid } from './hybrid.fixture.ts'
import type { SessionRef } from './store.ts'
import { type SweepDeps, startSweep } from './sweep.ts'
import { drained, startGround, type TestGround } from './write-behind.fixture.ts'

const COUNT = 130
let ground: TestGround
let hybrid: TestHybrid

beforeAll(async () => {
  ground = await startGround()
})
afterAll(() => ground[Symbol.asyncDispose]())
beforeEach(async () => {
  hybrid = await startHybrid(ground)
})
afterEach(() => hybrid[Symbol.asyncDispose]())

const sweep = (more: Partial<SweepDeps> = {}) => {
  const { env, log, link } = ground.mesh
  const { authority, store, metrics } = hybrid
  return startSweep({ env, log, metrics, link, authority, store, owner: idOf(901), ...more })
}
const isSwept = async () => {
  const { epoch } = hybrid.authority.term()
  const rows = await ground.mesh.query('select from ripstop.session_epochs where epoch = $1 and swept_at is not null', [
    epoch,
  ])
  return rows.length > 0
}
/** Sessions on the clock, drained; then Redis loses them. */
const beginMany = async (): Promise<void> => {
  await using _ = ground.drain()
  for (let number = 0; number < COUNT; number++) await begun(hybrid, ground, number)
  await played(hybrid, ground, refOf(0), 'complete')
  await drained(ground)
  await ground.side.link.call(ground.ctx, (redis) => redis.flushall())
  await hybrid.authority.begin('redis')
}
const dueLater = async (): Promise<readonly SessionRef[]> => {
  const nowMs = hybrid.authority.nowMs() + 3_600_000
  return await ground.side.store.claimDue(ground.ctx, { nowMs, leaseMs: 1, limit: 1_000 })
}

test('HY7: after Redis lost everything all that is on the clock falls due there, though nobody asks for it', async () => {
  await beginMany()
  expect(await dueLater()).toHaveLength(0)
  await using _ = sweep()
  await until('it is swept', isSwept)
  const due = await dueLater()
  expect(new Set(due.map(({ sessionId }) => sessionId)).size).toBe(COUNT - 1)
  expect(due.map(({ sessionId }) => sessionId)).not.toContain(refOf(0).sessionId)
})

test('HY7: one that dies in the middle is followed by another, and an epoch that is swept is not swept again', async () => {
  await beginMany()
  const loaded: string[] = []
  const store = {
    load: async (...given: Parameters<SweepDeps['store']['load']>) => {
      loaded.push(given[1].sessionId)
      return hybrid.store.load(...given)
    },
  }
  {
    await using _ = sweep({ store, perSecond: 100 })
    await until('it has begun', () => loaded.length > 20)
  }
  expect(await isSwept()).toBe(false)
  await using _ = sweep({ store, owner: idOf(902) })
  await until('it is swept', isSwept)
  expect(await dueLater()).toHaveLength(COUNT - 1)
  const count = loaded.length
  const lease = async () => {
    const text = `select epoch::int as epoch, expires_at <= now() as is_free from ripstop.leases where name = 'sessions.sweep'`
    return (await ground.mesh.query<{ epoch: number; is_free: boolean }>(text))[0]
  }
  const before = (await lease())?.epoch ?? 0
  await using __ = sweep({ store, owner: idOf(903) })
  await until('the third has looked', async () => {
    const now = await lease()
    return (now?.epoch ?? 0) > before && now?.is_free
  })
  expect(loaded).toHaveLength(count)
})

test('HY7: one that can not be read holds up none of those behind it, and is told', async () => {
  await beginMany()
  const broken = refOf(7).sessionId
  const store = {
    load: async (...given: Parameters<SweepDeps['store']['load']>) => {
      if (given[1].sessionId === broken) throw new RipstopError('INTERNAL', 'the log does not lead to its head')
      return hybrid.store.load(...given)
    },
  }
  await using _ = sweep({ store })
  await until('it is swept', isSwept)
  expect(await dueLater()).toHaveLength(COUNT - 2)
  const told = ground.mesh.log.lines.filter(({ event }) => event === 'session.sweep_left_out')
  expect(told).toMatchObject([{ sessionId: broken }])
})

test('HY8: it keeps its rate', async () => {
  await beginMany()
  const startedMs = performance.now()
  await using _ = sweep({ perSecond: 100 })
  await until('it is swept', isSwept)
  expect(performance.now() - startedMs).toBeGreaterThan(950)
})

test('while Postgres serves there is nothing to sweep', async () => {
  await hybrid.authority.begin('postgres')
  await using _ = sweep({ store: { load: () => Promise.reject(new Error('not now')) } })
  const startedMs = performance.now()
  await until('a turn is over', () => performance.now() - startedMs > 700)
  expect(await isSwept()).toBe(false)
  expect(ground.mesh.log.lines.filter(({ event }) => event === 'session.sweep_failed')).toEqual([])
})
