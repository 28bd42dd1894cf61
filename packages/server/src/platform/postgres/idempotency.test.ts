import { createHash } from 'node:crypto'
import { createId, hasCode, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/postgres.ts'
import { until } from '../../testing/processes.ts'
import { runOnce } from './idempotency.ts'
import { violatedConstraint } from './sql-state.ts'
import { composeStatement } from './statement.ts'

const TENANT = '00000000-0000-7000-8000-000000000000'
const OTHER = '00000000-0000-7000-8000-000000000001'

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  await mesh.query(
    `create table things (thing_id uuid primary key, name text not null unique, told int not null default 0)`,
  )
  await mesh.query(`insert into ripstop.tenants (tenant_id, name) values ($1, 'other')`, [OTHER])
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await mesh.query('delete from things')
  await mesh.query('delete from ripstop.idempotency')
})

const keyOf = (key: string, request = 'a') => ({ key, requestSha256: createHash('sha256').update(request).digest() })

interface Wish {
  readonly key?: string | undefined
  readonly request?: string
  readonly tenantId?: string
  readonly retentionMs?: number
  readonly from?: TestMesh
}

/** Makes a thing of that name, once for each key. */
function make(name: string, { key, request = name, tenantId = TENANT, retentionMs, from = mesh }: Wish = {}) {
  const thingId = createId(mesh.env.clock.wallMs())
  return runOnce(from.link, from.ctx, {
    tenantId,
    idempotency: key === undefined ? undefined : keyOf(key, request),
    response: { thing_id: thingId, name },
    effect: {
      text: 'insert into things (thing_id, name) select $1::uuid, $2::text from once returning thing_id',
      values: [thingId, name],
    },
    also: [
      {
        name: 'told',
        text: 'insert into things (thing_id, name, told) select gen_random_uuid(), $1, 1 from effect',
        values: [`${name} told`],
      },
    ],
    ...(retentionMs === undefined ? {} : { retentionMs }),
  })
}

const names = async () =>
  (await mesh.query<{ name: string }>('select name from things order by name')).map(({ name }) => name)

