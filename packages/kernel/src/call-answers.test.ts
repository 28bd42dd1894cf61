import { describe, expect, test } from 'vitest'
import { hasCode, type RipstopError } from './errors.ts'
import { settle } from './testing/index.ts'
import { survivors } from './testing/memory.ts'
import {
  ANSWER,
  type Answer,
  AnswerError,
  ask,
  createTestLink,
  HANG,
  leftovers,
  type Outcome,
  onlyTimers,
  WireError,
  watch,
} from './testing/scripted-peer.ts'

const TWO_TICKS_MS = 20
const idempotent = { idempotent: true }

describe('whatever `run` returns', () => {
  test('a plain value is the answer, at once', async () => {
    const bench = createTestLink()
    await bench.up()
    expect(await bench.link.call(bench.root, () => 7)).toBe(7)
    expect(await bench.link.call(bench.root, () => undefined)).toBeUndefined()
    expect(await bench.link.call(bench.root, () => null)).toBeNull()
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })

  test('L5: a foreign thenable is awaited under the deadline, an object or a function', async () => {
    const bench = createTestLink({ deadlineMs: 100, heartbeatMs: 60_000 })
    await bench.up()
    // biome-ignore lint/suspicious/noThenProperty: query builders are such objects
    const hanging = { then: () => {} } as unknown as PromiseLike<string>
    // biome-ignore lint/suspicious/noThenProperty: and some are functions
    const callable = Object.assign(() => {}, { then: () => {} }) as unknown as PromiseLike<string>
    // biome-ignore lint/suspicious/noThenProperty: a thenable may resolve with another one
    const nested = { then: (resolve: (value: unknown) => void) => resolve(hanging) } as unknown as PromiseLike<string>
    const outcomes = [hanging, callable, nested].map((value) =>
      watch(
        bench.link.call(bench.root, () => value),
        bench.clock,
      ),
    )
    await settle()
    expect(bench.link.snapshot().inFlight).toBe(3)
    await bench.clock.advance(120)
    for (const outcome of outcomes) expect(outcome()?.code).toBe('DEADLINE_EXCEEDED')
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })

  test('a synchronous throw is treated as a rejection', async () => {
    const bench = createTestLink({ retry: { attempts: 2 } })
    await bench.up()
    const ours = watch(
      bench.link.call(bench.root, () => {
        throw new AnswerError('no such row')
      }),
      bench.clock,
    )
    const wire = watch(
      bench.link.call(bench.root, () => {
        throw new WireError('maybe')
      }),
      bench.clock,
    )
    await settle()
    expect(ours()?.error).toBeInstanceOf(AnswerError)
    expect(wire()).toMatchObject({ code: 'PEER_FAILED', sent: 'maybe' })
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })

  test('`failed` that throws rejects the call with what it threw', async () => {
    const bench = createTestLink()
    await bench.up()
    const failed = (): undefined => {
      throw new AnswerError('cannot judge this')
    }
    const outcome = watch(
      bench.link.call(bench.root, async () => 1, { failed }),
      bench.clock,
    )
    await settle()
    expect(outcome()?.error).toBeInstanceOf(AnswerError)
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })
})

