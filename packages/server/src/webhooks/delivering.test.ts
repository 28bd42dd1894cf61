import { createHmac } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { addTenant, principalAsking, type Receiver, startReceiver, startWorld, type World } from './webhooks.fixture.ts'

let database: TestDatabase
let world: World
let receiver: Receiver

beforeAll(async () => {
  database = await createTestDatabase()
  world = await startWorld(database.url)
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

const attempts = () =>
  world.mesh.query<{ outcome: string; status: number | null; code: string | null; receipt: string | null; n: number }>(
    'select outcome, status, code, receipt, n from ripstop.attempts order by attempt_id',
  )

test('an event reaches every endpoint that wants it, with its id in every header that receivers look at', async () => {
  await world.create({ url: `${receiver.url}/all`, headers: { authorization: 'Bearer hunter2' } })
  await world.create({ url: `${receiver.url}/orders`, eventTypes: ['order.*'], filter: 'event.data.amount > 2' })
  await world.create({ url: `${receiver.url}/large`, eventTypes: ['order.*'], filter: 'event.data.amount > 3' })
  await world.create({ url: `${receiver.url}/users`, eventTypes: ['user.made'] })
  const id = await world.publish('order.paid', { amount: 3 })
  await world.nothingUndone()
  expect(receiver.received.map(({ path }) => path).sort()).toEqual(['/all', '/orders'])
  const first = receiver.received.find(({ path }) => path === '/all')
  expect(first?.headers).toMatchObject({
    'webhook-id': id,
    'idempotency-key': id,
    'x-idempotency-key': id,
    'webhook-attempt': '1',
    'content-type': 'application/json',
    'user-agent': 'Ripstop/1',
    authorization: 'Bearer hunter2',
  })
  expect(JSON.parse(first?.body ?? '')).toMatchObject({ specversion: '1.0', type: 'order.paid', data: { amount: 3 } })
  expect(await world.count('events', `event_id = '${id}' and fan_out = 2`)).toBe(1)
})

test('WS2: what arrives is signed over id, time and body with the secret that was shown; a retry is signed anew', async () => {
  const { secret } = await world.create({ url: receiver.url, retryScheduleMs: [50] })
  receiver.answer = (response) => response.writeHead(receiver.received.length === 1 ? 500 : 200).end('sorry')
  await world.publish('a.b')
  await world.nothingUndone()
  expect(receiver.received).toHaveLength(2)
  const key = Buffer.from((secret ?? '').slice('whsec_'.length), 'base64')
  for (const { headers, body } of receiver.received) {
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
  }
  expect(receiver.received.map(({ headers }) => headers['webhook-attempt'])).toEqual(['1', '2'])
  expect(receiver.received[0]?.headers['webhook-id']).toBe(receiver.received[1]?.headers['webhook-id'])
  expect(await attempts()).toMatchObject([
    { outcome: 'failed', status: 500, code: 'PEER_FAILED', n: 1 },
    { outcome: 'delivered', status: 200, n: 2 },
  ])
})

test('WS3: a genuine receipt is kept with the attempt, a forged one is not', async () => {
  const { secret } = await world.create({ url: receiver.url })
  const key = Buffer.from((secret ?? '').slice('whsec_'.length), 'base64')
  receiver.answer = (response, { headers, body }) => {
    const id = String(headers['webhook-id'])
    const by = body.includes('forged') ? Buffer.from('other') : key
    const mac = createHmac('sha256', by).update(`${id}.applied`).digest('base64')
    response.writeHead(200, { 'webhook-receipt': `applied v1,${mac}` }).end()
  }
  await world.publish('a.genuine')
  await world.nothingUndone()
  await world.publish('a.forged')
  await world.nothingUndone()
  expect((await attempts()).map(({ receipt }) => receipt)).toEqual(['applied', null])
})

test('WK5: no connection is failed, a connection that breaks after the request is unknown, each with its code', async () => {
  const closed = await startReceiver()
  await closed[Symbol.asyncDispose]()
  await world.create({ url: closed.url, eventTypes: ['a.closed'] })
  await world.create({ url: `${receiver.url}/breaks`, eventTypes: ['a.breaks'] })
  await world.create({ url: `${receiver.url}/hangs`, eventTypes: ['a.hangs'], deadlineMs: 200 })
  receiver.answer = (response, { path }) => {
    if (path === '/breaks') response.socket?.destroy()
  }
  for (const type of ['a.closed', 'a.breaks', 'a.hangs']) {
    await world.publish(type)
    await until(`${type} is attempted`, async () => (await world.count('attempts')) > 0)
    const [attempt] = await attempts()
    if (type === 'a.closed') expect(attempt).toMatchObject({ outcome: 'failed', code: 'LINK_DOWN', status: null })
    else expect(attempt).toMatchObject({ outcome: 'unknown', status: null })
    await world.mesh.query('truncate ripstop.attempts')
  }
})

test('WE3: endpoints of another tenant hear nothing, and are not to be read or changed', async () => {
  const other = await addTenant(world, 'neighbour')
  await world.create({ url: `${receiver.url}/own` })
  await world.create({ url: `${receiver.url}/other` }, principalAsking(other))
  await world.publish('a.b')
  await world.nothingUndone()
  expect(receiver.received.map(({ path }) => path)).toEqual(['/own'])
  await world.publish('a.b', {}, {}, other)
  await world.nothingUndone()
  expect(receiver.received.map(({ path }) => path)).toEqual(['/own', '/other'])
})

test('WK2: an event published after an endpoint was made reaches it, in whatever process either happens', async () => {
  // Other edges, each with a memory of its own that is never polled.
  await using one = await startWorld(database.url, { works: false, sealer: world.sealer })
  await using two = await startWorld(database.url, { works: false, sealer: world.sealer })
  await one.publish('warm.up')
  await two.publish('warm.up')
  const expected: string[] = []
  for (let round = 0; round < 20; round++) {
    const type = `round.n${round}`
    const [maker, publisher] = round % 2 === 0 ? [one, two] : [two, one]
    // A crowd of other publishes is under way meanwhile.
    const crowd = Promise.all(Array.from({ length: 5 }, () => publisher.publish('crowd.x')))
    await maker.create({ url: `${receiver.url}/${round}`, eventTypes: [type] })
    expected.push(await publisher.publish(type))
    await crowd
  }
  await world.nothingUndone()
  expect(receiver.received.map(({ headers }) => String(headers['webhook-id'])).sort()).toEqual(expected.sort())
})

test('WK2: what is made, changed and deleted while others publish never leaves an event without its deliveries', async () => {
  await using other = await startWorld(database.url, { works: false, sealer: world.sealer })
  let isOver = false
  // Endpoints that change all the time are a reason to be told to come again.
  const publish = async (): Promise<string> => {
    for (;;) {
      const id = await other.publish('busy.x').catch((error: unknown) => error)
      if (typeof id === 'string') return id
      expect(id).toMatchObject({ code: 'OVERLOADED', sent: 'no' })
    }
  }
  const publishing = (async () => {
    const ids: string[] = []
    while (!isOver) ids.push(await publish())
    return ids
  })()
  const made: { readonly path: string; readonly from: string }[] = []
  for (let round = 0; round < 10; round++) {
    const path = `/${round}`
    await world.create({ url: `${receiver.url}${path}`, eventTypes: ['busy.*'] })
    made.push({ path, from: await publish() })
  }
  isOver = true
  const ids = await publishing
  await world.nothingUndone()
  for (const { path, from } of made) {
    const got = new Set(receiver.idsAt(path))
    for (const id of [...ids, ...made.map((one) => one.from)]) if (id >= from) expect(got.has(id), path).toBe(true)
    expect(got.size).toBe(receiver.idsAt(path).length)
  }
})

test('WK3: an endpoint is not told about itself, others of the tenant are; a test goes to the tested one alone', async () => {
  const { endpoint } = await world.create({ url: `${receiver.url}/it` })
  await world.create({ url: `${receiver.url}/other` })
  const own = { source: '/ripstop/webhooks', subject: endpoint.endpointId }
  await world.publish('ripstop.endpoint.resumed', {}, own)
  await world.publish('ripstop.test', {}, own)
  await world.nothingUndone()
  const types = (path: string) =>
    receiver.received.filter((one) => one.path === path).map(({ body }) => (JSON.parse(body) as { type: string }).type)
  expect(types('/other')).toEqual(['ripstop.endpoint.resumed'])
  expect(types('/it')).toEqual(['ripstop.test'])
})

test('WS1: secrets and headers are nowhere in the database or the logs in clear', async () => {
  const { secret } = await world.create({ url: receiver.url, headers: { authorization: 'Bearer hunter2' } })
  receiver.answer = (response) => response.writeHead(500).end()
  await world.publish('a.b')
  await until('it is attempted', async () => (await world.count('attempts')) > 0)
  const bytes = Buffer.from((secret ?? '').slice('whsec_'.length), 'base64')
  const tables = ['endpoints', 'endpoint_secrets', 'audit_log', 'attempts', 'events', 'idempotency', 'outbox']
  for (const table of tables) {
    const rows = await world.mesh.query<{ text: string }>(`select t::text as text from ripstop.${table} t`)
    const text = rows.map((row) => row.text).join('\n')
    for (const clear of ['hunter2', secret ?? '', bytes.toString('base64'), bytes.toString('hex')])
      expect(text.includes(clear), table).toBe(false)
  }
  const logged = JSON.stringify(world.mesh.log.lines)
  expect(logged).not.toContain('hunter2')
  expect(logged).not.toContain(secret)
})

test('a row that was sealed for another endpoint does not open: nothing is sent, and the attempt says why', async () => {
  const one = await world.create({ url: `${receiver.url}/one`, eventTypes: ['a.one'] })
  const two = await world.create({ url: `${receiver.url}/two`, eventTypes: ['a.two'] })
  await world.mesh.query(
    `update ripstop.endpoint_secrets set sealed = (select sealed from ripstop.endpoint_secrets where endpoint_id = $1)
     where endpoint_id = $2`,
    [one.endpoint.endpointId, two.endpoint.endpointId],
  )
  await world.publish('a.two')
  await until('it is attempted', async () => (await world.count('attempts')) > 0)
  expect(await attempts()).toMatchObject([{ outcome: 'failed', code: 'SEAL_BROKEN' }])
  expect(receiver.received).toEqual([])
})
