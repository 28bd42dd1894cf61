import { beforeEach, expect, test } from 'vitest'
import { createStillEnvironment, type StillEnvironment } from './environment.fixture.ts'
import { createTimeSync, type TimeSync } from './time-sync.ts'

let env: StillEnvironment
let sent: { readonly i: number; readonly c0: number; readonly u?: number }[]
let silences: number
let isAnswering: boolean
let sync: TimeSync

beforeEach(() => {
  env = createStillEnvironment()
  sent = []
  silences = 0
  isAnswering = true
  sync = createTimeSync({
    env,
    send: (probe) => {
      sent.push(probe)
      if (isAnswering) env.clock.schedule(10, () => sync.answered(probe.i, probe.c0 + 5_005, probe.c0 + 5_005))
    },
    onSilence: () => silences++,
  })
})

test('SC3: eight pairs 50 ms apart, then a pair every 500 ms for 30 s, then one every 5 s', async () => {
  const startMs = env.clock.monoMs()
  sync.begin()
  await env.clock.advance(60_000)
  const atMs = sent.map(({ c0 }) => c0 - startMs)
  expect(atMs.slice(0, 18)).toEqual([
    0, 25, 50, 75, 100, 125, 150, 175, 200, 225, 250, 275, 300, 325, 350, 375, 850, 875,
  ])
  const between = (from: number, to: number): number => atMs.filter((ms) => ms >= from && ms < to).length
  expect([between(10_000, 20_000), between(36_000, 56_000)]).toEqual([40, 8])
  expect(sync.estimator.offsetMs(env.clock.monoMs())).toBeCloseTo(5_000)
  expect([sent[0]?.u, sent.at(-1)?.u]).toEqual([undefined, expect.any(Number)])
  sync.pause()
  await env.clock.advance(60_000)
  expect(sent).toHaveLength(atMs.length)
})

test.each([
  ['its timers stood still', () => env.clock.stall(3_000)],
  ['its clocks went apart', () => env.clock.jumpWall(3_600_000)],
])('SC3: it slept, as %s: a burst', async (_, sleep) => {
  sync.begin()
  await env.clock.advance(40_000)
  const { length } = sent
  sleep()
  await env.clock.advance(5_000)
  expect(sent.length - length).toBeGreaterThan(20)
  expect(silences).toBe(0)
})

test('SC4: ten seconds without an answer are silence; sleep is none', async () => {
  sync.begin()
  await env.clock.advance(2_000)
  isAnswering = false
  await env.clock.advance(9_000)
  expect(silences).toBe(0)
  await env.clock.advance(1_600)
  expect(silences).toBe(1)
  const { length } = sent
  await env.clock.advance(60_000)
  expect([silences, sent.length]).toEqual([1, length])

  sync.begin()
  await env.clock.advance(1_000)
  env.clock.stall(3_600_000)
  isAnswering = true
  await env.clock.advance(5_000)
  expect(silences).toBe(1)
})

test('an answer that nobody asked for, or that came twice, says nothing', async () => {
  isAnswering = false
  sync.begin()
  const [probe] = sent
  await env.clock.advance(4)
  sync.answered(99, 1, 1)
  expect(sync.estimator.uncertaintyMs(env.clock.monoMs())).toBe(Number.POSITIVE_INFINITY)
  sync.answered(probe?.i as number, 9_000, 9_000)
  sync.answered(probe?.i as number, 9e9, 9e9)
  expect(sync.estimator.refused()).toBe(0)
})
