import { afterEach, expect, test } from 'vitest'
import { background, type Ctx } from '../../ctx.ts'
import { createEnv } from '../../env.ts'
import { createPostgresAdapter } from './adapter.ts'
import {
  type FakeServer,
  type FakeServerOptions,
  failure,
  message,
  ready,
  row,
  SILENT,
  startFakeServer,
  until,
} from './fake-server.ts'
import type { PostgresPool } from './pool.ts'
import type { PostgresOptions } from './settings.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

interface Fixture {
  readonly fake: FakeServer
  readonly pool: PostgresPool
  readonly lost: unknown[]
  readonly ctx: Ctx
  gauges(): { size: number; inUse: number; waiting: number }
  renew(): void
  close(): void
}

async function openPool(
  serverOptions: FakeServerOptions = {},
  options: PostgresOptions = {},
  env = createEnv(),
): Promise<Fixture> {
  const fake = await startFakeServer(serverOptions)
  cleanups.push(() => fake[Symbol.asyncDispose]())
  const adapter = createPostgresAdapter({ url: `postgres://u:p@127.0.0.1:${fake.port}/d`, size: 2, ...options })
  const ctx = background(env)
  const lost: unknown[] = []
  const pool = await adapter.open(ctx.within(1_000), { lost: (why) => lost.push(why) })
  const close = (): void => adapter.close(pool, 'drained')
  cleanups.push(close)
  return {
    fake,
    pool,
    lost,
    ctx,
    gauges: () => adapter.pool?.(pool) ?? { size: -1, inUse: -1, waiting: -1 },
    renew: () => adapter.renew?.(pool),
    close,
  }
}

const hangs = (text: string): Buffer | undefined => (text.includes('hang') ? SILENT : undefined)
const idle = ({ gauges }: Fixture) => until('nothing is in use', () => gauges().inUse === 0 && gauges().waiting === 0)

test('QP1: slots open as they are needed, never more than size, beside the one for probes', async () => {
  const fixture = await openPool({ query: hangs })
  const { pool, ctx, fake, gauges } = fixture
  expect(fake.accepted).toBe(1)
  await pool.query(ctx, 'select 1')
  await pool.query(ctx, 'select 1')
  expect(fake.accepted).toBe(2)
  const call = ctx.within(150)
  const calls = [1, 2, 3, 4].map(() => pool.query(call, 'select hang'))
  await until('two wait', () => gauges().waiting === 2)
  expect(gauges()).toEqual({ size: 2, inUse: 2, waiting: 2 })
  expect(fake.open.size).toBe(3)
  for (const result of await Promise.allSettled(calls)) expect(result.status).toBe('rejected')
  await idle(fixture)
})

