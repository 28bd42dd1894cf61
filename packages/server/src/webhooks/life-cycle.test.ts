import { Metrics } from '@ripstop/kernel'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { type CheckerDeps, checkOnce, startChecker } from './checker.ts'
import type { Endpoint } from './endpoint.ts'
import { deleteEndpoint, findEndpoint, pauseEndpoint, resumeEndpoint } from './endpoints.ts'
import type { WebhookSettings } from './settings.ts'
import { ASKING, type Receiver, startReceiver, startWorld, type World } from './webhooks.fixture.ts'

let database: TestDatabase
let world: World
let receiver: Receiver

beforeAll(async () => {
  database = await createTestDatabase()
  world = await startWorld(database.url, { settings: { goneAfterMissing: 3, pauseAfterFailingMs: 86_400_000 } })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  receiver = await startReceiver()
})
afterEach(async () => {
  await world.mesh.query('update ripstop.endpoint_revisions set revision = revision + 1')
  await world.mesh.query(
    `update ripstop.endpoints e set deleted_at = now(), revision = r.revision from ripstop.endpoint_revisions r
     where e.deleted_at is null and r.tenant_id = e.tenant_id`,
  )
  await world.mesh.query('truncate ripstop.deliveries, ripstop.dead_letters, ripstop.attempts')
  await receiver[Symbol.asyncDispose]()
})

const { tenantId } = ASKING.principal
const ctx = () => world.mesh.ctx.within(10_000)
const readIt = ({ endpointId }: Endpoint) => findEndpoint(world.webhooks, ctx(), tenantId, endpointId)
const becomes = (endpoint: Endpoint, what: string, is: (now: Endpoint) => boolean) =>
  until(`the endpoint is ${what}`, async () => {
    const now = await readIt(endpoint)
    return is(now) ? now : false
  })
/** One turn of the health checker, which rests in these tests. */
const check = async (changes: Partial<WebhookSettings> = {}) => {
  const { link, log, sealer, settings } = world.webhooks
  const deps: CheckerDeps = {
    env: world.mesh.env,
    link,
    log,
    sealer,
    settings: { ...settings, pauseAfterFailingMs: 86_400_000, ...changes },
  }
  await checkOnce(deps, ctx())
}
const waiting = (endpoint: Endpoint) => world.count('deliveries', `target_id = '${endpoint.endpointId}'`)
const isTold = (type: string, { endpointId }: Endpoint) =>
  until(
    `${type} is published`,
    async () => (await world.count('events', `type = '${type}' and subject = '${endpointId}'`)) > 0,
  )

test('WE5: what is published for a paused endpoint waits, and is sent when it is resumed, once and in order', async () => {
  const { endpoint } = await world.create({ url: receiver.url, ordering: 'key' })
  const before = await world.publish('a.b', {}, { partitionkey: 'k' })
  await world.nothingUndone()
  await pauseEndpoint(world.webhooks, ctx(), ASKING, endpoint.endpointId, 'maintenance')
  expect(await readIt(endpoint)).toMatchObject({ state: 'paused', stateReason: 'maintenance', stateActor: 'key:test' })
  // The engine hears of it within a second (here, beside other tests, within two); what is published then waits.
  const ids = [before]
  const pausedMs = performance.now()
  await until('it is heard', () => performance.now() - pausedMs > 2_000)
  for (let round = 0; round < 5; round++) ids.push(await world.publish('a.b', {}, { partitionkey: 'k' }))
  await until('all wait', async () => (await waiting(endpoint)) === 5)
  expect(receiver.idsAt('/')).toEqual([before])
  await resumeEndpoint(world.webhooks, ctx(), ASKING, endpoint.endpointId)
  await world.nothingUndone()
  expect(receiver.idsAt('/')).toEqual(ids)
})

test('WK7: a 410 parks the endpoint at once: what is meant for it is kept, and told to the others of the tenant', async () => {
  const { endpoint } = await world.create({ url: `${receiver.url}/gone`, eventTypes: ['a.*'] })
  await world.create({ url: `${receiver.url}/other`, eventTypes: ['ripstop.*'] })
  receiver.answer = (response, { path }) => response.writeHead(path === '/gone' ? 410 : 200).end()
  await world.publish('a.b')
  const gone = await becomes(endpoint, 'gone', ({ state }) => state === 'gone')
  expect(gone).toMatchObject({ stateReason: 'it answered 410', stateActor: 'health', isProbing: false })
  expect(gone.probeWallMs ?? 0).toBeGreaterThan(Date.now() + 50 * 60_000)
  const sent = receiver.idsAt('/gone').length
  await world.publish('a.c')
  await until('both wait', async () => (await waiting(endpoint)) === 2)
  await isTold('ripstop.endpoint.gone', endpoint)
  await until('the other is told', () => receiver.idsAt('/other').length > 0)
  expect(receiver.idsAt('/gone')).toHaveLength(sent)
  expect(
    await world.count('audit_log', `action = 'endpoint.gone' and resource = 'endpoint:${endpoint.endpointId}'`),
  ).toBe(1)
  receiver.answer = (response) => response.end()
  await resumeEndpoint(world.webhooks, ctx(), ASKING, endpoint.endpointId)
  await until('nothing waits', async () => (await waiting(endpoint)) === 0)
})

