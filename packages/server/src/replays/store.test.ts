import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { deliveriesPart } from '#delivery'
import { type Part, withLease } from '#platform/postgres'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import type { ReplayJob } from './job.ts'
import { addJob, TENANT } from './replays.fixture.ts'
import { listRunning, type Step, takeStep } from './store.ts'

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

beforeEach(() => mesh.query('truncate ripstop.deliveries, ripstop.replay_jobs'))

const ALWAYS: Part = { name: 'held', text: 'select 1', values: [] }

async function createJob(): Promise<ReplayJob> {
  await addJob(mesh, 'events', { sinceWallMs: 0, untilWallMs: 1, only: 'all' })
  const [job] = await listRunning(mesh.link, mesh.ctx, undefined, 1)
  if (job === undefined) throw new Error('there is no job')
  return job
}

/** A page of `count` events. */
function stepOf(job: ReplayJob, cursor: string, count: number, over: Partial<Step> = {}): Step {
  const { replayId, endpointId: targetId = '' } = job
  const wishes = Array.from({ length: count }, () => {
    const messageId = createId(Date.now())
    return {
      tenantId: TENANT,
      kind: 'webhook',
      targetId,
      messageId,
      bytes: 1,
      key: undefined,
      lanes: 1,
      isOrdered: false,
      replayId,
    } as const
  })
  const parts = [deliveriesPart(wishes, 'due')]
  return { job, cursor, state: 'running', gates: [], parts, counted: 'deliveries_made', ...over }
}

const take = (step: Step, fence = ALWAYS) => takeStep(mesh.link, mesh.ctx, fence, step)
const made = async () => (await mesh.query('select 1 from ripstop.deliveries')).length
const jobNow = async () => (await mesh.query('select cursor, done, state from ripstop.replay_jobs'))[0]

describe('a step', () => {
  test('RP1: of one that is made again, and of many at once, one has an effect', async () => {
    const job = await createJob()
    const step = stepOf(job, 'a', 10)
    expect([await take(step), await take(step)]).toEqual([true, false])
    expect(await jobNow()).toEqual({ cursor: 'a', done: 10, state: 'running' })
    const at = { ...job, cursor: 'a' }
    const taken = await Promise.all(Array.from({ length: 6 }, (_, index) => take(stepOf(at, `b${index}`, 10))))
    expect(taken.filter(Boolean)).toHaveLength(1)
    expect([await made(), await jobNow()]).toEqual([
      20,
      { cursor: expect.stringMatching(/^b/), done: 20, state: 'running' },
    ])
  })

  test('RP1: without its lease, or a gate, it has none', async () => {
    const job = await createJob()
    const never = { name: 'held', text: 'select 1 where false', values: [] }
    expect(await take(stepOf(job, 'a', 10), never)).toBe(false)
    expect(await take(stepOf(job, 'a', 10, { gates: [{ ...never, name: 'as_known' }] }))).toBe(false)
    const terms = { name: 'replays', leaseMs: 10_000 }
    // Another takes the lease over while the first still works.
    const late = await withLease(mesh.link, mesh.ctx, { ...terms, owner: TENANT }, async ({ fence }) => {
      await withLease(mesh.link, mesh.ctx, { ...terms, owner: TENANT }, async () => undefined)
      return take(stepOf(job, 'a', 10), fence)
    })
    expect(late).toBe(false)
    expect([await made(), await jobNow()]).toEqual([0, { cursor: null, done: 0, state: 'running' }])
  })

  test('RP4: one that was cancelled, or is done, makes nothing more', async () => {
    const job = await createJob()
    for (const state of ['cancelled', 'done']) {
      await mesh.query('update ripstop.replay_jobs set state = $1', [state])
      expect(await take(stepOf(job, 'a', 10))).toBe(false)
    }
    expect(await made()).toBe(0)
  })

  test('RP2: the last one ends the job', async () => {
    const job = await createJob()
    expect(await take(stepOf(job, 'z', 3, { state: 'done' }))).toBe(true)
    expect(await jobNow()).toEqual({ cursor: 'z', done: 3, state: 'done' })
    expect(await listRunning(mesh.link, mesh.ctx, undefined, 10)).toEqual([])
  })
})