test('QP2: a wait for a slot is bounded by waitMs, by the ctx and by a cancel, and sent is no', async () => {
  const waits: number[] = []
  const fixture = await openPool({ query: hangs }, { size: 1, waitMs: 60, onWait: (ms) => waits.push(ms) })
  const { pool, ctx } = fixture
  const busy = pool.query(ctx.within(400), 'select hang').catch((error) => error)
  await until('it is in use', () => fixture.gauges().inUse === 1)
  await expect(pool.query(ctx, 'select 1')).rejects.toMatchObject({ code: 'OVERLOADED', sent: 'no' })
  await expect(pool.query(ctx.within(20), 'select 1')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
  const cancelled = ctx.within(1_000)
  const waiting = pool.query(cancelled, 'select 1')
  cancelled.cancel()
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED', sent: 'no' })
  expect(await busy).toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
  expect(fixture.gauges().waiting).toBe(0)
  expect(waits).toHaveLength(4)
  expect(waits[1]).toBeGreaterThanOrEqual(59)
})

test('QS1: a statement settles by its ctx; QS2: its slot is used again once the cancel is confirmed', async () => {
  const fixture = await openPool({ query: hangs })
  const { pool, ctx, fake } = fixture
  await expect(pool.query(ctx.within(50), 'select hang')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  await idle(fixture)
  expect(fake.cancels).toEqual([2])
  await pool.query(ctx, 'select 1')
  expect(fake.accepted).toBe(2) // one for probes, and still the same one for calls
})

test('QS2: a slot whose cancel was not taken by the server is destroyed', async () => {
  const fixture = await openPool({ query: hangs, cancel: () => {} })
  const { pool, ctx, fake } = fixture
  await expect(pool.query(ctx.within(50), 'select hang')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  expect(fixture.gauges().inUse).toBe(1)
  await idle(fixture)
  expect(fixture.gauges().size).toBe(0)
  await until('its socket is closed', () => fake.open.size === 1)
})

test('QS2: a slot whose statement goes on after the cancel was taken is destroyed', async () => {
  const fixture = await openPool({ query: hangs, cancel: (_, socket) => socket.end() })
  const { pool, ctx, fake } = fixture
  await expect(pool.query(ctx.within(50), 'select hang')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  await idle(fixture)
  expect(fixture.gauges().size).toBe(0)
  await until('its socket is closed', () => fake.open.size === 1)
})

test('QP3: the next caller does not meet the ReadyForQuery, the error or the transaction of the one before', async () => {
  const late: (() => void)[] = []
  const query: FakeServerOptions['query'] = (text, connection) => {
    if (text === 'select late') {
      late.push(() => connection.socket.write(ready('I')))
      return failure('22012', 'division by zero')
    }
    if (text === 'select open') {
      connection.status = 'T'
      return Buffer.concat([message('C', 'SELECT 0'), ready('T')])
    }
    return undefined
  }
  const fixture = await openPool({ query }, { size: 1 })
  const { pool, ctx, fake, gauges } = fixture
  await expect(pool.query(ctx, 'select late')).rejects.toMatchObject({ code: '22012' })
  expect(gauges().inUse).toBe(1)
  late[0]?.()
  await idle(fixture)
  await pool.query(ctx, 'select open')
  await idle(fixture)
  await pool.query(ctx, 'select 1')
  expect(fake.statements.slice(2)).toEqual(['select late', 'select open', 'rollback', 'select 1'])
})

test('QS1: the loss of a busy slot fails its statement alone, sent maybe, and the pool goes on', async () => {
  const slow: (() => void)[] = []
  const query: FakeServerOptions['query'] = (text, { socket }) => {
    if (text === 'select die') socket.resetAndDestroy()
    if (text !== 'select slow') return undefined
    slow.push(() => socket.write(Buffer.concat([message('C', 'SELECT 0'), ready('I')])))
    return SILENT
  }
  const fixture = await openPool({ query })
  const { pool, ctx, lost } = fixture
  const beside = pool.query(ctx, 'select slow')
  await expect(pool.query(ctx, 'select die')).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  await until('the other is under way', () => slow.length === 1)
  slow[0]?.()
  await beside
  await pool.query(ctx, 'select 1')
  expect(lost).toEqual([])
  expect(fixture.gauges().inUse).toBe(0)
})

test('an idle slot that breaks or is told to go is gone without a word, and no error ends the process', async () => {
  const fixture = await openPool()
  const { pool, ctx, fake, lost, gauges } = fixture
  await Promise.all([pool.query(ctx, 'select 1'), pool.query(ctx, 'select 2')])
  const [, first, second] = [...fake.open]
  first?.socket.write(failure('57P01', 'terminating connection'))
  first?.socket.end()
  second?.socket.resetAndDestroy()
  await until('both are gone', () => gauges().size === 0)
  await pool.query(ctx, 'select 1')
  expect(lost).toEqual([])
})

test('the loss of the reserved slot is the loss of the generation', async () => {
  const { fake, lost } = await openPool()
  for (const { socket } of fake.open) socket.end()
  await until('it is told', () => lost.length === 1)
  expect(lost[0]).toMatchObject({ code: 'LINK_LOST' })
})

test('when the last slot breaks and the reserved one is silent too, the generation is lost', async () => {
  let silent = false
  const { pool, ctx, fake, lost } = await openPool({ query: () => (silent ? SILENT : undefined) })
  await pool.query(ctx, 'select 1')
  silent = true
  for (const { processId, socket } of fake.open) if (processId === 2) socket.resetAndDestroy()
  await until('it is told', () => lost.length === 1)
})

test('QP4: without a free connection at the server callers wait for a slot that exists', async () => {
  const full = (): FakeServerOptions => {
    return {
      startup: ({ processId }) => (processId > 2 ? failure('53300', 'too many clients') : undefined),
      query: hangs,
    }
  }
  const fixture = await openPool(full(), { size: 5 })
  const { pool, ctx } = fixture
  const results = await Promise.all([1, 2, 3, 4, 5].map(() => pool.query(ctx, 'select 1')))
  expect(results).toHaveLength(5)
  expect(fixture.gauges()).toEqual({ size: 1, inUse: 0, waiting: 0 })
})

test('QP4: without a slot either, they are told so: sent no, when to come back, and no storm of connections', async () => {
  const startup: FakeServerOptions['startup'] = ({ processId }) =>
    processId > 1 ? failure('53300', 'too many clients') : undefined
  const fixture = await openPool({ startup })
  const { pool, ctx, fake } = fixture
  for (let tries = 0; tries < 50; tries++) {
    await expect(pool.query(ctx, 'select 1')).rejects.toMatchObject({
      code: 'PEER_FAILED',
      sent: 'no',
      details: { sqlState: '53300' },
    })
  }
  await expect(pool.query(ctx, 'select 1')).rejects.toMatchObject({ retryAfterMs: expect.any(Number) })
  expect(fake.accepted).toBeLessThan(15)
  expect(fixture.lost).toEqual([])
})

test('QP5: close ends every socket, wait and timer', async () => {
  const fixture = await openPool({ query: hangs, cancel: () => {} }, { size: 1, waitMs: 5_000, maxAgeMs: 0 })
  const { pool, ctx, fake } = fixture
  const hang = () => pool.query(ctx.within(Number.POSITIVE_INFINITY), 'select hang')
  const first = hang()
  await until('one runs', () => fixture.gauges().inUse === 1)
  const calls = [first, hang()]
  fixture.renew()
  fixture.close()
  const [running, waiting] = await Promise.allSettled(calls)
  expect(running).toMatchObject({ status: 'rejected', reason: { code: 'LINK_LOST', sent: 'maybe' } })
  expect(waiting).toMatchObject({ status: 'rejected', reason: { code: 'LINK_LOST', sent: 'no' } })
  await until('all sockets are closed', () => fake.open.size === 0)
  expect(ctx.env.wheel.armed).toBe(0)
  await expect(pool.query(ctx.within(100), 'select 1')).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'no' })
  expect(fixture.lost).toEqual([])
})

test('QP6: after something was done under the same ctx, a failure that undid itself is sent maybe', async () => {
  const query: FakeServerOptions['query'] = (text) =>
    text === 'select conflict' ? Buffer.concat([failure('40001', 'could not serialize'), ready('I')]) : undefined
  const { pool, ctx } = await openPool({ query })
  const call = ctx.within(1_000)
  await expect(pool.query(call, 'select conflict')).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'no' })
  await expect(pool.query(call, 'select conflict')).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'no' })
  await pool.query(call, 'insert 1')
  await expect(pool.query(call, 'select conflict')).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'maybe' })
})

