import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import {
  addTarget,
  countRows,
  createFakeKind,
  type FakeKind,
  forgetAll,
  newDeliveries,
  OK,
  publish,
  SOON,
  startEngine,
  untilNothingUndone,
} from './engine.fixture.ts'
import type { Answer, Delivery, NewDelivery, Target } from './kind.ts'
import type { DeliveryDeps } from './start.ts'

let database: TestDatabase
let mesh: TestMesh
let kind: FakeKind

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await forgetAll(mesh)
  kind = createFakeKind()
})

const start = (changes?: Partial<DeliveryDeps>) => startEngine(mesh, kind, changes)
const nothingUndone = () => untilNothingUndone(mesh)

const sentOf = ({ targetId }: Target) => kind.sent.filter((delivery) => delivery.targetId === targetId)

describe('the engine', () => {
  test('what was there before and what is published after is sent once, with a line for each attempt', async () => {
    const targets = [addTarget(kind), addTarget(kind, { lanes: 4 }), addTarget(kind, { isOrdered: true })]
    const ids = await publish(
      mesh,
      targets.flatMap((target) => newDeliveries(target, 50, 7)),
    )
    await using _ = start()
    await until('the first are sent', () => kind.sent.length >= 50)
    for (let round = 0; round < 5; round++) {
      ids.push(
        ...(await publish(
          mesh,
          targets.flatMap((target) => newDeliveries(target, 20, 7)),
        )),
      )
    }
    await nothingUndone()
    expect(kind.sent.map(({ deliveryId }) => deliveryId).sort((a, b) => a - b)).toEqual(ids)
    expect(await countRows(mesh, 'attempts')).toBe(ids.length)
    expect(kind.settled).toHaveLength(ids.length)
    expect(kind.sent.every(({ mayRepeat, attempt }) => !mayRepeat && attempt === 1)).toBe(true)
  })

  test('DL5: more than one discovery shows is sent at once, also behind rows that are under way', async () => {
    const targets = Array.from({ length: 8 }, () => addTarget(kind))
    const over = Promise.withResolvers<Answer>()
    kind.answer = () => over.promise
    await using _ = start({ settings: { ...SOON, sweepMs: 600_000 } })
    await publish(
      mesh,
      targets.flatMap((target) => newDeliveries(target, 1)),
    )
    await until('the oldest of each are under way', () => kind.underWay === targets.length)
    kind.answer = () => OK
    await publish(
      mesh,
      targets.flatMap((target) => newDeliveries(target, 600)),
    )
    await until('all others are sent', () => kind.sent.length === 8 * 601)
    over.resolve(OK)
    await nothingUndone()
  })

  test('DC1, DC4: what fails is tried by the schedule and is a dead letter after it, with a line for each attempt', async () => {
    const target = addTarget(kind)
    kind.answer = () => ({ outcome: 'failed', status: 500, code: 'PEER_FAILED', durationMs: 3 })
    await using _ = start()
    const ids = await publish(mesh, newDeliveries(target, 3))
    await nothingUndone()
    const dead = await mesh.query(
      'select delivery_id::int as id, attempts, reason, status from ripstop.dead_letters order by 1',
    )
    expect(dead).toEqual(ids.map((id) => ({ id, attempts: 4, reason: 'exhausted', status: 500 })))
    const lines = await mesh.query<{ n: number; last: boolean }>(
      'select n, next_due_at is null as last from ripstop.attempts where delivery_id = $1 order by n',
      [ids[0]],
    )
    expect(lines).toEqual([1, 2, 3, 4].map((n) => ({ n, last: n === 4 })))
  })

  test('DC2: what is to be parked stays, whatever its count of attempts, and goes when its target is active again', async () => {
    const target = addTarget(kind, { retryScheduleMs: [] })
    kind.answer = () => {
      kind.known.set(target.targetId, { ...target, state: 'parked' })
      return { outcome: 'failed', status: 410, durationMs: 1, next: 'park' }
    }
    await using _ = start()
    await publish(mesh, newDeliveries(target, 40))
    await until('some were tried', async () => (await countRows(mesh, 'attempts')) > 0)
    await until('all that was under way is settled', () => kind.settled.length === kind.sent.length)
    expect(await countRows(mesh, 'deliveries')).toBe(40)
    expect(kind.sent.length).toBeLessThan(40)
    kind.answer = () => OK
    kind.known.set(target.targetId, target)
    await nothingUndone()
    expect(await countRows(mesh, 'dead_letters')).toBe(0)
  })

  test('LN2: of a key the oldest goes first and alone, and holds up only its own key while it is tried again', async () => {
    const target = addTarget(kind, { isOrdered: true, retryScheduleMs: [300, 300] })
    const failing = new Set<string>()
    const underWay = new Map<number, number>()
    const deliveries = newDeliveries(target, 300, 10)
    const keyOf = new Map(deliveries.map(({ messageId, key }) => [messageId, key as string]))
    failing.add(deliveries[0]?.messageId as string)
    let most = 0
    kind.answer = async ({ messageId }) => {
      const key = Number(keyOf.get(messageId)?.slice(4))
      underWay.set(key, (underWay.get(key) ?? 0) + 1)
      most = Math.max(most, underWay.get(key) as number)
      await new Promise((resolve) => setImmediate(resolve))
      underWay.set(key, (underWay.get(key) as number) - 1)
      return failing.delete(messageId) ? { outcome: 'failed', status: 500, durationMs: 1 } : OK
    }
    await publish(mesh, deliveries)
    await using _ = start()
    await nothingUndone()
    expect(most).toBe(1)
    const order = new Map<string, number[]>()
    for (const { messageId, deliveryId } of kind.sent) {
      const key = keyOf.get(messageId) as string
      order.set(key, [...(order.get(key) ?? []), deliveryId])
    }
    for (const [key, ids] of order) expect(ids, key).toEqual([...ids].sort((a, b) => a - b))
    expect(order.get('key-0')).toHaveLength(31)
    expect(order.get('key-1')).toHaveLength(30)
    const firstOfKey0 = kind.sent.filter(({ messageId }) => keyOf.get(messageId) === 'key-0').at(-1)
    expect(kind.sent.indexOf(firstOfKey0 as Delivery)).toBeGreaterThan(290) // the others did not wait for it
  })

  test('DL8: what is undone for a target that is gone becomes dead letters, and so does what was parked for too long', async () => {
    const gone = addTarget(kind)
    const parked = addTarget(kind, { state: 'parked', isOrdered: true })
    kind.known.delete(gone.targetId)
    await publish(mesh, [...newDeliveries(gone, 30), ...newDeliveries(parked, 20, 3)])
    await using _ = start({ settings: { ...SOON, parkedMsMax: 500 } })
    await nothingUndone()
    const reasons = await mesh.query(
      'select reason, count(*)::int as count from ripstop.dead_letters group by 1 order by 1',
    )
    expect(reasons).toEqual([
      { reason: 'deleted', count: 30 },
      { reason: 'expired', count: 20 },
    ])
    expect(kind.sent).toHaveLength(0)
  })

  test('DL7: a kind that throws or never answers gives unknown outcomes, and holds up nothing', async () => {
    const target = addTarget(kind, { retryScheduleMs: [], deadlineMs: 100, concurrency: 2 })
    let calls = 0
    kind.answer = () => {
      calls++
      if (calls === 1) throw new Error('broken')
      return calls === 2 ? new Promise(() => undefined) : OK
    }
    await using _ = start()
    await publish(mesh, newDeliveries(target, 10))
    await nothingUndone()
    const outcomes = await mesh.query(
      'select outcome, code, count(*)::int as count from ripstop.attempts group by 1, 2 order by 3, 2',
    )
    expect(outcomes).toEqual([
      { outcome: 'unknown', code: 'DEADLINE_EXCEEDED', count: 1 },
      { outcome: 'unknown', code: 'INTERNAL', count: 1 },
      { outcome: 'delivered', code: null, count: 8 },
    ])
  })

  test('DL6: messages that can not be loaded for a while are loaded later, keys in order; one that is gone makes a dead letter', async () => {
    const deliveries = [
      ...newDeliveries(addTarget(kind), 50),
      ...newDeliveries(addTarget(kind, { isOrdered: true }), 60, 2),
    ]
    const gone = deliveries[7]?.messageId as string
    let loads = 0
    const load = async (ids: readonly string[]) => {
      if (loads++ % 2 === 0) throw new Error('no')
      return new Map(ids.filter((id) => id !== gone).map((id) => [id, id]))
    }
    const ids = await publish(mesh, deliveries)
    await using _ = start({ kinds: [{ ...kind, load: (_, ids) => load(ids) }] })
    await nothingUndone()
    expect(loads).toBeGreaterThan(3)
    expect(kind.sent.map(({ deliveryId }) => deliveryId).sort((a, b) => a - b)).toEqual(
      ids.filter((id) => id !== ids[7]),
    )
    for (const odd of [0, 1]) {
      const ofKey = kind.sent
        .map(({ deliveryId }) => ids.indexOf(deliveryId))
        .filter((place) => place >= 50 && place % 2 === odd)
      expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b))
    }
    const dead = await mesh.query('select message_id, reason, code, attempts from ripstop.dead_letters')
    expect(dead).toEqual([{ message_id: gone, reason: 'expired', code: 'MESSAGE_GONE', attempts: 0 }])
    expect(await countRows(mesh, 'attempts')).toBe(109)
  })

  test('DL6: keys whose messages could not be loaded are read again also while another key of their lane is under way', async () => {
    const target = addTarget(kind, { isOrdered: true })
    const [first, ...rest] = newDeliveries(target, 61, 3) as [NewDelivery, ...NewDelivery[]]
    const others = rest.filter(({ key }) => key !== first.key)
    let failures = 2
    let release = (): void => undefined
    kind.answer = ({ messageId }) => {
      if (messageId !== first.messageId) return OK
      return new Promise((resolve) => {
        release = () => resolve(OK)
      })
    }
    const load = async (ids: readonly string[]) => {
      if (!ids.includes(first.messageId) && failures-- > 0) throw new Error('no')
      return new Map(ids.map((id) => [id, id]))
    }
    await using _ = start({ kinds: [{ ...kind, load: (_, ids) => load(ids) }] })
    await publish(mesh, [first])
    await until('the first hangs', () => kind.sent.length === 1)
    await publish(mesh, others)
    await until('the others are sent', () => kind.sent.length === 1 + others.length)
    release()
    await nothingUndone()
  })

  test('DL5: a row that discovery can not see is found by the sweep', async () => {
    const target = addTarget(kind)
    await using _ = start()
    await publish(mesh, newDeliveries(target, 1))
    await nothingUndone()
    await publish(mesh, newDeliveries({ ...target, targetId: addTarget(kind, { state: 'parked' }).targetId }, 1))
    // As from another cluster's dump: its transaction is in the future of this one.
    await mesh.query(`update ripstop.deliveries set xid = '9000000000000', target_id = $1`, [target.targetId])
    await nothingUndone()
    expect(sentOf(target)).toHaveLength(2)
  })

  test('LN1, LN4, LN5: one that hangs and one that fails take nothing from the others; bounds hold', async () => {
    const breaker = { failureRate: 0.5, minimumCalls: 10, windowMs: 1_000, openMs: 50, openMsMax: 200, probes: 1 }
    const hanging = addTarget(kind, { concurrency: 1_000, deadlineMs: 60_000 })
    const failing = addTarget(kind, { concurrency: 8, breaker, retryScheduleMs: [10_000] })
    const healthy = Array.from({ length: 10 }, () => addTarget(kind, { concurrency: 4 }))
    const hung: ((answer: Answer) => void)[] = []
    kind.answer = ({ targetId }) => {
      if (targetId === hanging.targetId) return new Promise((resolve) => hung.push(resolve))
      return targetId === failing.targetId ? { outcome: 'failed', status: 500, durationMs: 1 } : OK
    }
    await publish(mesh, [...newDeliveries(hanging, 100), ...newDeliveries(failing, 400)])
    await using _ = start({ settings: { ...SOON, underWayMax: 20, rowsMax: 120, drainMs: 200 } })
    await until('it hangs', () => hung.length >= 5)
    await publish(
      mesh,
      healthy.flatMap((target) => newDeliveries(target, 30)),
    )
    await until('the healthy have theirs', () => healthy.every((target) => sentOf(target).length === 30))
    expect(hung.length).toBeLessThanOrEqual(20)
    expect(kind.underWayMost).toBeLessThanOrEqual(20)
    expect(sentOf(failing).length).toBeLessThan(200)
  })

  test('the backlog of a target is told, and told again as it moves', async () => {
    const target = addTarget(kind, { state: 'parked' })
    const told: number[] = []
    await publish(mesh, newDeliveries(target, 20))
    const backlog = async (_: unknown, undone: ReadonlyMap<string, number>) =>
      void told.push(undone.get(target.targetId) ?? -1)
    await using _ = start({ kinds: [{ ...kind, backlog }] })
    await until('it is told', () => told.at(-1) === 20)
    await publish(mesh, newDeliveries(target, 5))
    await until('more is told', () => told.at(-1) === 25)
    kind.known.set(target.targetId, { ...target, state: 'active' })
    await until('the end is told', () => told.at(-1) === 0)
  })
})
