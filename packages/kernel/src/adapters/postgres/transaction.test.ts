import { afterEach, expect, test } from 'vitest'
import { background, type Ctx } from '../../ctx.ts'
import { createEnv } from '../../env.ts'
import { createPostgresAdapter } from './adapter.ts'
import { type FakeServer, failure, message, ready, type Script, SILENT, startFakeServer, until } from './fake-server.ts'
import type { PostgresPool } from './pool.ts'
import type { Queryable } from './transaction.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

interface Fixture {
  readonly fake: FakeServer
  readonly pool: PostgresPool
  readonly ctx: Ctx
  readonly inUse: () => number
  /** What callers' statements reached the server. */
  readonly statements: () => string[]
}

async function openPool(query?: Script): Promise<Fixture> {
  const fake = await startFakeServer(query === undefined ? {} : { query })
  cleanups.push(() => fake[Symbol.asyncDispose]())
  const adapter = createPostgresAdapter({ url: `postgres://u:p@127.0.0.1:${fake.port}/d`, size: 1 })
  const ctx = background(createEnv())
  const pool = await adapter.open(ctx.within(1_000), { lost: () => {} })
  cleanups.push(() => adapter.close(pool, 'drained'))
  return {
    fake,
    pool,
    ctx,
    inUse: () => adapter.pool?.(pool).inUse ?? -1,
    statements: () => fake.statements.filter((text) => !text.includes('recovery')),
  }
}

const hangs: Script = (text) => (text.includes('hang') ? SILENT : undefined)
const commitFails =
  (commit: Script): Script =>
  (text, connection) =>
    text === 'commit' ? commit(text, connection) : undefined

test('what the function returns comes back after COMMIT', async () => {
  const { pool, ctx, statements, inUse } = await openPool()
  const value = await pool.transaction(ctx, async (tx) => {
    await tx.query(ctx, 'insert $1', [1])
    return 'done'
  })
  expect(value).toBe('done')
  expect(statements()).toEqual(['begin', 'insert $1', 'commit'])
  expect(inUse()).toBe(0)
})

test('a function that throws is rolled back, and its own error comes out as it is', async () => {
  const { pool, ctx, statements, inUse } = await openPool()
  const error = new Error('mine')
  await expect(pool.transaction(ctx, () => Promise.reject(error))).rejects.toBe(error)
  await until('the slot is back', () => inUse() === 0)
  expect(statements()).toEqual(['begin', 'rollback'])
})

test('QT1: a function that never returns is over by its ctx, and its later statements are not sent', async () => {
  const { pool, ctx, statements, inUse } = await openPool()
  const late: { tx?: Queryable } = {}
  const startedMs = performance.now()
  const transaction = pool.transaction(ctx.within(60), (tx) => {
    late.tx = tx
    return new Promise(() => {})
  })
  await expect(transaction).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
  expect(performance.now() - startedMs).toBeLessThan(500)
  await expect(late.tx?.query(ctx, 'insert 1')).rejects.toMatchObject({ code: 'CANCELLED', sent: 'no' })
  await until('the slot is back', () => inUse() === 0)
  expect(statements()).toEqual(['begin', 'rollback'])
})

test('QT1: a statement under way at the deadline is cancelled, rolled back, and the slot is used again', async () => {
  const { pool, ctx, fake, statements, inUse } = await openPool(hangs)
  const call = ctx.within(60)
  const transaction = pool.transaction(call, (tx) => tx.query(call, 'select hang'))
  await expect(transaction).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
  await until('the slot is back', () => inUse() === 0)
  expect(fake.cancels).toEqual([2])
  await pool.query(ctx, 'select 1')
  expect(statements()).toEqual(['begin', 'select hang', 'rollback', 'select 1'])
  expect(fake.accepted).toBe(2)
})

test('QT1: a statement that was given up by a ctx of its own ends the transaction, even if the function goes on', async () => {
  const { pool, ctx, statements, inUse } = await openPool(hangs)
  const transaction = pool.transaction(ctx, async (tx) => {
    await tx.query(ctx.within(40), 'select hang').catch(() => {})
    return 'nothing happened'
  })
  await expect(transaction).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
  await until('the slot is back', () => inUse() === 0)
  expect(statements()).toEqual(['begin', 'select hang', 'rollback'])
})

test('QT2: a connection that breaks before COMMIT: sent no; at COMMIT: sent maybe', async () => {
  const dies: Script = (text, { socket }) => {
    if (text !== 'insert die' && text !== 'commit') return undefined
    socket.resetAndDestroy()
    return SILENT
  }
  const { pool, ctx } = await openPool(dies)
  const before = pool.transaction(ctx, (tx) => tx.query(ctx, 'insert die'))
  await expect(before).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'no' })
  const at = pool.transaction(ctx, (tx) => tx.query(ctx, 'insert 1'))
  await expect(at).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
})

test('QT2: a COMMIT that is not answered by the deadline is sent maybe', async () => {
  const { pool, ctx } = await openPool(commitFails(() => SILENT))
  const call = ctx.within(60)
  const transaction = pool.transaction(call, (tx) => tx.query(call, 'insert 1'))
  await expect(transaction).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
})

test('QT2: a COMMIT that the server refuses was rolled back: sent no, or its answer as it is', async () => {
  let sqlState = '40001'
  const { pool, ctx } = await openPool(
    commitFails((_, connection) => {
      connection.status = 'I'
      return Buffer.concat([failure(sqlState, 'refused'), ready('I')])
    }),
  )
  await expect(pool.transaction(ctx, () => 1)).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'no' })
  sqlState = '23503'
  await expect(pool.transaction(ctx, () => 1)).rejects.toMatchObject({ code: '23503' })
  sqlState = '57P01'
  await expect(pool.transaction(ctx, () => 1)).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
})

test('QT3: a transaction whose failure the function swallowed does not pass for a committed one', async () => {
  const fails: Script = (text, connection) => {
    if (text !== 'insert bad') return undefined
    connection.status = 'E'
    return Buffer.concat([failure('23505', 'duplicate key'), ready('E')])
  }
  const { pool, ctx } = await openPool(fails)
  const transaction = pool.transaction(ctx, (tx) => tx.query(ctx, 'insert bad').catch(() => 'never mind'))
  await expect(transaction).rejects.toMatchObject({ code: 'PEER_REFUSED', sent: 'no' })
})

test('statements of one transaction that are not awaited run in order, before COMMIT', async () => {
  const { pool, ctx, statements } = await openPool()
  await pool.transaction(ctx, (tx) => {
    for (const text of ['insert 1', 'insert 2', 'insert 3']) void tx.query(ctx, text)
  })
  expect(statements()).toEqual(['begin', 'insert 1', 'insert 2', 'insert 3', 'commit'])
})

test('the answer to a statement that could not be encoded is not taken for that of the next', async () => {
  const { pool, ctx } = await openPool((text, { socket }) => {
    if (text === 'select die') socket.resetAndDestroy()
    return text === 'select 2' ? Buffer.concat([message('C', 'SELECT 2'), ready('T')]) : undefined
  })
  const bad = {
    toPostgres: () => {
      throw new TypeError('no such value')
    },
  }
  const after = (text: string) => {
    const call = ctx.within(1_000)
    return pool.transaction(call, async (tx) => {
      await tx.query(call, 'select $1', [bad]).catch(() => {})
      return (await tx.query(call, text)).rowCount
    })
  }
  expect(await after('select 2')).toBe(2)
  await expect(after('select die')).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'no' })
})