test('QP6: nor is it sent no while something else runs under the same ctx, or may have been applied', async () => {
  const query: FakeServerOptions['query'] = (text, { socket }) => {
    if (text === 'insert die') socket.resetAndDestroy()
    if (text === 'select conflict') return Buffer.concat([failure('40001', 'could not serialize'), ready('I')])
    return hangs(text)
  }
  const { pool, ctx } = await openPool({ query })
  const lost = ctx.within(1_000)
  await pool.query(lost, 'insert die').catch(() => {})
  await expect(pool.query(lost, 'select conflict')).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'maybe' })
  const parallel = ctx.within(300)
  const beside = pool.query(parallel, 'insert hang').catch((error) => error)
  await expect(pool.query(parallel, 'select conflict')).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'maybe' })
  await beside
  await expect(pool.query(ctx.within(300), 'select conflict')).rejects.toMatchObject({ sent: 'no' })
})

test('a primary that was demoted under an open connection is found out by the statement that it refuses', async () => {
  const query: FakeServerOptions['query'] = (text) =>
    text === 'insert 1' ? Buffer.concat([failure('25006', 'read-only transaction'), ready('I')]) : undefined
  const { pool, ctx, fake, lost } = await openPool({ query })
  await expect(pool.query(ctx, 'insert 1')).rejects.toMatchObject({ code: 'PEER_WRONG_ROLE', sent: 'no' })
  await until(
    'it was asked for its role',
    () => fake.statements.filter((text) => text.includes('recovery')).length === 3,
  )
  await pool.query(ctx, 'select 1')
  expect(lost).toEqual([]) // read-only for another reason: it still is the primary
  fake.standby = true
  await expect(pool.query(ctx, 'insert 1')).rejects.toMatchObject({ code: 'PEER_WRONG_ROLE' })
  await until('it is lost', () => lost.length === 1)
  expect(lost[0]).toMatchObject({ code: 'PEER_WRONG_ROLE' })
})

