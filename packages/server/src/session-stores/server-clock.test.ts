import { createEnv, createSeededRandom } from '@ripstop/kernel'
import { createFakeClock } from '@ripstop/kernel/testing'
import { expect, test } from 'vitest'
import { createServerClock } from './server-clock.ts'

const START_MS = 1_700_000_000_000
/** Postgres's clock: so far ahead of the machine's wall clock. */
const AHEAD_MS = 123_456

function startClock() {
  const clock = createFakeClock(START_MS)
  const server = createServerClock(createEnv({ clock }))
  const trueMs = () => START_MS - 1_000 + clock.monoMs() + AHEAD_MS
  const beat = async (outMs: number, backMs: number): Promise<void> => {
    const sentMs = clock.monoMs()
    await clock.advance(outMs)
    const receivedMs = trueMs()
    await clock.advance(backMs)
    server.add({ sentMs, receivedMs, answeredMs: receivedMs, gotMs: clock.monoMs() })
  }
  return { clock, server, trueMs, beat }
}

test('before the first beat it is the wall clock as it was at the start, in whole ms', async () => {
  const { clock, server } = startClock()
  clock.jumpWall(3_600_000)
  await clock.advance(10.5)
  expect(server.isKnown).toBe(false)
  expect(server.uncertaintyMs()).toBe(Number.POSITIVE_INFINITY)
  expect(server.nowMs()).toBe(START_MS + 10)
  expect(server.exactMs()).toBe(START_MS + 10.5)
})

test('CL1, CL2: it follows beats of any length within its uncertainty, and never goes backwards; the wall clock may jump', async () => {
  const { clock, server, trueMs, beat } = startClock()
  const random = createSeededRandom(11)
  await beat(1, 1)
  expect(server.isKnown).toBe(true)
  let latestMs = server.exactMs()
  for (let beats = 0; beats < 400; beats++) {
    if (beats % 50 === 25) clock.jumpWall(beats % 100 === 25 ? 3_600_000 : -7_200_000)
    await beat(0.2 + random() ** 4 * 300, 0.2 + random() ** 4 * 300)
    for (let step = 0; step < 5; step++) {
      await clock.advance(100 * random())
      const nowMs = server.exactMs()
      expect(nowMs).toBeGreaterThanOrEqual(latestMs)
      expect(Math.abs(nowMs - trueMs())).toBeLessThanOrEqual(server.uncertaintyMs())
      latestMs = nowMs
    }
  }
  expect(Math.abs(server.exactMs() - trueMs())).toBeLessThan(1)
})

test('CL1: without beats it goes on', async () => {
  const { clock, server, trueMs, beat } = startClock()
  await beat(0.5, 0.5)
  clock.jumpWall(-86_400_000)
  await clock.advance(600_000)
  expect(Math.abs(server.exactMs() - trueMs())).toBeLessThan(1)
})
