import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { migrateTestDatabase, startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { ANY_ENDPOINT, addEvents, addJob, OTHER_TENANT, startTestReplays, TENANT } from './replays.fixture.ts'

const HOUR_MS = 3_600_000
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

beforeEach(() =>
  mesh.query(
    'truncate ripstop.events, ripstop.deliveries, ripstop.attempts, ripstop.dead_letters, ripstop.replay_jobs',
  ),
)

const id = () => createId(Date.now())
const past = () => ({ sinceWallMs: Date.now() - 10 * HOUR_MS, untilWallMs: Date.now(), only: 'all' })

const jobOf = async (replayId: string, on = mesh) =>
  (
    await on.query<{ state: string; done: number; cursor: string | null }>(
      'select state, done, cursor from ripstop.replay_jobs where replay_id = $1',
      [replayId],
    )
  )[0]

const ended = (replayId: string, on = mesh, limitMs = 20_000) =>
  until(
    'it has ended',
    async () => ((await jobOf(replayId, on))?.state !== 'running' ? jobOf(replayId, on) : undefined),
    limitMs,
  )

const made = async (replayId: string, on = mesh) =>
  (
    await on.query<{ message_id: string }>(
      'select message_id from ripstop.deliveries where replay_id = $1 order by delivery_id',
      [replayId],
    )
  ).map((row) => row.message_id)

describe('events of the past', () => {
  test('RP1, RP2: every event of the span is made a delivery once, in order, and none of another tenant', async () => {
    const ids = await addEvents(mesh, 750)
    await addEvents(mesh, 50, OTHER_TENANT)
    const endpointId = id()
    const replayId = await addJob(mesh, 'events', past(), endpointId)
    await using _ = startTestReplays(mesh)
    expect(await ended(replayId)).toMatchObject({ state: 'done', done: 750, cursor: ids.at(-1) })
    expect(await made(replayId)).toEqual(ids)
    const [row] = await mesh.query('select distinct tenant_id, kind, target_id, attempts from ripstop.deliveries')
    expect(row).toEqual({ tenant_id: TENANT, kind: 'webhook', target_id: endpointId, attempts: 0 })
  })

  test('RP2: since and until, types, and what the endpoint wants, all count', async () => {
    const ids = await addEvents(mesh, 90)
    const timeOf = (index: number) => Number.parseInt((ids[index] ?? '').replaceAll('-', '').slice(0, 12), 16)
    const span = await addJob(mesh, 'events', { ...past(), sinceWallMs: timeOf(10), untilWallMs: timeOf(20) })
    const typed = await addJob(mesh, 'events', { ...past(), types: ['order.p*'] })
    const none = await addJob(mesh, 'events', { ...past(), types: ['order.p'] })
    const accepts = ({ eventId }: { eventId: string }) => eventId !== ids[15]
    await using _ = startTestReplays(mesh, { findEndpoint: async () => ({ ...ANY_ENDPOINT, accepts }) })
    expect([await ended(span), await ended(typed), await ended(none)].map((job) => job?.done)).toEqual([9, 30, 0])
    expect(await made(span)).toEqual(ids.slice(10, 20).filter((event) => event !== ids[15]))
  })

  test('RP2: only what failed: tried or given up, never delivered, and not waiting', async () => {
    const endpointId = id()
    const [failed = '', delivered = '', waiting = '', dead = '', never = '', elsewhere = '', late = ''] =
      await addEvents(mesh, 7)
    const attempt = (eventId: string, outcome: string, target = endpointId) =>
      mesh.query(
        `insert into ripstop.attempts (attempt_id, delivery_id, tenant_id, kind, target_id, message_id, n, outcome, duration_ms)
         values ($1, 1, $2, 'webhook', $3, $4, 1, $5, 1)`,
        [id(), TENANT, target, eventId, outcome],
      )
    for (const eventId of [failed, delivered, waiting, late]) await attempt(eventId, 'failed')
    await attempt(failed, 'unknown')
    for (const eventId of [delivered, late]) await attempt(eventId, 'delivered')
    await attempt(elsewhere, 'failed', id())
    await mesh.query(
      `insert into ripstop.deliveries (tenant_id, kind, target_id, shard, message_id, bytes) values ($1, 'webhook', $2, 0, $3, 1)`,
      [TENANT, endpointId, waiting],
    )
    for (const eventId of [dead, late])
      await mesh.query(
        `insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason)
         values (nextval('ripstop.deliveries_delivery_id_seq'), $1, 'webhook', $2, 0, 0, $3, 1, 1, 'overflow')`,
        [TENANT, endpointId, eventId],
      )
    const replayId = await addJob(mesh, 'events', { ...past(), only: 'failed' }, endpointId)
    await using _ = startTestReplays(mesh)
    expect((await ended(replayId))?.state).toBe('done')
    expect(await made(replayId)).toEqual([failed, dead].sort())
    expect(await made(replayId)).not.toContain(never)
  })

  test('RP2: an endpoint that changes between look and step is looked at again; one that is deleted ends the job', async () => {
    await addEvents(mesh, 30)
    let looked = 0
    // The first look relies on something that holds no more.
    const findEndpoint = async () => ({
      ...ANY_ENDPOINT,
      current: { text: `select 1 where ${++looked > 1}`, values: [] },
    })
    const replayId = await addJob(mesh, 'events', past())
    const deleted = await addJob(mesh, 'events', past(), id())
    const [gone] = await mesh.query<{ endpoint_id: string }>(
      'select endpoint_id from ripstop.replay_jobs where replay_id = $1',
      [deleted],
    )
    await using _ = startTestReplays(mesh, {
      findEndpoint: async (_ctx, _tenant, endpointId) =>
        endpointId === gone?.endpoint_id ? undefined : findEndpoint(),
    })
    expect(await ended(replayId)).toMatchObject({ state: 'done', done: 30 })
    expect(await ended(deleted)).toMatchObject({ state: 'cancelled', done: 0 })
    expect(looked).toBeGreaterThan(1)
  })
})

describe('bounds and ends', () => {
  test('RP3: a job waits while its endpoint has enough to do, and others go on', async () => {
    const ids = await addEvents(mesh, 500)
    const slow = await addJob(mesh, 'events', past())
    const quick = await addJob(mesh, 'events', past())
    await using _ = startTestReplays(mesh, { undoneMax: 150 })
    const drain = (replayId: string) =>
      mesh.query('delete from ripstop.deliveries where replay_id = $1 returning message_id', [replayId])
    const drained: unknown[] = []
    await until('the other has ended', async () => {
      drained.push(...(await drain(quick)))
      return (await jobOf(quick))?.state === 'done'
    })
    expect(drained.length).toBeGreaterThan(0)
    expect((await made(slow)).length).toBeLessThan(150 + 100)
    expect((await jobOf(slow))?.state).toBe('running')
    await until('it goes on', async () => {
      await drain(slow)
      return (await jobOf(slow))?.state === 'done'
    })
    expect(await jobOf(slow)).toMatchObject({ done: ids.length })
  })

  test('RP4: a cancelled job makes no more', async () => {
    await addEvents(mesh, 500)
    const replayId = await addJob(mesh, 'events', past())
    await using _ = startTestReplays(mesh, { undoneMax: 50 })
    await until('it has begun', async () => ((await jobOf(replayId))?.done ?? 0) > 0)
    await mesh.query(`update ripstop.replay_jobs set state = 'cancelled' where replay_id = $1`, [replayId])
    const count = (await made(replayId)).length
    await mesh.query('truncate ripstop.deliveries')
    const next = await addJob(mesh, 'events', { ...past(), types: ['nothing'] })
    await ended(next)
    expect([await made(replayId), (await jobOf(replayId))?.done]).toEqual([[], count])
  })
})

describe('dead letters', () => {
  const letters = async (count: number, endpointId: string, reason = 'exhausted') =>
    mesh.query<{ delivery_id: string }>(
      `insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason, dead_at)
       select nextval('ripstop.deliveries_delivery_id_seq'), $1, 'webhook', $2, 0, 0, $2, 1, 9, $3, now() - interval '1 minute'
       from generate_series(1, $4::integer) returning delivery_id`,
      [TENANT, endpointId, reason, count],
    )
  const undoneOf = async (endpointId: string) =>
    (await mesh.query('select 1 from ripstop.deliveries where target_id = $1', [endpointId])).length
  const deadOf = async (endpointId: string) =>
    (await mesh.query('select 1 from ripstop.dead_letters where target_id = $1', [endpointId])).length

  test('RP1, RP2: every letter of the filter goes back once, oldest first, and what dies later is left', async () => {
    const endpointId = id()
    const wanted = await letters(450, endpointId)
    await letters(20, endpointId, 'overflow')
    const replayId = await addJob(mesh, 'dead_letters', { reason: 'exhausted' }, endpointId)
    await mesh.query(`update ripstop.replay_jobs set created_at = now() - interval '1 second'`)
    await letters(5, endpointId)
    await mesh.query(
      `update ripstop.dead_letters set dead_at = now() where delivery_id > $1 and reason = 'exhausted'`,
      [wanted.at(-1)?.delivery_id],
    )
    await using _ = startTestReplays(mesh)
    expect(await ended(replayId)).toMatchObject({ state: 'done', done: 450 })
    expect([await undoneOf(endpointId), await deadOf(endpointId)]).toEqual([450, 25])
  })

  test('RP3: letters of an endpoint that has enough to do are left for another pass, and hold up no other', async () => {
    const [full, free] = [id(), id()]
    await letters(300, full)
    await letters(120, free)
    const replayId = await addJob(mesh, 'dead_letters', {}, null)
    await using _ = startTestReplays(mesh, { undoneMax: 200 })
    await until('the other endpoint has all of its', async () => (await undoneOf(free)) === 120)
    expect(await undoneOf(full)).toBeLessThan(300)
    expect((await jobOf(replayId))?.state).toBe('running')
    await mesh.query('delete from ripstop.deliveries where target_id = $1', [full])
    expect(await ended(replayId)).toMatchObject({ state: 'done', done: 420 })
    expect(await deadOf(full)).toBe(0)
  })
})

describe('faults', () => {
  test('RP1, RP2: killed at random points again and again it ends with every event once, in order', {
    timeout: 120_000,
  }, async () => {
    const ids = await addEvents(mesh, 1_500)
    const endpointId = id()
    const dead = id()
    await mesh.query(
      `insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason, dead_at)
       select nextval('ripstop.deliveries_delivery_id_seq'), $1, 'webhook', $2, 0, 0, $2, 1, 9, 'exhausted', now() - interval '1 minute'
       from generate_series(1, 800)`,
      [TENANT, dead],
    )
    const jobs = [await addJob(mesh, 'events', past(), endpointId), await addJob(mesh, 'dead_letters', {}, dead)]
    const owner = id()
    let kills = 0
    const isOver = async () => (await Promise.all(jobs.map((job) => jobOf(job)))).every((job) => job?.state === 'done')
    while (!(await isOver())) {
      const child = fork(join(import.meta.dirname, 'replays.fixture.ts'), [database.url, owner], { stdio: 'inherit' })
      await once(child, 'message')
      // The first are killed sooner: a fast machine is not done before it was killed often enough.
      await sleep(Math.random() * (kills <= 3 ? 40 : 250))
      child.kill('SIGKILL')
      await once(child, 'exit')
      kills++
    }
    expect(kills).toBeGreaterThan(3)
    const [events = '', letters = ''] = jobs
    expect(await made(events)).toEqual(ids)
    expect([await jobOf(events), await jobOf(letters)].map((job) => job?.done)).toEqual([1_500, 800])
    const [places] = await mesh.query(
      'select (select count(*)::integer from ripstop.deliveries where target_id = $1) as undone, (select count(*)::integer from ripstop.dead_letters) as dead',
      [dead],
    )
    expect(places).toEqual({ undone: 800, dead: 0 })
  })

  test('RP1, RP2: many workers at once, without a lease that holds, still make every delivery once', async () => {
    const ids = await addEvents(mesh, 600)
    const replayId = await addJob(mesh, 'events', past())
    // One owner for all: each takes the lease from the others, as processes with one instance id would.
    const owner = id()
    await using stack = new AsyncDisposableStack()
    for (let worker = 0; worker < 4; worker++) stack.use(startTestReplays(mesh, { owner, pageMax: 10, leaseMs: 500 }))
    expect(await ended(replayId, mesh, 60_000)).toMatchObject({ state: 'done', done: 600 })
    expect(await made(replayId)).toEqual(ids)
  })

  test('RP2: a loss of the database holds it up, and no more', { timeout: 90_000 }, async () => {
    await using cluster = await startTestCluster({ settings: { fsync: 'on' } })
    await migrateTestDatabase(cluster.url)
    await using own = await startTestMesh(cluster.url)
    const ids = await addEvents(own, 3_000)
    const replayId = await addJob(own, 'events', past())
    await using _ = startTestReplays(own, { pageMax: 10, leaseMs: 2_000 })
    await until('it has begun', async () => ((await jobOf(replayId, own))?.done ?? 0) > 100)
    await cluster.kill('SIGKILL')
    await cluster.restart()
    await own.link.whenUp(own.ctx.within(20_000))
    expect(await ended(replayId, own, 60_000)).toMatchObject({ state: 'done', done: 3_000 })
    expect(await made(replayId, own)).toEqual(ids)
  })
})
