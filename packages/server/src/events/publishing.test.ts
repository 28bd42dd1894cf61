import { RipstopError } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '../access/tenant.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { createFakeConsumer, FAKE_TABLES, type FakeConsumerOptions, ORPHANS } from './consumer.fixture.ts'
import type { EventConsumer } from './consumer.ts'
import { createPublishing, type Publishing, type PublishResult } from './publishing.ts'
import { readBodies, readEvents } from './store.ts'
import { TypesCache } from './types-cache.ts'

const BY = { tenantId: DEFAULT_TENANT_ID, actor: 'key:test' }

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  for (const statement of FAKE_TABLES.split(';')) await mesh.query(statement)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await mesh.query('delete from ripstop.events')
  await mesh.query('delete from ripstop.event_keys')
  await mesh.query('delete from fake_deliveries')
})

function start(
  options: FakeConsumerOptions = {},
  consumers?: readonly EventConsumer[],
  eventBytesMax?: number,
): Publishing {
  const { env, link } = mesh
  return createPublishing({
    env,
    metrics: mesh.mesh.metrics,
    link,
    consumers: consumers ?? [createFakeConsumer(link, options)],
    types: new TypesCache(link),
    isStrict: (tenantId) => tenantId === STRICT,
    eventBytesMax,
  })
}

const STRICT = '00000000-0000-7000-8000-00000000000a'

const outcomesOf = (results: readonly PublishResult[]): string[] => results.map(({ outcome }) => outcome)
const idOf = (result: PublishResult | undefined): string | undefined =>
  result === undefined || result.outcome === 'refused' ? undefined : result.eventId
const countOf = async (table: string): Promise<number> =>
  (await mesh.query<{ count: number }>(`select count(*)::integer as count from ${table}`))[0]?.count ?? -1

