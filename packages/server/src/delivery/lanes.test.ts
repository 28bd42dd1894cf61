import { createSeededRandom, REFUSED } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TARGET } from './engine.fixture.ts'
import { Gate } from './gate.ts'
import type { Target } from './kind.ts'
import type { Item, Lane, OwnedShard } from './lane.ts'
import { Lanes } from './lanes.ts'
import { Ring } from './ring.ts'

const LIMITS = { underWayMax: 12, rowsMax: 200, bytesMax: 1_000_000 }
const shard = (changes: Partial<OwnedShard> = {}): OwnedShard => ({
  shard: 0,
  epoch: 1,
  repeats: undefined,
  validUntilMs: Number.POSITIVE_INFINITY,
  isLeaving: false,
  ...changes,
})

function createWorld(targets: readonly Partial<Target>[], limits = LIMITS) {
  const lanes = new Lanes(limits, createSeededRandom(1))
  const owned = shard()
  const all = targets.map((changes, index) => {
    const lane = lanes.open(`target-${index}`, 0, 'webhook', owned)
    lanes.know(`target-${index}`, { ...TARGET, targetId: `target-${index}`, ...changes }, 0)
    return lane
  })
  let lastId = 0
  const put = (lane: Lane, key?: number): Item => {
    const deliveryId = ++lastId
    const line = key === undefined ? undefined : (lane.lines.get(key) ?? lanes.openLine(lane, key))
    if (line !== undefined) line.lastId = deliveryId
    const delivery = {
      deliveryId,
      tenantId: TARGET.tenantId,
      targetId: lane.targetId,
      messageId: String(deliveryId),
      attempt: 1,
      mayRepeat: false,
      replayId: undefined,
    }
    const item = {
      delivery,
      lane,
      line,
      message: 1,
      bytes: 10,
      dueMs: 0,
      dueUs: deliveryId,
      startedMs: 0,
      lease: REFUSED,
      isEnded: false,
    }
    lanes.put(item)
    return item
  }
  return { lanes, all, put, owned }
}

const op = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      lane: fc.nat(2),
      key: fc.option(fc.nat(3), { nil: undefined }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('answer' as const), which: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(20),
      how: fc.constantFrom('done', 'again', 'lost'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('park' as const), lane: fc.nat(2), isActive: fc.boolean() }) },
)