describe('refused before it reaches the peer', () => {
  test('L7: a link that is idle or down refuses at once, sent no, and says when to come back', async () => {
    const bench = createTestLink()
    const idle = watch(bench.link.call(bench.root, ask(bench, [ANSWER])), bench.clock)
    await settle()
    expect(idle()).toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
    bench.peer.onOpen = () => ({ does: 'fail', afterMs: 0, error: new Error('ECONNREFUSED') })
    await bench.up()
    const down = watch(bench.link.call(bench.root, ask(bench, [ANSWER])), bench.clock)
    await settle()
    expect(down()).toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
    const error = down()?.error as RipstopError
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(1)
    expect(error.message).toContain('ECONNREFUSED')
  })

  test('the rate refuses with RATE_LIMITED and the time to wait', async () => {
    const bench = createTestLink({ rate: { perSecond: 10, burst: 2 } })
    await bench.up()
    await bench.link.call(bench.root, () => 1)
    await bench.link.call(bench.root, () => 1)
    const outcome = watch(
      bench.link.call(bench.root, () => 1),
      bench.clock,
    )
    await settle()
    expect(outcome()).toMatchObject({
      code: 'RATE_LIMITED',
      sent: 'no',
      error: expect.objectContaining({ retryAfterMs: 100 }),
    })
  })

  test('K2: a full queue displaces its oldest call with OVERLOADED', async () => {
    const bench = createTestLink({ bulkhead: { concurrent: 1, queue: 1 } })
    await bench.up()
    const calls = [HANG, ANSWER, ANSWER].map((answer) =>
      watch(bench.link.call(bench.root, ask(bench, [answer])), bench.clock),
    )
    await settle()
    expect(calls.map((outcome) => outcome()?.code)).toEqual([undefined, 'OVERLOADED', undefined])
    expect(calls[1]?.()?.sent).toBe('no')
  })

  test('an open breaker refuses with BREAKER_OPEN, thousands of queued calls too, and the permits stay whole', async () => {
    const bench = createTestLink({
      bulkhead: { concurrent: 1, queue: 5_000 },
      breaker: { minimumCalls: 1, openMs: 500 },
      retry: { attempts: 1 },
    })
    await bench.up()
    const failing: Answer = { does: 'fail', afterMs: 50, error: new WireError('maybe') }
    const first = watch(bench.link.call(bench.root, ask(bench, [failing])), bench.clock)
    const queued = Array.from({ length: 5_000 }, () =>
      watch(bench.link.call(bench.root, ask(bench, [ANSWER])), bench.clock),
    )
    await bench.clock.advance(100)
    expect(first()?.code).toBe('PEER_FAILED')
    const codes = new Set(queued.map((outcome) => `${outcome()?.code}/${outcome()?.sent}`))
    expect([...codes]).toEqual(['BREAKER_OPEN/no'])
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })
})

test('nested calls: the outer deadline cancels the inner one, and both permits come back', async () => {
  const bench = createTestLink({ deadlineMs: 200, heartbeatMs: 60_000 })
  await bench.up()
  let inner: (() => Outcome | undefined) | undefined
  const outer = watch(
    bench.link.call(bench.root, (_connection, ctx) => {
      const call = bench.link.call(ctx, ask(bench, [HANG]), { deadlineMs: 60_000 })
      inner = watch(call, bench.clock)
      return call
    }),
    bench.clock,
  )
  await settle()
  expect(bench.link.snapshot().inFlight).toBe(2)
  await bench.clock.advance(200 + TWO_TICKS_MS)
  expect(outer()?.code).toBe('DEADLINE_EXCEEDED')
  expect(inner?.()?.code).toBe('DEADLINE_EXCEEDED')
  await bench.clock.advance(500)
  expect(leftovers(bench)).toEqual(onlyTimers(2))
})

test('C3: one cancel reaches a hundred calls, each once', async () => {
  const bench = createTestLink({ heartbeatMs: 60_000 })
  await bench.up()
  const parent = bench.root.within(10_000)
  const calls = Array.from({ length: 100 }, () => watch(bench.link.call(parent, ask(bench, [HANG])), bench.clock))
  parent.cancel()
  await settle()
  for (const outcome of calls) expect(outcome()).toMatchObject({ code: 'CANCELLED', sent: 'maybe' })
  expect(leftovers(bench)).toEqual(onlyTimers(2))
})

test('C2, C3: calls made with a cancelled ctx leave nothing hanging, and its parent can still be cancelled', async () => {
  const bench = createTestLink({ heartbeatMs: 60_000 })
  await bench.up()
  const connection = bench.root.within(60_000)
  for (let request = 0; request < 100; request++) {
    const ctx = connection.within(30_000)
    void ctx.signal
    ctx.cancel()
    const outcome = watch(bench.link.call(ctx, ask(bench, [ANSWER])), bench.clock)
    await settle()
    expect(outcome()?.code).toBe('CANCELLED')
  }
  expect(leftovers(bench)).toEqual(onlyTimers(2))
  connection.cancel()
})

