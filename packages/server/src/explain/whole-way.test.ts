import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '#access'
import { createDeliveryReader } from '#delivery'
import { findReplayEndpoint, startReplays } from '#replays'
import { redriveOne } from '../delivery/dead-letter-store.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { type Receiver, startReceiver, startWorld, type World } from '../webhooks/webhooks.fixture.ts'
import { checkDelivery } from './check-store.ts'
import { whyDelivery, whyEvent } from './why.ts'

const TENANT = DEFAULT_TENANT_ID
let database: TestDatabase
let world: World
let receiver: Receiver
let reader: ReturnType<typeof createDeliveryReader>

beforeAll(async () => {
  database = await createTestDatabase()
  world = await startWorld(database.url)
  receiver = await startReceiver()
  reader = createDeliveryReader(world.mesh.link)
})
afterAll(async () => {
  await receiver[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const why = (deliveryId: string) => whyDelivery(deps(), world.mesh.ctx, TENANT, deliveryId)
const deps = () => ({ env: world.mesh.env, link: world.mesh.link, reader })

const orphans = async () => {
  const bounds = {
    sinceWallMs: Date.now() - 3_600_000,
    untilWallMs: Date.now() + 1_000,
    secretAgeMs: 1e10,
    outboxAgeMs: 60_000,
    overdueMs: 60_000,
  }
  const { counts } = await checkDelivery(world.mesh.link, world.mesh.ctx, bounds)
  return counts.filter(({ count }) => count > 0)
}

const deliveryTo = async (eventId: string, endpointId: string) =>
  (await reader.listDeliveriesOfEvent(world.mesh.ctx, TENANT, eventId)).find((view) => view.endpointId === endpointId)

/** As soon as its first attempt is written down. */
const tried = (eventId: string, endpointId: string) =>
  until('it was tried', async () => {
    const view = await deliveryTo(eventId, endpointId)
    return view?.last === undefined ? undefined : view
  })

test('WY1: real failures are told by their cause', async () => {
  const dead = await startReceiver()
  const refusing = dead.url
  await dead[Symbol.asyncDispose]()
  receiver.answer = (response, { path }) =>
    void response.writeHead(path === '/busy' ? 503 : path === '/moved' ? 302 : 404, { location: '/' }).end('no')
  const urls = {
    dns: 'http://nowhere.example/',
    connect: refusing,
    failed: `${receiver.url}/busy`,
    redirect: `${receiver.url}/moved`,
    refused: `${receiver.url}/missing`,
  }
  const silent = await startReceiver()
  silent.answer = () => undefined
  const endpoints = new Map<string, string>()
  for (const [cause, url] of Object.entries({ ...urls, timeout: silent.url })) {
    const { endpoint } = await world.create({
      url,
      eventTypes: [`why.${cause}`],
      retryScheduleMs: [3_600_000],
      deadlineMs: 300,
    })
    endpoints.set(cause, endpoint.endpointId)
  }
  for (const [cause, endpointId] of endpoints) {
    const eventId = await world.publish(`why.${cause}`)
    const view = await tried(eventId, endpointId)
    const told = await why(view.deliveryId)
    expect(told.cause, told.explanation).toBe(`retry_after_${cause}`)
    expect(told.explanation).toMatch(/next attempt is at/)
  }
  await silent[Symbol.asyncDispose]()
  expect(await orphans()).toEqual([])
})

test('DR3, OR2: what is dead is sent again with its id, and told at every step', async () => {
  receiver.answer = (response) => void response.writeHead(500).end()
  const { endpoint } = await world.create({
    url: `${receiver.url}/dies`,
    eventTypes: ['dies.*'],
    retryScheduleMs: [20],
  })
  const eventId = await world.publish('dies.soon')
  const view = await until('it is dead', async () => {
    const view = await deliveryTo(eventId, endpoint.endpointId)
    return view?.state === 'dead' ? view : undefined
  })
  expect(await why(view.deliveryId)).toMatchObject({
    cause: 'dead_exhausted',
    explanation: expect.stringContaining('all 2 attempts'),
  })
  expect(await orphans()).toEqual([])
  receiver.answer = (response) => void response.end()
  const audit = {
    tenantId: TENANT,
    actor: 'cli',
    action: 'dead_letter.redrive',
    resource: 'x',
    outcome: 'done',
    traceId: undefined,
  } as const
  await redriveOne(world.mesh.link, world.mesh.ctx, view.deliveryId, audit, undefined)
  await until('it has arrived', async () => (await deliveryTo(eventId, endpoint.endpointId))?.state === 'delivered')
  expect(await why(view.deliveryId)).toMatchObject({ cause: 'delivered' })
  expect(new Set(receiver.idsAt('/dies'))).toEqual(new Set([eventId]))
  expect(receiver.idsAt('/dies')).toHaveLength(3)
  expect(await orphans()).toEqual([])
})

test('RP1, OR2: events from before an endpoint are replayed to it, each once, by its types and its filter', async () => {
  receiver.answer = (response) => void response.end()
  const eventIds: string[] = []
  for (let index = 0; index < 20; index++)
    eventIds.push(await world.publish(index % 2 === 0 ? 'past.even' : 'past.odd', { index }))
  const { endpoint } = await world.create({
    url: `${receiver.url}/late`,
    eventTypes: ['past.*'],
    filter: 'event.data.index < 16',
    ordering: 'key',
    lanes: 4,
  })
  const { endpointId } = endpoint
  const question = { id: eventIds[0] ?? '', source: undefined, endpointId }
  expect((await whyEvent(deps(), world.mesh.ctx, TENANT, question)).cause).toBe('before_endpoint')
  const { env, log, link, ctx } = world.mesh
  const replayId = createId(Date.now())
  const selector = {
    sinceWallMs: Date.now() - 60_000,
    untilWallMs: Date.now() + 1_000,
    types: ['past.even'],
    only: 'all',
  }
  await world.mesh.query(
    `insert into ripstop.replay_jobs (replay_id, tenant_id, what, endpoint_id, selector) values ($1, $2, 'events', $3, $4)`,
    [replayId, TENANT, endpointId, JSON.stringify(selector)],
  )
  const findEndpoint = (ctx: typeof world.mesh.ctx, tenantId: string, id: string) =>
    findReplayEndpoint(world.webhooks, ctx, tenantId, id)
  await using _ = startReplays({ env, log, link, reader, findEndpoint, pollMs: 20, settleMs: 0, pageMax: 3 })
  await until('the job has ended', async () => (await world.count('replay_jobs', `state = 'done'`)) === 1, 20_000)
  const wanted = eventIds.filter((_, index) => index % 2 === 0 && index < 16)
  await until('all have arrived', () => receiver.idsAt('/late').length >= wanted.length)
  expect(receiver.idsAt('/late').sort()).toEqual([...wanted].sort())
  const view = await deliveryTo(eventIds[0] ?? '', endpointId)
  expect(view).toMatchObject({ state: 'delivered', replayId })
  expect((await whyEvent(deps(), ctx, TENANT, { ...question, id: eventIds[18] ?? '' })).cause).toBe('before_endpoint')
  expect(await orphans()).toEqual([])
})
