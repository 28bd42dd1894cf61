// On a real Postgres: races, failures, and receivers that are killed between effect and commit, and between commit and answer.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Pool, type PoolClient } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createTestDatabase } from '../../../server/src/testing/postgres.ts'
import { until } from '../../../server/src/testing/processes.ts'
import { createInboxDdl, createPostgresInbox, type PostgresInboxOptions } from './postgres-inbox.ts'
import { verifyReceipt } from './receipt.ts'
import { receiveOnce } from './receive-once.ts'
import { EVENT, SECRET, signWebhook } from './signing.fixture.ts'

const open = new AsyncDisposableStack()
let url: string
let pool: Pool

beforeAll(async () => {
  url = open.use(await createTestDatabase()).url
  pool = new Pool({ connectionString: url, max: 10 })
  pool.on('error', () => {})
  open.defer(() => pool.end())
  await pool.query('create table effects (id text, n integer)')
  await createPostgresInbox(pool, { source: 'orders' }).createTable()
})
afterAll(() => open.disposeAsync())
beforeEach(() => pool.query('truncate effects, webhook_inbox'))

const createInbox = (more: Partial<PostgresInboxOptions> = {}) =>
  createPostgresInbox(pool, { source: 'orders', ...more })
const write = (id: string) => async (tx: PoolClient) => {
  await tx.query('insert into effects (id) values ($1)', [id])
}
const count = async (text: string): Promise<number> =>
  Number((await pool.query(`select count(*) from ${text}`)).rows[0].count)

describe('once', () => {
  test('SK9: of 50 at the same time one is applied, the others wait and are duplicates', async () => {
    const inbox = createInbox()
    const said = await Promise.all(Array.from({ length: 50 }, () => inbox.once('a', write('a'))))
    expect(said.filter((each) => each === 'applied')).toHaveLength(1)
    expect(said.filter((each) => each === 'duplicate')).toHaveLength(49)
    expect([await count('effects'), await count('webhook_inbox')]).toEqual([1, 1])
  })

  test('SK9: the same over the whole receiver, with 50 requests for each of 10 webhooks', async () => {
    const receive = receiveOnce({ inbox: createInbox(), secrets: SECRET, apply: (event, tx) => write(event.id)(tx) })
    const signed = Array.from({ length: 500 }, (_, index) => {
      const id = `msg_${index % 10}`
      return { id, ...signWebhook({ id, body: JSON.stringify({ ...JSON.parse(EVENT), id }) }) }
    })
    const answers = await Promise.all(signed.map(receive))
    expect(answers.map(({ status }) => status)).toEqual(Array(500).fill(200))
    const said = answers.map(({ headers }, index) =>
      verifyReceipt({ receipt: headers['webhook-receipt'], id: signed[index]?.id ?? '', secrets: SECRET }),
    )
    expect(said.filter((each) => each === 'applied')).toHaveLength(10)
    expect(said.filter((each) => each === 'duplicate')).toHaveLength(490)
    expect([await count('effects'), await count('(select distinct id from effects) d')]).toEqual([10, 10])
  })

  test('SK9: two effects of one webhook have a source each', async () => {
    expect(await createInbox({ source: 'stock' }).once('a', write('a'))).toBe('applied')
    expect(await createInbox({ source: 'mail' }).once('a', write('a'))).toBe('applied')
    expect(await createInbox({ source: 'mail' }).once('a', write('a'))).toBe('duplicate')
  })

  test('SK10: a failed effect leaves nothing behind, and whoever waited for it applies', async () => {
    const inbox = createInbox()
    let runs = 0
    const effect = async (tx: PoolClient) => {
      await write('a')(tx)
      if (++runs <= 3) throw new Error('no')
    }
    const said = await Promise.allSettled(Array.from({ length: 10 }, () => inbox.once('a', effect)))
    expect(said.filter(({ status }) => status === 'rejected')).toHaveLength(3)
    expect(said.filter((each) => each.status === 'fulfilled' && each.value === 'applied')).toHaveLength(1)
    expect([runs, await count('effects')]).toEqual([4, 1])
  })

  test('SK10: an effect that swallows an error of the database, or ends the transaction, is not acknowledged', async () => {
    const inbox = createInbox()
    const swallow = async (tx: PoolClient) => {
      await write('a')(tx)
      await tx.query('select 1 / 0').catch(() => {})
    }
    await expect(inbox.once('a', swallow)).rejects.toThrow('aborted')
    const rollBack = async (tx: PoolClient) => {
      await write('a')(tx)
      await tx.query('rollback')
    }
    await expect(inbox.once('a', rollBack)).rejects.toThrow('SAVEPOINT')
    expect([await count('effects'), await count('webhook_inbox')]).toEqual([0, 0])
    expect(await inbox.once('a', write('a'))).toBe('applied')
  })

  test('SK10: a connection that breaks under an effect harms nobody', async () => {
    const inbox = createInbox()
    const broken = async (tx: PoolClient) => {
      await write('a')(tx)
      const { rows } = await tx.query('select pg_backend_pid() as pid')
      // Heard from before it is killed: its end can come ahead of the answer to the kill.
      const ended = new Promise((resolve) => (tx as unknown as NodeJS.EventEmitter).once('end', resolve))
      await pool.query('select pg_terminate_backend($1)', [rows[0].pid])
      await ended
    }
    await expect(inbox.once('a', broken)).rejects.toThrow()
    expect(await inbox.once('a', write('a'))).toBe('applied')
    expect(await count('effects')).toBe(1)
  })

  test('SK9: a duplicate waits for the first no longer than its bound, and then fails: nothing is guessed', async () => {
    const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const first = createInbox().once('a', async (tx) => {
      await write('a')(tx)
      begin()
      await mayEnd
    })
    await begun
    await expect(createInbox({ waitMsMax: 50 }).once('a', write('a'))).rejects.toMatchObject({ code: '55P03' })
    end()
    expect(await first).toBe('applied')
    expect(await createInbox({ waitMsMax: 50 }).once('a', write('a'))).toBe('duplicate')
  })
})