test('a call that a `run` of another call cancels in the middle of its own end settles once', async () => {
  const bench = createTestLink({ bulkhead: { concurrent: 1 }, retry: { attempts: 3, baseMs: 10 }, heartbeatMs: 60_000 })
  await bench.up()
  const group = bench.root.within(5_000)
  const failing: Answer = { does: 'fail', afterMs: 10, error: new WireError('no') }
  const ran = { attempts: 0 }
  const first = watch(bench.link.call(group, ask(bench, [failing], ran)), bench.clock)
  const second = watch(
    bench.link.call(bench.root, () => {
      group.cancel() // runs while the first one gives its permit over
      return 'second'
    }),
    bench.clock,
  )
  await bench.clock.advance(500)
  expect(first()?.code).toBe('CANCELLED')
  expect(second()?.value).toBe('second')
  expect(ran.attempts, 'a settled call is not tried again').toBe(1)
  expect(leftovers(bench)).toEqual(onlyTimers(2))
  const text = bench.mesh.metrics.text()
  expect(text).toContain('link_calls_total{link="scripted.main",outcome="cancelled"} 1')
  expect(text).toContain('link_calls_total{link="scripted.main",outcome="failed"} 0')
})

test('L5: a `run` that disposes of the ctx it was lent does not disarm its own deadline', async () => {
  const bench = createTestLink({ deadlineMs: 100, heartbeatMs: 60_000 })
  await bench.up()
  const outcome = watch(
    bench.link.call(bench.root, (_connection, ctx) => {
      using mine = ctx
      void mine
      return new Promise<never>(() => {})
    }),
    bench.clock,
  )
  await bench.clock.advance(120)
  expect(outcome()?.code).toBe('DEADLINE_EXCEEDED')
  expect(leftovers(bench)).toEqual(onlyTimers(2))
})

test('an answer that the caller does not like is passed on as it is', async () => {
  const bench = createTestLink({ retry: { attempts: 3 } })
  await bench.up()
  const error = new AnswerError('unique violation')
  const ran = { attempts: 0 }
  const outcome = watch(
    bench.link.call(bench.root, ask(bench, [{ does: 'fail', afterMs: 5, error }], ran), idempotent),
    bench.clock,
  )
  await bench.clock.advance(100)
  expect(outcome()?.error).toBe(error)
  expect(hasCode(outcome()?.error, 'PEER_FAILED')).toBe(false)
  expect(ran.attempts).toBe(1)
})

test('C2: ten thousand calls, however they end, leave nothing in memory', async () => {
  const bench = createTestLink({ heartbeatMs: 60_000, bulkhead: { concurrent: 100, queue: 10 }, breaker: 'none' })
  await bench.up()
  const parent = bench.root.within(3_600_000)
  const references: WeakRef<object>[] = []
  const live = async (): Promise<void> => {
    for (let index = 0; index < 10_000; index++) {
      const ctx = parent.within(500)
      const failing: Answer = { does: 'fail', afterMs: 0, error: new WireError('maybe') }
      const answer = [ANSWER, failing, HANG][index % 3] as Answer
      const call = bench.link.call(ctx, (connection, inner) => {
        references.push(new WeakRef(inner))
        return bench.peer.ask(answer, inner, connection).then(() => ({ index }))
      })
      references.push(new WeakRef(ctx))
      call.catch(() => {})
      if (index % 7 === 0) ctx.cancel()
      if (index % 100 === 0) await bench.clock.advance(600)
    }
  }
  await live()
  await bench.clock.advance(2_000)
  expect(await survivors(references)).toBe(0)
  expect(leftovers(bench)).toEqual(onlyTimers(2))
})
