import { background, createEnv, RipstopError } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { createCompleter } from './completing.ts'
import { TARGET } from './engine.fixture.ts'
import type { Answer } from './kind.ts'
import { judge } from './schedule.ts'

const env = createEnv()
const failed = (error: unknown) => ({ isBatchAtFault: !(error instanceof RipstopError), waitMs: 1 })

test('DC6: one statement at a time; what ends meanwhile goes together in the next, up to the bound', async () => {
  using ctx = background(env)
  const batches: number[] = []
  let running = 0
  let release = (): void => undefined
  const completer = createCompleter<number>(ctx, {
    env,
    failed,
    batchMax: 10,
    settle: async (_, batch) => {
      expect(++running).toBe(1)
      batches.push(batch.length)
      await new Promise<void>((resolve) => {
        release = resolve
      })
      running--
    },
  })
  completer.add(0)
  await until('the first is under way', () => batches.length === 1)
  for (let count = 0; count < 25; count++) completer.add(count)
  for (let rounds = 2; rounds <= 4; rounds++) {
    release()
    await until('the next is under way', () => batches.length === rounds)
  }
  release()
  await until('all is settled', () => completer.size === 0)
  expect(batches).toEqual([1, 10, 10, 5])
})

test('DC5: while the database is away a batch waits, and is sent again as it was', async () => {
  using ctx = background(env)
  const tried: string[] = []
  const completer = createCompleter<number>(ctx, {
    env,
    failed,
    batchMax: 10,
    settle: async (_, batch) => {
      tried.push(batch.join())
      if (tried.length < 6) throw new RipstopError('LINK_DOWN', 'away')
    },
  })
  for (const ended of [1, 2, 3]) completer.add(ended)
  await until('it is tried', () => tried.length > 2)
  expect(completer.size).toBeGreaterThan(0)
  await until('it is settled', () => completer.size === 0)
  expect(new Set(tried)).toEqual(new Set(['1,2,3']))
})

test('DC6: one that the server refuses holds up no other, and is not forgotten', async () => {
  using ctx = background(env)
  const settled: number[] = []
  const completer = createCompleter<number>(ctx, {
    env,
    failed,
    batchMax: 64,
    settle: async (_, batch) => {
      if (batch.includes(13)) throw new Error('invalid byte sequence')
      settled.push(...batch)
    },
  })
  for (let ended = 0; ended < 40; ended++) completer.add(ended)
  await until('all others are settled', () => settled.length === 39)
  expect(completer.size).toBe(1)
  completer.add(99)
  await until('the next goes, too', () => settled.includes(99))
  ctx.cancel()
})

test('DC1, DC2: what follows from an answer', () => {
  const target = { ...TARGET, targetId: 'x', retryScheduleMs: [1_000, 60_000] }
  const failure: Answer = { outcome: 'failed', status: 500, durationMs: 1 }
  const least = () => 0
  const most = () => 0.999_999
  expect(judge({ outcome: 'delivered', durationMs: 1 }, 9, target, least)).toEqual({
    dueInMs: undefined,
    dead: undefined,
    holdMs: 0,
  })
  expect(judge(failure, 1, target, least).dueInMs).toBe(800)
  expect(judge(failure, 1, target, most).dueInMs).toBeCloseTo(1_200, 0)
  expect(judge(failure, 2, target, least).dueInMs).toBe(48_000)
  expect(judge(failure, 3, target, least)).toEqual({ dueInMs: undefined, dead: 'exhausted', holdMs: 0 })
  expect(judge({ ...failure, retryAfterMs: 90_000 }, 1, target, least).dueInMs).toBe(90_000)
  expect(judge({ ...failure, retryAfterMs: 1 }, 1, target, least).dueInMs).toBe(800)
  expect(judge({ ...failure, retryAfterMs: 1e12 }, 1, target, least).dueInMs).toBe(86_400_000)
  expect(judge({ ...failure, next: 'never' }, 1, target, least).dead).toBe('refused')
  expect(judge({ ...failure, outcome: 'unknown', next: 'never' }, 1, target, least).dead).toBe('unknown')
  expect(judge({ ...failure, next: 'park' }, 99, target, least)).toMatchObject({ dead: undefined })
  expect(judge({ ...failure, status: 429, retryAfterMs: 5_000 }, 1, target, least).holdMs).toBe(5_000)
  expect(judge({ ...failure, status: 503, retryAfterMs: 1e9 }, 1, target, least).holdMs).toBe(60_000)
  expect(judge({ ...failure, status: 429 }, 1, target, least).holdMs).toBe(1_000)
})