test.each([
  ['404s', () => `${receiver.url}/missing`],
  ['a name that does not exist', () => 'http://nobody-lives-here.example/'],
])('WK7: %s, so many times in a row, park the endpoint; one other answer begins the count anew', async (_, urlOf) => {
  receiver.answer = (response) => response.writeHead(receiver.received.length === 2 ? 500 : 404).end()
  const { endpoint } = await world.create({ url: urlOf(), eventTypes: ['m.*'], retryScheduleMs: Array(20).fill(30) })
  await world.publish('m.x')
  const gone = await becomes(endpoint, 'gone', ({ state }) => state === 'gone')
  expect(gone.stateReason).toMatch(/3 times in a row/)
  expect(await waiting(endpoint)).toBe(1)
  if (receiver.received.length > 0) expect(receiver.received).toHaveLength(5)
})

test('WK8, WK10: a parked endpoint is probed with one delivery; in vain it stays parked, else it is resumed', async () => {
  receiver.answer = (response) => response.writeHead(410).end()
  const { endpoint } = await world.create({ url: `${receiver.url}/probed`, eventTypes: ['p.*'], concurrency: 16 })
  await world.publish('p.x')
  await becomes(endpoint, 'gone', ({ state }) => state === 'gone')
  for (let round = 0; round < 8; round++) await world.publish('p.x')
  const due = () =>
    world.mesh.query(`update ripstop.endpoints set probe_at = now() where endpoint_id = $1`, [endpoint.endpointId])
  for (const [probes, hours] of [
    [1, 6],
    [2, 24],
    [3, 24],
  ] as const) {
    const sent = receiver.received.length
    await check() // too early
    await due()
    await check()
    const vain = await becomes(
      endpoint,
      `parked after probe ${probes}`,
      (now) => now.probes === probes && !now.isProbing,
    )
    expect(vain.state).toBe('gone')
    expect(Math.abs((vain.probeWallMs ?? 0) - Date.now() - hours * 3_600_000)).toBeLessThan(hours * 3_600_000 * 0.11)
    expect(receiver.received).toHaveLength(sent + 1)
  }
  receiver.answer = (response) => response.end()
  await due()
  await check()
  const back = await becomes(endpoint, 'active', ({ state }) => state === 'active')
  expect(back).toMatchObject({ probes: 0, isProbing: false, probeWallMs: undefined, stateActor: 'health' })
  await until('nothing waits', async () => (await waiting(endpoint)) === 0)
  await isTold('ripstop.endpoint.resumed', endpoint)
})

test('an endpoint that failed for too long is paused by the checker, with the reason; one that recovered is not', async () => {
  receiver.answer = (response, { path }) => response.writeHead(path === '/fails' ? 500 : 200).end()
  const { endpoint: fails } = await world.create({
    url: `${receiver.url}/fails`,
    eventTypes: ['f.*'],
    retryScheduleMs: [60_000],
  })
  const { endpoint: idle } = await world.create({
    url: `${receiver.url}/idle`,
    eventTypes: ['f.*'],
    retryScheduleMs: [60_000],
  })
  await world.publish('f.x')
  await becomes(fails, 'failing', ({ health }) => health.failingSinceWallMs !== undefined)
  await becomes(idle, 'succeeding', ({ health }) => health.lastSuccessWallMs !== undefined)
  await check()
  expect((await readIt(fails)).state).toBe('active')
  const longAgo = `update ripstop.endpoints set failing_since = now() - interval '25 hours' where endpoint_id = $1`
  await world.mesh.query(longAgo, [fails.endpointId])
  // It failed once, long ago, and nothing was sent since: that says nothing.
  await world.mesh.query(`${longAgo.replace('set ', `set last_attempt_at = now() - interval '25 hours', `)}`, [
    idle.endpointId,
  ])
  await check()
  expect(await readIt(fails)).toMatchObject({
    state: 'paused',
    stateActor: 'health',
    stateReason: expect.stringMatching(/^nothing succeeded since/),
  })
  expect((await readIt(idle)).state).toBe('active')
})

test('health: the first success after failing is written at once', async () => {
  receiver.answer = (response) => response.writeHead(receiver.received.length === 1 ? 500 : 200).end()
  const { endpoint } = await world.create({ url: receiver.url, retryScheduleMs: [20] })
  await world.publish('h.x')
  await world.nothingUndone()
  const { health } = await readIt(endpoint)
  expect(health.failingSinceWallMs).toBeUndefined()
  expect(health.lastSuccessWallMs).toBeDefined()
})

