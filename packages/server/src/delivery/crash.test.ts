import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createId, createSeededRandom } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { countRows, newDeliveries, publish, TARGET } from './engine.fixture.ts'
import type { EngineOrder } from './engine-process.fixture.ts'
import type { NewDelivery, Target } from './kind.ts'
import { CRASH_POINTS, type CrashPoint } from './points.ts'

interface Received {
  readonly deliveryId: number
  readonly messageId: string
  readonly targetId: string
  readonly mayRepeat: boolean
}

const PROGRAM = join(import.meta.dirname, 'engine-process.fixture.ts')
/** Hundreds of sends pass some points; few statements the others. */
const COUNTS: Partial<Record<CrashPoint, number>> = {
  sending: 60,
  answered: 60,
  settling: 4,
  settled: 4,
  renewing: 2,
  renewed: 2,
}

let database: TestDatabase
let mesh: TestMesh
const received: Received[] = []
const random = createSeededRandom(3)
const receiver = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    received.push(JSON.parse(Buffer.concat(chunks).toString()) as Received)
    response.statusCode = random() < 0.1 ? 500 : 200
    response.end()
  })
})
const children = new Set<ChildProcess>()

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
})

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await mesh.query('truncate ripstop.deliveries, ripstop.attempts, ripstop.dead_letters')
  received.length = 0
})

const target = (changes: Partial<Target>): Target => ({
  ...TARGET,
  targetId: createId(Date.now()),
  retryScheduleMs: Array.from({ length: 30 }, () => 20),
  ...changes,
})

function run(order: Omit<EngineOrder, 'url' | 'receiver'>): ChildProcess {
  const { port } = receiver.address() as AddressInfo
  const full: EngineOrder = { ...order, url: database.url, receiver: `http://127.0.0.1:${port}/` }
  const child = fork(PROGRAM, [JSON.stringify(full)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  children.add(child)
  child.on('exit', () => children.delete(child))
  return child
}

/** Nothing lost, every key in order, and what came twice to the receiver was said to be a repetition. */
async function check(deliveries: readonly NewDelivery[]): Promise<void> {
  const keyOf = new Map(
    deliveries.map(({ messageId, targetId, key, isOrdered }) => [
      messageId,
      isOrdered ? `${targetId} ${key}` : undefined,
    ]),
  )
  const wanted = new Set(deliveries.map(({ messageId }) => messageId))
  const lines = await mesh.query<{ id: number; n: number; outcome: string; may_repeat: boolean }>(
    'select delivery_id::float8 as id, n, outcome, may_repeat from ripstop.attempts',
  )
  const delivered = lines.filter(({ outcome }) => outcome === 'delivered')
  expect(delivered).toHaveLength(deliveries.length)
  expect(new Set(delivered.map(({ id }) => id)).size).toBe(deliveries.length)
  expect(new Set(received.map(({ messageId }) => messageId))).toEqual(wanted)
  const times = new Map<number, number>()
  for (const { deliveryId } of received) times.set(deliveryId, (times.get(deliveryId) ?? 0) + 1)
  const told = new Map<number, number>()
  for (const { id } of lines) told.set(id, (told.get(id) ?? 0) + 1)
  const silent = [...times].filter(
    ([id, count]) => count > (told.get(id) ?? 0) && !received.some((one) => one.deliveryId === id && one.mayRepeat),
  )
  expect(silent, 'sent more often than there are attempts, and nobody said so').toEqual([])
  const last = new Map<string, number>()
  for (const { messageId, deliveryId } of received) {
    const key = keyOf.get(messageId)
    if (key === undefined) continue
    expect(deliveryId, `after ${last.get(key)} of ${key}`).toBeGreaterThanOrEqual(last.get(key) ?? 0)
    last.set(key, deliveryId)
  }
}

describe('a process that is killed', () => {
  test.each(CRASH_POINTS.map((at) => ({ at })))(
    'DS4, DC4, LN2: at "$at" loses nothing, keeps the order of keys, and says what it may repeat',
    async ({ at }) => {
      const targets = [target({ concurrency: 8 }), target({ isOrdered: true }), target({ lanes: 3, isOrdered: true })]
      const first = targets.flatMap((target) => newDeliveries(target, 60, 8))
      const second = targets.flatMap((target) => newDeliveries(target, 20, 8))
      await publish(mesh, first)
      const workerId = createId(Date.now())
      const doomed = run({ workerId, targets, crash: { at, count: COUNTS[at] ?? 1 } })
      const exited = once(doomed, 'exit')
      await once(doomed, 'message')
      await publish(mesh, second)
      if (at === 'draining' || at === 'released') {
        await until('it delivers', () => received.length > 20)
        doomed.kill('SIGTERM')
      }
      expect((await exited)[1]).toBe('SIGKILL')
      const bornMs = performance.now()
      const heir = run({ workerId, targets, crash: undefined })
      const before = received.length
      if ((await countRows(mesh, 'deliveries')) > 0)
        await until('the first is sent', () => received.length > before, 5_000)
      expect(performance.now() - bornMs).toBeLessThan(5_000) // with its old id it does not wait for a lease
      await until('nothing is undone', async () => (await countRows(mesh, 'deliveries')) === 0, 20_000)
      heir.kill('SIGTERM')
      expect((await once(heir, 'exit'))[0]).toBe(0)
      await check([...first, ...second])
    },
  )

  test('DS4: another worker takes its shards over when the lease is over', async () => {
    const targets = [target({ isOrdered: true })]
    const deliveries = newDeliveries(targets[0] as Target, 200, 20)
    const doomed = run({ workerId: createId(Date.now()), targets, crash: { at: 'answered', count: 50 } })
    await once(doomed, 'message')
    await publish(mesh, deliveries)
    await once(doomed, 'exit')
    const heir = run({ workerId: createId(Date.now()), targets, crash: undefined })
    await until('nothing is undone', async () => (await countRows(mesh, 'deliveries')) === 0, 20_000)
    heir.kill('SIGTERM')
    await once(heir, 'exit')
    await check(deliveries)
  })

  test('DS3, DC3: one that was frozen past its lease and thaws settles nothing and sends nothing on', async () => {
    const targets = [target({ isOrdered: true })]
    const deliveries = newDeliveries(targets[0] as Target, 600, 20)
    const frozen = run({ workerId: createId(Date.now()), targets, crash: undefined })
    await once(frozen, 'message')
    await publish(mesh, deliveries)
    await until('it delivers', () => received.length > 40)
    frozen.kill('SIGSTOP')
    const heir = run({ workerId: createId(Date.now()), targets, crash: undefined })
    await until(
      'the other takes over',
      async () => {
        const [row] = await mesh.query<{ owners: number }>(
          'select count(distinct owner)::int as owners from ripstop.delivery_shards',
        )
        return received.some(({ mayRepeat }) => mayRepeat) && row?.owners === 1
      },
      20_000,
    )
    frozen.kill('SIGCONT')
    await until('nothing is undone', async () => (await countRows(mesh, 'deliveries')) === 0, 20_000)
    for (const child of [frozen, heir]) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    const lines = await mesh.query<{ id: number }>(
      `select delivery_id as id from ripstop.attempts where outcome = 'delivered'`,
    )
    expect(new Set(lines.map(({ id }) => id)).size).toBe(600)
    expect(lines).toHaveLength(600)
  })
})