describe('idempotency', () => {
  test('ID1, ID2: a repetition does nothing and gets the first answer; further parts happen with the effect', async () => {
    const first = await make('cup', { key: 'k1' })
    expect(first).toMatchObject({ replayed: false, response: { name: 'cup' } })
    const again = await make('cup', { key: 'k1' })
    expect(again).toEqual({ replayed: true, response: first?.response })
    expect(await names()).toEqual(['cup', 'cup told'])
  })

  test('ID2: the same key with another request is refused, and nothing happens', async () => {
    await make('cup', { key: 'k1' })
    const error = await make('jug', { key: 'k1' }).catch((caught: unknown) => caught)
    expect(hasCode(error, 'IDEMPOTENCY_KEY_REUSED')).toBe(true)
    expect(await names()).toEqual(['cup', 'cup told'])
  })

  test('without a key every request is a new one', async () => {
    await make('cup')
    const error = await make('cup').catch((caught: unknown) => caught)
    expect(violatedConstraint(error)).toBe('things_name_key')
    await make('jug')
    expect(await names()).toEqual(['cup', 'cup told', 'jug', 'jug told'])
  })

  test('ID1: the keys of one tenant are not those of another', async () => {
    await make('cup', { key: 'k1' })
    expect(await make('jug', { key: 'k1', tenantId: OTHER })).toMatchObject({ replayed: false })
  })

  test('ID1: of many duplicates at once, over many connections and two processes, one has the effect, and all give its answer', async () => {
    await using second = await startTestMesh(database.url)
    const sent = Array.from({ length: 40 }, (_, index) =>
      make('cup', { key: 'k1', from: index % 2 === 0 ? mesh : second }),
    )
    const answers = await Promise.all(sent)
    expect(answers.filter((answer) => answer?.replayed === false)).toHaveLength(1)
    expect(new Set(answers.map((answer) => JSON.stringify(answer?.response))).size).toBe(1)
    expect(await names()).toEqual(['cup', 'cup told'])
  })

  test('ID3: an effect that finds nothing to do leaves no claim, so that the key can be used once there is something', async () => {
    const touch = () =>
      runOnce(mesh.link, mesh.ctx, {
        tenantId: TENANT,
        idempotency: keyOf('k1'),
        response: 'touched',
        effect: {
          text: `update things set told = told + 1 from once where name = 'cup' returning thing_id`,
          values: [],
        },
      })
    expect(await touch()).toBeUndefined()
    expect(await mesh.query('select 1 from ripstop.idempotency')).toEqual([])
    await make('cup')
    expect(await touch()).toEqual({ response: 'touched', replayed: false })
    expect(await touch()).toEqual({ response: 'touched', replayed: true })
    expect(await mesh.query(`select told from things where name = 'cup'`)).toEqual([{ told: 1 }])
  })

  test('ID3: an effect that the database refuses leaves no claim', async () => {
    await make('cup')
    const error = await make('cup', { key: 'k1' }).catch((caught: unknown) => caught)
    expect(violatedConstraint(error)).toBe('things_name_key')
    expect(await mesh.query('select 1 from ripstop.idempotency')).toEqual([])
  })

  test('ID1: when its connection dies in mid-statement the link tries again by itself, and the client sees a fresh answer', async () => {
    await mesh.query(
      `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.3); return new; end $$`,
    )
    await mesh.query('create trigger slow before insert on things for each row execute function slow()')
    try {
      const answer = make('cup', { key: 'k1' })
      await until('the statement runs', async () => {
        const killed = await mesh.query<{ gone: boolean }>(
          `select pg_terminate_backend(pid) as gone from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and query like '%into things%'`,
        )
        return killed.length > 0
      })
      expect(await answer).toMatchObject({ replayed: false, response: { name: 'cup' } })
      expect(await names()).toEqual(['cup', 'cup told'])
    } finally {
      await mesh.query('drop trigger slow on things')
    }
  })

  test('ID1: when only the answer is lost, the link finds its own claim and the client sees a fresh answer', async () => {
    await using losing = await startTestMesh(database.url, { wait: false })
    const adapter = losing.postgres.adapter(2)
    let answersToLose = 1
    let opened: PostgresPool | undefined
    const link = losing.mesh.link(
      'postgres.losing',
      {
        ...adapter,
        target: 'test',
        open: async (ctx, events) => {
          const pool = await adapter.open(ctx, events)
          opened = pool
          const query: PostgresPool['query'] = async (ctx, text, values) => {
            const result = await pool.query<never>(ctx, text, values)
            if (text.includes('things') && answersToLose-- > 0) {
              throw new RipstopError('LINK_LOST', 'the answer was lost', { sent: 'maybe' })
            }
            return result
          }
          return new Proxy(pool, {
            get: (target, name) => (name === 'query' ? query : Reflect.get(target, name, target)),
          })
        },
        probe: async () => {},
        close: (_, because) => opened !== undefined && adapter.close(opened, because),
      },
      { deadlineMs: 5_000, retry: { attempts: 2 } },
    )
    link.start()
    await link.whenUp(losing.ctx.within(5_000))
    const answer = await make('cup', { key: 'k1', from: { ...losing, link } })
    expect(answersToLose).toBeLessThan(1)
    expect(answer).toMatchObject({ replayed: false, response: { name: 'cup' } })
    expect(await names()).toEqual(['cup', 'cup told'])
    expect(await make('cup', { key: 'k1' })).toEqual({ replayed: true, response: answer?.response })
  })

  test('a key whose time is over can be used anew', async () => {
    await make('cup', { key: 'k1', retentionMs: 0 })
    expect(await make('jug', { key: 'k1' })).toMatchObject({ replayed: false })
    expect(await make('jug', { key: 'k1' })).toMatchObject({ replayed: true, response: { name: 'jug' } })
  })
})

test('parts number their own parameters, and ten or more of them are told apart', () => {
  const many = Array.from({ length: 11 }, (_, index) => index)
  const statement = composeStatement(
    [
      { name: 'a', text: many.map((index) => `$${index + 1}`).join(), values: many },
      { name: 'b', text: 'select $1, $2, $1', values: ['x', 'y'] },
    ],
    'select 1',
  )
  expect(statement.text).toContain('a as ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)')
  expect(statement.text).toContain('b as (select $12, $13, $12)')
  expect(statement.values).toEqual([...many, 'x', 'y'])
})