test('WK9: what a person decided meanwhile is not undone by an attempt that was under way', async () => {
  const { promise: asked, resolve: wasAsked } = Promise.withResolvers<void>()
  const { promise: may, resolve: answerNow } = Promise.withResolvers<void>()
  receiver.answer = (response) => {
    wasAsked()
    void may.then(() => response.writeHead(410).end())
  }
  const { endpoint } = await world.create({ url: receiver.url, eventTypes: ['w.*'] })
  await world.publish('w.x')
  await asked
  await pauseEndpoint(world.webhooks, ctx(), ASKING, endpoint.endpointId, 'by me')
  answerNow()
  await until('the attempt is settled', async () => (await world.count('attempts')) > 0)
  await until(
    'the finding was looked at',
    () => world.webhooks.cache.endpoint(endpoint.endpointId)?.endpoint.state === 'paused',
  )
  expect(await readIt(endpoint)).toMatchObject({ state: 'paused', stateReason: 'by me' })
  expect(await waiting(endpoint)).toBe(1)
})

test('WE5: what was meant for a deleted endpoint becomes dead letters, and nothing more is sent to it', async () => {
  const { endpoint } = await world.create({ url: receiver.url, eventTypes: ['d.*'] })
  await pauseEndpoint(world.webhooks, ctx(), ASKING, endpoint.endpointId)
  await world.publish('d.x')
  await deleteEndpoint(world.webhooks, ctx(), ASKING, endpoint.endpointId)
  await world.publish('d.x')
  await world.nothingUndone()
  expect(await world.count('dead_letters', `target_id = '${endpoint.endpointId}' and reason = 'deleted'`)).toBe(1)
  await expect(readIt(endpoint)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(receiver.received).toEqual([])
})

test('what is gone for too long is deleted by itself only where the mesh is set so, and said so beforehand', async () => {
  receiver.answer = (response) => response.writeHead(410).end()
  const { endpoint } = await world.create({ url: receiver.url, eventTypes: ['c.*'] })
  await world.publish('c.x')
  await becomes(endpoint, 'gone', ({ state }) => state === 'gone')
  await world.mesh.query(`update ripstop.endpoints set state_at = now() - interval '31 days' where endpoint_id = $1`, [
    endpoint.endpointId,
  ])
  await check()
  expect((await readIt(endpoint)).state).toBe('gone')
  await check({ deleteGoneAfterMs: 30 * 86_400_000 })
  await expect(readIt(endpoint)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await isTold('ripstop.endpoint.deleted', endpoint)
})

test('endpoints by state and secrets that are too old are counted for the metrics; nothing is told that is not known', async () => {
  const { endpoint } = await world.create({ url: receiver.url })
  await world.create({ url: receiver.url })
  const { endpoint: paused } = await world.create({ url: receiver.url })
  const { endpoint: deleted } = await world.create({ url: receiver.url })
  await pauseEndpoint(world.webhooks, ctx(), ASKING, paused.endpointId, 'maintenance')
  await deleteEndpoint(world.webhooks, ctx(), ASKING, deleted.endpointId)
  const ids = [endpoint.endpointId, deleted.endpointId]
  const old = `update ripstop.endpoint_secrets set created_at = now() - interval '91 days' where endpoint_id = any ($1)`
  await world.mesh.query(old, [ids])
  const metrics = new Metrics()
  const { link, log, sealer, settings } = world.webhooks
  let isAway = true
  const flaky = new Proxy(link, {
    get: (of, name) =>
      name === 'call' && isAway ? () => Promise.reject(new Error('away')) : of[name as 'call'].bind(of),
  })
  const changed = { ...settings, checkEveryMs: 20 }
  await using _ = startChecker({ env: world.mesh.env, link: flaky, log, sealer, metrics, settings: changed })
  const failed = () => world.mesh.log.lines.some(({ event }) => event === 'webhook.check_failed')
  await until('a turn has failed', failed)
  expect(metrics.text()).not.toContain('webhook_')
  isAway = false
  await until('it is told', () => metrics.text().includes('webhook_secrets_too_old 1\n'))
  for (const told of ['active"} 2', 'paused"} 1', 'gone"} 0'])
    expect(metrics.text()).toContain(`webhook_endpoints{state="${told}\n`)
})

test('a REST Hook that answers 410 is unsubscribed', async () => {
  receiver.answer = (response) => response.writeHead(410).end()
  const { endpoint } = await world.create({ url: receiver.url, eventTypes: ['hook.*'], isHook: true })
  await world.publish('hook.x')
  await until('it is deleted', () =>
    readIt(endpoint).then(
      () => false,
      () => true,
    ),
  )
  await world.nothingUndone()
  expect(await world.count('dead_letters', `target_id = '${endpoint.endpointId}' and reason = 'deleted'`)).toBe(1)
})