describe('lanes', () => {
  test('LN1, LN2, LN5: against a model, whatever is put, taken, answered, settled and parked in whatever order', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 300 }), (ops) => {
        const { lanes, all, put } = createWorld([{ concurrency: 2 }, { concurrency: 5 }, { concurrency: 100 }])
        // The model: what waits, in its order, and what is under way.
        let waiting: Item[] = []
        const answering: Item[] = []
        const settling: Item[] = []
        const underWay = () => [...answering, ...settling]
        const isParked = all.map(() => false)
        const indexOf = (item: Item) => all.indexOf(item.lane)
        for (const step of ops) {
          if (step.do === 'put') {
            const lane = all[step.lane] as Lane
            if (!isParked[step.lane]) waiting.push(put(lane, step.key))
          } else if (step.do === 'take') {
            const item = lanes.take(0)
            if (item === undefined) continue
            const sameKey = (other: Item) =>
              item.line !== undefined && other.lane === item.lane && other.line?.hash === item.line.hash
            expect(underWay().some(sameKey), 'two of a key').toBe(false)
            const before = waiting.filter((other) =>
              item.line === undefined ? other.lane === item.lane && other.line === undefined : sameKey(other),
            )
            expect(before[0], 'the oldest goes first').toBe(item)
            expect(isParked[indexOf(item)]).toBe(false)
            expect(answering.filter(({ lane }) => lane === item.lane).length).toBeLessThan(
              item.lane.of.gate.target?.concurrency ?? 0,
            )
            expect(underWay().length).toBeLessThan(LIMITS.underWayMax)
            waiting = waiting.filter((other) => other !== item)
            answering.push(item)
          } else if (step.do === 'answer') {
            const [item] = answering.splice(step.which % Math.max(1, answering.length), 1)
            if (item === undefined) continue
            lanes.answered(item, true, 0)
            settling.push(item)
          } else if (step.do === 'settle') {
            const [item] = settling.splice(step.which % Math.max(1, settling.length), 1)
            if (item === undefined) continue
            if (step.how === 'lost') lanes.lost(item)
            else lanes.settled(item, step.how === 'done' ? undefined : { inMs: 10, us: 10 }, 0)
            const isOfKey = (other: Item) => item.line !== undefined && other.line === item.line
            if (step.how !== 'done') waiting = waiting.filter((other) => !isOfKey(other))
          } else {
            const lane = all[step.lane] as Lane
            isParked[step.lane] = !step.isActive
            lanes.know(
              lane.targetId,
              { ...(lane.of.gate.target as Target), state: step.isActive ? 'active' : 'parked' },
              0,
            )
            if (!step.isActive) waiting = waiting.filter((other) => other.lane !== lane)
          }
          expect(lanes.underWay).toBe(underWay().length)
          expect(lanes.held.size).toBe(waiting.length + underWay().length)
          expect(lanes.bytes).toBe(10 * lanes.held.size)
          for (const lane of all) expect(lane.size).toBe(waiting.filter((item) => item.lane === lane).length)
        }
        // In the end all that waits goes: nobody was forgotten in a ring.
        for (;;) {
          for (const item of answering.splice(0)) {
            lanes.answered(item, true, 0)
            settling.push(item)
          }
          for (const item of settling.splice(0)) lanes.settled(item, undefined, 0)
          const item = lanes.take(0)
          if (item === undefined) break
          waiting = waiting.filter((other) => other !== item)
          answering.push(item)
        }
        expect(waiting).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  test('LN4: every lane gets its turn, however much another has', () => {
    const { lanes, all, put } = createWorld([{}, {}, {}])
    for (let count = 0; count < 60; count++) put(all[0] as Lane)
    for (const lane of all.slice(1)) for (let count = 0; count < 3; count++) put(lane)
    const order = Array.from({ length: 9 }, () => all.indexOf((lanes.take(0) as Item).lane))
    expect(order).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2])
  })

  test('LN4: however many targets hang, there is a permit left for whoever has none', () => {
    const { lanes, all, put } = createWorld(Array.from({ length: 12 }, () => ({ concurrency: 100 })))
    for (const lane of all.slice(0, 11)) for (let count = 0; count < 10; count++) put(lane)
    while (lanes.take(0) !== undefined);
    expect(lanes.underWay).toBeLessThan(LIMITS.underWayMax)
    put(all[11] as Lane)
    expect(lanes.take(0)?.lane).toBe(all[11])
  })

  test('LN4, LN5: lanes that took much when they were few give it back when others need room', () => {
    const { lanes, all, put, owned } = createWorld([{ concurrency: 1 }], {
      underWayMax: 10,
      rowsMax: 60,
      bytesMax: 1_000,
    })
    for (let count = 0; count < 50; count++) put(all[0] as Lane)
    lanes.take(0)
    for (let index = 1; index < 6; index++) {
      const lane = lanes.open(`other-${index}`, 0, 'webhook', owned)
      lanes.know(`other-${index}`, { ...TARGET, targetId: `other-${index}` }, 0)
      lane.hasMore = true
      lanes.feed(lane)
    }
    put(all[0] as Lane)
    for (let count = 0; count < 9; count++) put(all[0] as Lane)
    expect(lanes.room).toBe(0)
    expect(lanes.isHungry).toBe(false)
    lanes.makeRoom()
    expect(lanes.isHungry).toBe(true)
    expect(lanes.room).toBeGreaterThan(40)
    expect(all[0]?.hasMore).toBe(true) // what it gave back is read again
  })

  test('LN3: what is in memory, or was settled while a read was under way, is not taken in again', () => {
    const { lanes, all, put } = createWorld([{}])
    const one = put(all[0] as Lane)
    const other = put(all[0] as Lane)
    expect(lanes.isNew(one.delivery.deliveryId)).toBe(false)
    for (const item of [lanes.take(0) as Item, lanes.take(0) as Item]) lanes.answered(item, true, 0)
    lanes.settled(one, undefined, 0)
    expect(lanes.isNew(one.delivery.deliveryId)).toBe(true)
    lanes.readBegan()
    lanes.settled(other, undefined, 0)
    expect(lanes.isNew(other.delivery.deliveryId)).toBe(false)
    lanes.readEnded()
    expect(lanes.isNew(other.delivery.deliveryId)).toBe(true)
  })

  test('DS3: nothing is taken of a shard whose lease is over, or that is to leave', () => {
    const { lanes, all, put, owned } = createWorld([{}])
    put(all[0] as Lane)
    owned.validUntilMs = 100
    expect(lanes.take(100)).toBeUndefined()
    owned.validUntilMs = 1_000
    lanes.wake(200)
    expect(lanes.take(200)).toBeDefined()
    put(all[0] as Lane)
    owned.isLeaving = true
    expect(lanes.take(200)).toBeUndefined()
    expect(all[0]?.size).toBe(0)
  })

  test('LN4: when a probe closes the breaker of a target, its lanes go on at once', () => {
    const breaker = { failureRate: 0.5, minimumCalls: 2, windowMs: 1_000, openMs: 100, openMsMax: 60_000, probes: 1 }
    const { lanes, all, put } = createWorld([{ breaker }])
    const fail = (nowMs: number, passed: boolean) => {
      const item = lanes.take(nowMs) as Item
      lanes.answered(item, passed, nowMs)
      lanes.settled(item, undefined, nowMs)
    }
    for (let count = 0; count < 4; count++) put(all[0] as Lane)
    fail(0, false)
    fail(0, false)
    expect(lanes.take(0)).toBeUndefined()
    expect(all[0]?.size).toBe(2) // it opens for a short time: they stay
    lanes.wake(100)
    const probe = lanes.take(100) as Item
    expect(lanes.take(100)).toBeUndefined()
    lanes.answered(probe, true, 110)
    expect(lanes.take(110)).toBeDefined()
  })

  test('what is due again later is read then, from its place on', () => {
    const { lanes, all, put } = createWorld([{}])
    const lane = all[0] as Lane
    put(lane)
    const item = lanes.take(0) as Item
    lane.stepTo({ due_us: 5_000_000, delivery_id: 9 } as never)
    lanes.answered(item, false, 0)
    lanes.settled(item, { inMs: 500, us: 2_000_000 }, 0)
    expect(lanes.nextWakeMs).toBe(500)
    lanes.wake(499)
    expect(lanes.hungry.size).toBe(0)
    lanes.wake(500)
    expect([...lanes.hungry]).toEqual([lane])
    expect(lane.afterUs).toBe(2_000_000)
  })
})