describe('table', () => {
  test('many make it at once; names that would need quotes are refused', async () => {
    await pool.query('create schema inboxes')
    const inbox = createInbox({ table: 'inboxes.mine' })
    await Promise.all(Array.from({ length: 10 }, () => inbox.createTable()))
    expect(await inbox.once('a', write('a'))).toBe('applied')
    expect(createInboxDdl()).toContain('create table if not exists webhook_inbox (')
    for (const table of ['a b', 'a;drop', '"a"', 'A', '', 'a.b.c', 'x'.repeat(59)])
      expect(() => createInboxDdl(table)).toThrow('table')
    for (const waitMsMax of [0, -1, Number.NaN, 1e12]) expect(() => createInbox({ waitMsMax })).toThrow('range')
  })

  test('forgets what is old, of its own source, a bounded number at a time', async () => {
    const old = `insert into webhook_inbox select source, 'old' || n, now() - interval '8 days'
      from generate_series(1, 5) n, (values ('orders'), ('mail')) as s (source)`
    await pool.query(old)
    const inbox = createInbox()
    await inbox.once('new', write('new'))
    const weekMs = 7 * 86_400_000
    expect([await inbox.forget(weekMs, 3), await inbox.forget(weekMs, 3), await inbox.forget(weekMs, 3)]).toEqual([
      3, 2, 0,
    ])
    expect(await count('webhook_inbox')).toBe(6)
    expect(await inbox.once('new', write('new'))).toBe('duplicate')
  })
})

describe('kill -9', () => {
  const ROUNDS = 12

  async function startReceiver(stopAt = ''): Promise<{ child: ChildProcess; port: number }> {
    const child = fork(join(import.meta.dirname, 'receiver.fixture.ts'), [url, SECRET, stopAt])
    open.defer(() => void child.kill('SIGKILL'))
    const [port] = (await once(child, 'message')) as [number]
    return { child, port }
  }

  const send = (port: number, id: string): Promise<Response> => {
    const { headers, body } = signWebhook({ id, body: JSON.stringify({ ...JSON.parse(EVENT), id }) })
    return fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body: new Uint8Array(body) })
  }

  test('SK9, SK11: killed between effect and commit or between commit and answer, again and again, each webhook is applied once', async () => {
    const points = ['after-effect', 'after-commit']
    for (let round = 0; round < ROUNDS; round++) {
      const stopAt = points[round % 2]
      const { child, port } = await startReceiver(stopAt)
      const asked = ['same', `own_${round}`].map((id) =>
        send(port, id).then(
          () => 'answered',
          () => 'no answer',
        ),
      )
      await once(child, 'message')
      child.kill('SIGKILL')
      expect(await Promise.all(asked)).toContain('no answer')
    }
    await until(
      'the killed transactions are over',
      async () => (await count(`pg_stat_activity where state like 'idle in%' and datname = current_database()`)) === 0,
    )
    const committed = await count('effects')
    expect(committed).toBeGreaterThanOrEqual(1) // of those killed after a commit; a duplicate's may have been it
    expect(await count('webhook_inbox')).toBe(committed)
    const { child, port } = await startReceiver()
    const ids = ['same', ...Array.from({ length: ROUNDS }, (_, round) => `own_${round}`)]
    for (const id of [...ids, ...ids]) expect((await send(port, id)).status).toBe(200)
    child.kill('SIGKILL')
    const { rows } = await pool.query('select id from effects order by id')
    expect(rows.map(({ id }) => id)).toEqual([...ids].sort())
  }, 60_000)
})