test('a slot that reaches a standby is never given to a caller', async () => {
  let standby = false
  const query: FakeServerOptions['query'] = (text, { processId }) =>
    standby && processId > 1 && text.includes('recovery') ? Buffer.concat([row('standby', 't'), ready('I')]) : undefined
  const { pool, ctx, fake } = await openPool({ query })
  standby = true
  await expect(pool.query(ctx, 'insert 1')).rejects.toMatchObject({ code: 'PEER_WRONG_ROLE', sent: 'no' })
  expect(fake.statements).not.toContain('insert 1')
})

test('L10, QP1: renewal makes before it breaks, one at a time, also slots that are busy and the reserved one', async () => {
  const hasty = createEnv({ random: () => 0.01 }) // pauses of 10 ms
  const fixture = await openPool({ query: hangs }, { maxAgeMs: 0 }, hasty)
  const { pool, ctx, fake, gauges, lost } = fixture
  const call = ctx.within(5_000)
  const busy = [1, 2].map(() => pool.query(call, 'select hang').catch((error) => error))
  await until('both are busy', () => gauges().inUse === 2)
  fixture.renew()
  fixture.renew()
  await until('one has a successor', () => gauges().size === 3)
  const provedMs = performance.now() + 200
  await until('a while has passed', () => performance.now() > provedMs)
  expect(fake.open.size).toBe(4) // the next waits until the one that was replaced has come back
  call.cancel()
  await Promise.all(busy)
  await until('all are new', () => fake.accepted === 6 && fake.open.size === 3 && gauges().size === 2)
  expect([...fake.open].map(({ processId }) => processId).sort()).toEqual([4, 5, 6])
  await pool.query(ctx, 'select 1')
  expect(lost).toEqual([])
})

test('L10: renewal that can not open keeps what there is', async () => {
  let refused = false
  const startup: FakeServerOptions['startup'] = () => (refused ? failure('53300', 'too many clients') : undefined)
  const fixture = await openPool({ startup }, { maxAgeMs: 0 })
  await fixture.pool.query(fixture.ctx, 'select 1')
  refused = true
  fixture.renew()
  await until('it was tried', () => fixture.fake.accepted === 3)
  refused = false
  await fixture.pool.query(fixture.ctx, 'select 1')
  expect(fixture.gauges()).toEqual({ size: 1, inUse: 0, waiting: 0 })
  expect(fixture.lost).toEqual([])
})

test.each(['08P01', '0A000'])(
  'a pooler that refuses startup parameters with %s is used without, and says so',
  async (code) => {
    const startup: FakeServerOptions['startup'] = ({ parameters }) =>
      parameters.statement_timeout === undefined ? undefined : failure(code, 'unsupported startup parameter')
    const { pool, ctx, fake } = await openPool(
      { startup },
      { statementTimeoutMs: 4_000, idleInTransactionTimeoutMs: 500 },
    )
    expect(pool.sessionSettings).toBe('refused')
    await pool.query(ctx, 'select 1')
    expect(fake.accepted).toBe(3) // it is not asked again for every slot
    await pool.transaction(ctx, (tx) => tx.query(ctx, 'insert 1'))
    expect(fake.statements).toContain(
      'begin; set local statement_timeout = 4000; set local idle_in_transaction_session_timeout = 500',
    )
  },
)

test('sessionSettings startup insists, none never tries', async () => {
  const startup: FakeServerOptions['startup'] = ({ parameters }) =>
    parameters.statement_timeout === undefined ? undefined : failure('08P01', 'unsupported startup parameter')
  await expect(openPool({ startup }, { sessionSettings: 'startup' })).rejects.toMatchObject({ sent: 'no' })
  const { pool, fake } = await openPool({ startup }, { sessionSettings: 'none' })
  expect(pool.sessionSettings).toBe('none')
  expect(fake.accepted).toBe(1)
})

test('values that can not be encoded are the caller’s mistake, and the slot stays good', async () => {
  const fixture = await openPool({}, { size: 1 })
  const { pool, ctx, fake } = fixture
  const bad = {
    toPostgres: () => {
      throw new TypeError('no such value')
    },
  }
  await expect(pool.query(ctx, 'select $1', [bad])).rejects.toThrow(TypeError)
  await pool.query(ctx, 'select 1')
  expect(fake.accepted).toBe(2)
})