describe('a gate', () => {
  const target = (changes: Partial<Target>): Target => ({ ...TARGET, targetId: 'x', ...changes })

  test('LN1: no more than its rate goes, in any second', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 200 }),
        (perSecond, pauses) => {
          const gate = new Gate('x', () => 0.5)
          gate.become(target({ ratePerSecond: perSecond, concurrency: 1_000_000 }), 0)
          let nowMs = 0
          const taken: number[] = []
          for (const pauseMs of pauses) {
            nowMs += pauseMs
            while (gate.ask(nowMs, 1_000_000).is === 'given') taken.push(nowMs)
          }
          for (const fromMs of taken) {
            const inSecond = taken.filter((atMs) => atMs >= fromMs && atMs < fromMs + 1_000).length
            expect(inSecond).toBeLessThanOrEqual(perSecond + Math.max(1, Math.floor(perSecond / 10)))
          }
        },
      ),
    )
  })

  test('LN1: an open breaker refuses until its time, and lets its probes through alone; becoming active closes it', () => {
    const gate = new Gate('x', () => 0.5)
    const breaker = { failureRate: 0.5, minimumCalls: 4, windowMs: 1_000, openMs: 100, openMsMax: 1_000, probes: 1 }
    gate.become(target({ breaker }), 0)
    for (let count = 0; count < 4; count++) {
      const leave = gate.ask(0, 100)
      if (leave.is === 'given') gate.answered(leave.lease, false, 0)
    }
    expect(gate.ask(0, 100)).toMatchObject({ is: 'later' })
    expect(gate.underWay).toBe(0)
    expect(gate.ask(100, 100).is).toBe('given')
    expect(gate.ask(100, 100).is).toBe('later')
    gate.become(target({ breaker, state: 'parked' }), 100)
    expect(gate.ask(100, 100).is).toBe('parked')
    gate.become(target({ breaker }), 100)
    expect(gate.ask(100, 100).is).toBe('given')
  })

  test('LN1: what a receiver asks for in general holds everything back', () => {
    const gate = new Gate('x', () => 0.5)
    gate.become(target({}), 0)
    gate.hold(500)
    expect(gate.ask(499, 100)).toEqual({ is: 'later', inMs: 1, isLong: false })
    expect(gate.ask(500, 100).is).toBe('given')
  })
})

test('a ring gives back what was put in, in order, however it grows and wraps', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 400 }), (pushes) => {
      const ring = new Ring<number>()
      const model: number[] = []
      let next = 0
      for (const isPush of pushes) {
        if (isPush) {
          ring.push(next)
          model.push(next++)
        } else expect(ring.shift()).toBe(model.shift())
        expect(ring.size).toBe(model.length)
      }
      expect(ring.drain()).toEqual(model)
    }),
  )
})