describe('publishing', () => {
  test('EV1, EV11: an event is there with its deliveries, its key and one line of the audit log when it is acknowledged', async () => {
    await using publishing = start()
    const audited = await countOf('ripstop.audit_log')
    const { results } = await publishing.publish(mesh.ctx, BY, [
      { type: 'order.paid', id: 'o-1', source: '/shop', subject: 's', partitionkey: 'k', data: { amount: 5 } },
      { type: 'order.paid' },
    ])
    expect(outcomesOf(results)).toEqual(['published', 'published'])
    const [first, second] = await readEvents(mesh.link, mesh.ctx, { tenantId: BY.tenantId, limit: 10 })
    expect(first).toMatchObject({ source: '/shop', id: 'o-1', type: 'order.paid', subject: 's', key: 'k', fanOut: 2 })
    expect(second).toMatchObject({ source: 'default', fanOut: 2, id: idOf(results[1]), typeVersion: undefined })
    expect(JSON.parse(String(first?.body))).toMatchObject({ specversion: '1.0', id: 'o-1', data: { amount: 5 } })
    expect(await mesh.query(ORPHANS)).toEqual([])
    expect(await countOf('fake_deliveries')).toBe(4)
    expect(await countOf('ripstop.event_keys')).toBe(1)
    const lines = await mesh.query<{ actor: string; action: string; details: unknown }>(
      `select actor, action, details from ripstop.audit_log order by audit_id offset ${audited}`,
    )
    expect(lines).toEqual([{ actor: 'key:test', action: 'event.publish', details: { events: 2 } }])
  })

  test('EV2, EV12: a repetition is a duplicate and names the first, within a batch, later, and of many at the same time', async () => {
    await using publishing = start()
    const event = { type: 'a', id: 'same', source: '/x', data: 1 }
    const { results } = await publishing.publish(mesh.ctx, BY, [
      event,
      event,
      { ...event, source: '/y' },
      { type: 'a' },
    ])
    expect(outcomesOf(results)).toEqual(['published', 'duplicate', 'published', 'published'])
    expect(idOf(results[1])).toBe(idOf(results[0]))
    const raced = await Promise.all(
      Array.from({ length: 40 }, (_, at) =>
        publishing.publish(mesh.ctx, BY, [{ ...event, id: `raced-${at % 4}` }, event]),
      ),
    )
    for (const { results } of raced) expect(idOf(results[1])).toBe(idOf(await first('same')))
    const firsts = raced.flatMap(({ results }) => (results[0]?.outcome === 'published' ? [idOf(results[0])] : []))
    expect(firsts).toHaveLength(4)
    expect(new Set(raced.map(({ results }) => idOf(results[0]))).size).toBe(4)
    expect(await countOf('ripstop.events')).toBe(7)
    expect(await mesh.query(ORPHANS)).toEqual([])

    async function first(id: string): Promise<PublishResult> {
      const [row] = await mesh.query<{ event_id: string }>(
        `select event_id from ripstop.event_keys where id = '${id}' and source = '/x'`,
      )
      return { outcome: 'published', eventId: row?.event_id ?? '' }
    }
  })

  test('EV2: names of another tenant are other names', async () => {
    await using publishing = start()
    const event = { type: 'a', id: 'mine' }
    const other = { tenantId: '00000000-0000-7000-8000-00000000000b', actor: 'key:other' }
    const [one, two] = await Promise.all([
      publishing.publish(mesh.ctx, BY, [event]),
      publishing.publish(mesh.ctx, other, [event]),
    ])
    expect([...outcomesOf(one.results), ...outcomesOf(two.results)]).toEqual(['published', 'published'])
    expect(await readEvents(mesh.link, mesh.ctx, { tenantId: other.tenantId, limit: 10 })).toHaveLength(1)
  })

  test('EV3: a plan whose ground moved writes nothing and is made anew; if it moves for ever the publisher is told', async () => {
    let moves = 2
    const move = async (): Promise<void> => {
      if (moves-- > 0) await mesh.query('update fake_revision set revision = revision + 1')
    }
    await using publishing = start({ planned: move })
    const { results } = await publishing.publish(mesh.ctx, BY, [{ type: 'a' }, { type: 'b', id: 'named' }])
    expect(outcomesOf(results)).toEqual(['published', 'published'])
    expect(moves).toBeLessThan(0)
    expect(await mesh.query(ORPHANS)).toEqual([])
    moves = 1_000
    await expect(publishing.publish(mesh.ctx, BY, [{ type: 'a' }])).rejects.toMatchObject({ code: 'OVERLOADED' })
    expect(await countOf('ripstop.events')).toBe(2)
  })

  test('EV12: each item is refused for itself, by its form, its size, or a consumer', async () => {
    const full = new RipstopError('BACKLOG_FULL', 'e1 takes less than it is sent', { details: { endpoint_id: 'e1' } })
    await using publishing = start({ refuse: ({ type }) => (type === 'full' ? full : undefined) })
    const { results } = await publishing.publish(mesh.ctx, BY, [
      { type: 'ok' },
      { type: '' },
      { type: 'full' },
      { type: 'large', data: 'x'.repeat(262_144) },
      null,
      { type: 'ok', id: 'last' },
    ])
    expect(results.map((result) => ('code' in result ? result.code : result.outcome))).toEqual([
      'published',
      'EVENT_INVALID',
      'BACKLOG_FULL',
      'PAYLOAD_TOO_LARGE',
      'EVENT_INVALID',
      'published',
    ])
    expect(results[2]).toMatchObject({ details: { endpoint_id: 'e1' } })
    expect(await countOf('ripstop.events')).toBe(2)
    expect(await mesh.query(ORPHANS)).toEqual([])
  })

  test('EV7, EV8: an event that Postgres refuses, or on which a consumer breaks, is refused alone', async () => {
    await mesh.query(`alter table fake_deliveries add constraint small check (target < 10)`)
    const targets = (event: { type: string }): number => {
      if (event.type === 'broken') throw new TypeError('a defect')
      return event.type === 'poison' ? 11 : 1
    }
    await using publishing = start({ targets })
    const types = Array.from({ length: 50 }, (_, at) => (at === 7 ? 'poison' : at === 31 ? 'broken' : 'fine'))
    const { results } = await publishing.publish(
      mesh.ctx,
      BY,
      types.map((type) => ({ type })),
    )
    expect(results.map((result) => ('code' in result ? result.code : result.outcome))).toEqual(
      types.map((type) => (type === 'poison' ? 'EVENT_INVALID' : type === 'broken' ? 'INTERNAL' : 'published')),
    )
    expect(await countOf('ripstop.events')).toBe(48)
    expect(await mesh.query(ORPHANS)).toEqual([])
    await mesh.query('alter table fake_deliveries drop constraint small')
  })

  test('EV4: events stand in the order in which they were given, also a thousand of one millisecond', async () => {
    await using publishing = start()
    const inputs = Array.from({ length: 1_000 }, (_, at) => ({ type: 'n', data: at }))
    const { results } = await publishing.publish(mesh.ctx, BY, inputs)
    const ids = results.map(idOf)
    expect([...ids].sort()).toEqual(ids)
    const stored = await readEvents(mesh.link, mesh.ctx, { tenantId: BY.tenantId, limit: 1_000 })
    expect(stored.map(({ body }) => JSON.parse(String(body)).data)).toEqual(inputs.map(({ data }) => data))
    const bodies = await readBodies(mesh.link, mesh.ctx, ids as string[])
    expect(bodies.size).toBe(1_000)
  })

  test('EV5: how large an event may be is set', async () => {
    await using publishing = start({}, undefined, 2_000)
    const inputs = [1_000, 2_000].map((length) => ({ type: 'a', data: 'x'.repeat(length) }))
    const { results } = await publishing.publish(mesh.ctx, BY, inputs)
    expect(results).toMatchObject([
      { outcome: 'published' },
      { outcome: 'refused', code: 'PAYLOAD_TOO_LARGE', details: { bytes_max: 2_000 } },
    ])
  })

  test("a tenant that demands registered types is refused those that are none, but hears the mesh's own", async () => {
    await using publishing = start()
    const { results } = await publishing.publish(mesh.ctx, { tenantId: STRICT, actor: 'key:s' }, [
      { type: 'constructor' },
      { type: 'ripstop.endpoint.paused' },
    ])
    expect(results).toMatchObject([{ outcome: 'refused', code: 'EVENT_TYPE_UNKNOWN' }, { outcome: 'published' }])
  })

  test('readEvents finds types by pattern and time, a page at a time', async () => {
    await using publishing = start()
    const types = ['order.paid', 'order.sent', 'order_x', 'user.born']
    await publishing.publish(
      mesh.ctx,
      BY,
      types.map((type) => ({ type })),
    )
    const find = async (types: readonly string[], more = {}) =>
      (await readEvents(mesh.link, mesh.ctx, { tenantId: BY.tenantId, types, limit: 10, ...more })).map(
        ({ type }) => type,
      )
    expect(await find(['order.*'])).toEqual(['order.paid', 'order.sent'])
    expect(await find(['order_*', 'user.born'])).toEqual(['order_x', 'user.born'])
    expect(await find(['*'])).toEqual(types)
    expect(await find(['*'], { untilWallMs: mesh.env.clock.wallMs() - 60_000 })).toEqual([])
    const [first] = await readEvents(mesh.link, mesh.ctx, { tenantId: BY.tenantId, limit: 1 })
    expect(await find(['*'], { after: first?.eventId })).toEqual(types.slice(1))
  })
})

