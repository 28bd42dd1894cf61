import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/postgres.ts'
import { until } from '../../testing/processes.ts'
import { type Held, withLease } from './lease.ts'

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  await mesh.query('create table marks (mark text)')
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const hold = <T>(name: string, work: (held: Held) => Promise<T>, { owner = randomUUID(), leaseMs = 30_000 } = {}) =>
  withLease(mesh.link, mesh.ctx, { name, owner, leaseMs }, work)

const mark = (held: Held, text: string) =>
  held.run<{ mark: string }>(mesh.ctx, {
    text: 'insert into marks select $1 from held returning mark',
    values: [text],
  })
const marks = async () =>
  (await mesh.query<{ mark: string }>('select mark from marks order by 1')).map((row) => row.mark)

describe('leases', () => {
  test('LS1: of many that want it at once one holds it, and epochs rise with every holder', async () => {
    let holders = 0
    let most = 0
    const want = () =>
      hold('one', async () => {
        most = Math.max(most, ++holders)
        await mesh.query('select pg_sleep(0.01)')
        holders--
        return 'held'
      })
    const results = await Promise.all(Array.from({ length: 12 }, want))
    expect(most).toBe(1)
    const held = results.filter((result) => result === 'held').length
    for (let holder = 0; holder < 3; holder++) expect(await want()).toBe('held')
    expect(await mesh.query(`select epoch from ripstop.leases where name = 'one'`)).toEqual([
      { epoch: String(held + 3) },
    ])
  })

  test('LS1: it is free again afterwards, also when the work failed', async () => {
    await expect(hold('failing', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await hold('failing', async () => 'next')).toBe('next')
  })

  test('LS1: it is free again when its holder was told to stop', async () => {
    const stopping = mesh.ctx.within(10_000)
    const terms = { name: 'stopped', owner: randomUUID(), leaseMs: 30_000 }
    const holder = withLease(mesh.link, stopping, terms, () => {
      stopping.cancel()
      return Promise.reject(stopping.reason)
    })
    await expect(holder).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await hold('stopped', async () => 'next')).toBe('next')
  })

  test('LS2: a holder that was paused past its lease can change nothing, and is told, while another holds it and after', async () => {
    await hold(
      'paused',
      async (paused) => {
        expect(await mark(paused, 'first')).toEqual([{ mark: 'first' }])
        const takeOver = () =>
          hold('paused', async (held) => {
            expect(await mark(paused, 'late')).toBeUndefined()
            return (await mark(held, 'second')) !== undefined
          })
        await until('the lease is over', takeOver)
        expect(await mark(paused, 'late')).toBeUndefined()
      },
      { leaseMs: 50 },
    )
    expect(await marks()).toEqual(['first', 'second'])
  })

  test('LS2: a claim waits for a statement that is under way with the epoch before', async () => {
    await mesh.query('truncate marks')
    await hold(
      'slow',
      async (slow) => {
        const text = `insert into marks select 'slow' from held, pg_sleep(0.4) returning mark`
        const writing = slow.run(mesh.ctx, { text, values: [] })
        await until(
          'it runs',
          async () =>
            (
              await mesh.query(
                `select 1 from pg_stat_activity where query like '%pg_sleep(0.4)%' and pid <> pg_backend_pid()`,
              )
            ).length > 0,
        )
        await mesh.query(`select pg_sleep(0.1)`)
        // By now the lease is over, but the statement still writes under it.
        const seen = await hold('slow', async () => marks())
        await writing
        expect(seen).toEqual(['slow'])
      },
      { leaseMs: 50 },
    )
  })

  test('the same owner may claim again, and only its newest claim counts', async () => {
    const owner = randomUUID()
    await hold(
      'mine',
      async (older) => {
        await hold('mine', async (newer) => expect(await mark(newer, 'newer')).toHaveLength(1), { owner })
        expect(await mark(older, 'older')).toBeUndefined()
      },
      { owner },
    )
  })
})