describe('the queue', () => {
  test('EV9: many publishers share statements; a thousand callers are done by a few', async () => {
    let plans = 0
    await using publishing = start({
      planned: () => {
        plans++
      },
    })
    const all = await Promise.all(
      Array.from({ length: 500 }, (_, at) => publishing.publish(mesh.ctx, BY, [{ type: 'a', data: at }])),
    )
    expect(all.every(({ results }) => results[0]?.outcome === 'published')).toBe(true)
    expect(plans).toBeLessThan(250)
    expect(await countOf('ripstop.events')).toBe(500)
  })

  test('ET7: however many publishers need a type at the same time, it is asked for once', async () => {
    let asked = 0
    const link = new Proxy(mesh.link, {
      get: (target, name) => {
        if (name === 'call') asked++
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const types = new TypesCache(link)
    const all = Array.from({ length: 500 }, () => types.load(mesh.ctx, BY.tenantId, new Set(['a', 'b'])))
    for (const found of await Promise.all(all)) expect(found.get('a')).toMatchObject({ version: undefined })
    expect(asked).toBe(1)
    const early = types.load(mesh.ctx, BY.tenantId, new Set(['c']))
    types.forget(BY.tenantId, 'c') // registered while it is being asked
    await early
    await types.load(mesh.ctx, BY.tenantId, new Set(['c']))
    expect(asked).toBe(3)
  })

  test('EV9, EV10: beyond its bound publishers are told at once; who gave up while waiting has published nothing', async () => {
    const gate = Promise.withResolvers<void>()
    let plans = 0
    const planned = () => {
      plans++
      return gate.promise
    }
    await using publishing = start({ planned })
    const batch = Array.from({ length: 1_000 }, () => ({ type: 'a' }))
    const first = [1, 2].map(() => publishing.publish(mesh.ctx, BY, [{ type: 'first' }]))
    await until('two statements are under way', () => plans === 2)
    using patience = mesh.ctx.within(60_000)
    const gaveUp = publishing.publish(patience, BY, [{ type: 'gave-up' }]).catch((error: unknown) => error)
    const refused: unknown[] = []
    const waiting = Array.from({ length: 25 }, () =>
      publishing.publish(mesh.ctx, BY, batch).catch((error: unknown) => refused.push(error)),
    )
    await until('the queue is full', () => refused.length === 6) // 19,001 wait
    for (const error of refused) expect(error).toMatchObject({ code: 'OVERLOADED', sent: 'no' })
    patience.cancel()
    expect(await gaveUp).toMatchObject({ code: 'CANCELLED' })
    gate.resolve()
    await Promise.all([...first, ...waiting])
    expect(await countOf('ripstop.events')).toBe(19_002)
    const types = await mesh.query<{ type: string }>('select distinct type from ripstop.events order by type')
    expect(types).toEqual([{ type: 'a' }, { type: 'first' }])
  })
})

describe('an Idempotency-Key', () => {
  const key = (name: string, sha = 1) => ({ idempotency: { key: name, requestSha256: Buffer.alloc(32, sha) } })

  test('EV13: a repeated request publishes nothing more and gets the same answer, duplicates and refusals included', async () => {
    await using publishing = start()
    await publishing.publish(mesh.ctx, BY, [{ type: 'a', id: 'before' }])
    const inputs = [{ type: 'a' }, { type: 'a', id: 'before' }, { type: '' }, { type: 'a', id: 'new' }]
    const first = await publishing.publish(mesh.ctx, BY, inputs, key('k1'))
    expect(outcomesOf(first.results)).toEqual(['published', 'duplicate', 'refused', 'published'])
    const again = await publishing.publish(mesh.ctx, BY, inputs, key('k1'))
    expect(again).toEqual({ results: first.results, replayed: true })
    await expect(publishing.publish(mesh.ctx, BY, inputs, key('k1', 2))).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    })
    expect(await countOf('ripstop.events')).toBe(3)
    expect(await mesh.query(ORPHANS)).toEqual([])
  })

  test('EV13: of many repetitions at the same time one publishes', async () => {
    await using publishing = start()
    const all = await Promise.all(
      Array.from({ length: 12 }, () => publishing.publish(mesh.ctx, BY, [{ type: 'a' }, { type: 'b' }], key('k2'))),
    )
    expect(all.filter(({ replayed }) => !replayed)).toHaveLength(1)
    for (const { results } of all) expect(results).toEqual(all[0]?.results)
    expect(await countOf('ripstop.events')).toBe(2)
  })

  test('EV13, EV3: a plan that moved, and a request of duplicates alone, claim nothing', async () => {
    let moves = 1
    await using publishing = start({
      planned: async () => {
        if (moves-- > 0) await mesh.query('update fake_revision set revision = revision + 1')
      },
    })
    const { results } = await publishing.publish(mesh.ctx, BY, [{ type: 'a', id: 'x' }], key('k3'))
    expect(outcomesOf(results)).toEqual(['published'])
    const duplicate = await publishing.publish(mesh.ctx, BY, [{ type: 'a', id: 'x' }], key('k4'))
    expect(duplicate.results).toEqual([{ outcome: 'duplicate', eventId: idOf(results[0]) }])
    expect(await mesh.query(`select 1 from ripstop.idempotency where idempotency_key = 'k4'`)).toEqual([])
  })
})
