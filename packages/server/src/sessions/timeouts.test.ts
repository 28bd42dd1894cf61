import { RipstopError } from '@ripstop/kernel'
import { settle } from '@ripstop/kernel/testing'
import { afterEach, expect, test } from 'vitest'
import { readLine } from '#session-log'
import type { SessionStore } from '#session-stores'
import { createRecordingLog } from '../testing/http.ts'
import { createBench, down, newSession, refOf, rulesOf, type TestBench, type TestProcess } from './engine.fixture.ts'
import { startTimeouts } from './timeouts.ts'

const running: AsyncDisposable[] = []

afterEach(async () => {
  for (const timer of running.splice(0)) await timer[Symbol.asyncDispose]()
})

function startTimer(bench: TestBench, side: TestProcess, store: SessionStore = side.store) {
  const { env } = bench
  const { service, authority } = side
  const log = createRecordingLog()
  const timer = startTimeouts({ env, log, store, service, authority })
  running.push(timer)
  return { timer, log }
}

/** A session whose first clock falls in `ms`. */
async function started(bench: TestBench, { service }: TestProcess, n: number, ms: number): Promise<void> {
  const rules = rulesOf({ onTimeout: 'next' })
  await service.create(bench.ctx, newSession(refOf(n), rules), { actor: 'key:1', operationId: undefined })
  const asked = bench.asked()
  await service.command(bench.ctx, refOf(n), { kind: 'adjust', place: 0, byMs: ms - 60_000, reason: 'a test' }, asked)
  await service.command(bench.ctx, refOf(n), { kind: 'start' }, asked)
}

/** [version, how late it was committed] of each fall. */
async function fallsOf({ ctx }: TestBench, { store }: TestProcess, n: number) {
  const entries = await store.log(ctx, { ...refOf(n), afterVersion: 0, limit: 1_000 })
  return entries.flatMap((entry) => {
    const { event, decidedMs } = readLine(entry)
    return event.kind === 'expired' ? [[event.version, decidedMs - event.atMs]] : []
  })
}

test('TO1: of three processes that all are asked, one commits what the clock did, and none does it twice', async () => {
  const bench = createBench()
  const sides = [bench.join(), bench.join(), bench.join()] as const
  for (let n = 0; n < 20; n++) await started(bench, sides[0], n, 100 + 7 * n)
  // None knows of the others' leases.
  const claims = sides.map(({ store }) => ({ ...store, claimDue: claimOnly(bench, store) }))
  for (const [at, side] of sides.entries()) startTimer(bench, side, claims[at])
  await bench.clock.advance(1_000)
  for (let n = 0; n < 20; n++) expect(await fallsOf(bench, sides[0], n)).toEqual([[4, 1]])
  const texts = sides.map(({ metrics }) => Number(/sessions_timeouts_total (\d+)/.exec(metrics.text())?.[1]))
  expect(texts.reduce((sum, count) => sum + count)).toBe(20)
})

/** What is due, claimed by nobody. */
function claimOnly({ data }: TestBench, _: SessionStore): SessionStore['claimDue'] {
  return async (_, { nowMs }) => {
    return [...data.sessions.values()].flatMap(({ ref, session }) => {
      const deadlineMs = session?.deadlineMs
      return deadlineMs === undefined || deadlineMs > nowMs ? [] : [{ ...ref, deadlineMs }]
    })
  }
}

test('TO1: a deadline that moved meanwhile has no effect, and the new one its own', async () => {
  const bench = createBench()
  const [side, other] = [bench.join(), bench.join()]
  startTimer(bench, side)
  await started(bench, side, 1, 200)
  await bench.clock.advance(180)
  await other.service.command(
    bench.ctx,
    refOf(1),
    { kind: 'adjust', place: 0, byMs: 300, reason: 'mercy' },
    bench.asked(),
  )
  await bench.clock.advance(200)
  expect(await fallsOf(bench, side, 1)).toEqual([])
  await bench.clock.advance(200)
  expect(await fallsOf(bench, side, 1)).toEqual([[5, 1]])
})

test('TO1: a timer that is early, as server time goes, has no effect before the deadline, and all of it then', async () => {
  const bench = createBench()
  const side = bench.join()
  const beginMs = bench.nowMs()
  const slowMs = () => beginMs + (bench.nowMs() - beginMs) * 0.9
  Object.assign(side.authority, { nowMs: () => Math.floor(slowMs()), exactMs: slowMs })
  startTimer(bench, side)
  await started(bench, side, 1, 200)
  await bench.clock.advance(220)
  expect(await fallsOf(bench, side, 1)).toEqual([])
  await bench.clock.advance(6)
  expect(await fallsOf(bench, side, 1)).toEqual([[4, 1]])
})

test('TO2: a process takes no more than it can hold at once, and comes to the rest', async () => {
  const bench = createBench()
  const side = bench.join()
  for (let n = 0; n < 700; n++) await started(bench, side, n, 100)
  const taken: number[] = []
  const claimDue: SessionStore['claimDue'] = async (ctx, claim) => {
    const due = await side.store.claimDue(ctx, claim)
    taken.push(due.length)
    return due
  }
  startTimer(bench, side, { ...side.store, claimDue })
  await bench.clock.advance(300)
  expect(taken.filter((count) => count > 0)).toEqual([512, 188])
  const late = await Promise.all(Array.from({ length: 700 }, (_, n) => fallsOf(bench, side, n)))
  expect(late.every((falls) => falls.length === 1)).toBe(true)
})

test('TO3: while the store fails it asks ever less often, tells of it now and then, and goes on by itself', async () => {
  const bench = createBench()
  const side = bench.join()
  await started(bench, side, 1, 20_000)
  let asked = 0
  let isDown = true
  const claimDue: SessionStore['claimDue'] = (ctx, claim) => {
    asked++
    return isDown ? Promise.reject(down()) : side.store.claimDue(ctx, claim)
  }
  const { log } = startTimer(bench, side, { ...side.store, claimDue })
  await bench.clock.advance(20_500)
  expect(asked).toBeLessThan(45)
  expect(log.lines.filter(({ event }) => event === 'sessions.timeouts_failed').length).toBeLessThan(8)
  isDown = false
  await bench.clock.advance(1_100)
  expect(await fallsOf(bench, side, 1)).toHaveLength(1)
  expect(log.lines.some(({ event }) => event === 'sessions.timeouts_go_on')).toBe(true)
})

test('of a process that starts nothing is told; of one that is never ready it is', async () => {
  const bench = createBench()
  const side = bench.join()
  let isReady = false
  const claimDue: SessionStore['claimDue'] = (ctx, claim) =>
    isReady ? side.store.claimDue(ctx, claim) : Promise.reject(new RipstopError('NOT_READY', 'it starts'))
  const starting = startTimer(bench, side, { ...side.store, claimDue })
  await bench.clock.advance(500)
  isReady = true
  await bench.clock.advance(2_000)
  expect(starting.log.lines).toEqual([])
  isReady = false
  const { log } = startTimer(bench, side, { ...side.store, claimDue })
  await bench.clock.advance(20_000)
  expect(log.lines[0]).toMatchObject({ event: 'sessions.timeouts_failed', code: 'NOT_READY', failures: 8 })
})

test('TO3: what could not be committed is claimed again when its lease is over', async () => {
  const bench = createBench()
  const side = bench.join()
  startTimer(bench, side)
  await started(bench, side, 1, 200)
  side.store.commitFault = 'down'
  await bench.clock.advance(500)
  side.store.commitFault = 'none'
  await bench.clock.advance(1_200)
  expect(await fallsOf(bench, side, 1)).toHaveLength(1)
})

test('TO4: a deadline that is set for very soon is heard of at once, that of another process within a poll', async () => {
  const bench = createBench()
  const [side, other] = [bench.join(), bench.join()]
  startTimer(bench, side)
  await bench.clock.advance(11)
  await started(bench, side, 1, 12)
  await started(bench, other, 2, 12)
  await bench.clock.advance(100)
  expect(await fallsOf(bench, side, 1)).toEqual([[4, 1]])
  const [[, lateMs = 0] = []] = await fallsOf(bench, side, 2)
  expect(lateMs).toBeLessThanOrEqual(50)
})

test('TO5: being stopped it carries out what it holds, and asks no more', async () => {
  const bench = createBench()
  const side = bench.join()
  await started(bench, side, 1, 60)
  await started(bench, side, 2, 200)
  const { timer } = startTimer(bench, side)
  await bench.clock.advance(5)
  await bench.passing(Promise.resolve(timer[Symbol.asyncDispose]()))
  expect(await fallsOf(bench, side, 1)).toEqual([[4, 1]])
  await bench.clock.advance(1_000)
  await settle()
  expect(await fallsOf(bench, side, 2)).toEqual([])
})

test('TO6: a deadline of a session that this process does not know is asked for, and the session read, before it comes', async () => {
  const bench = createBench()
  const [other, side] = [bench.join(), bench.join()]
  await started(bench, other, 1, 300)
  startTimer(bench, side)
  await bench.clock.advance(295)
  expect(side.store.calls).toMatchObject({ load: 1, commit: 0 })
  await bench.clock.advance(10)
  expect(side.store.calls).toMatchObject({ load: 1, commit: 1 })
  expect(await fallsOf(bench, side, 1)).toEqual([[4, 1]])
})

test('a session that was deleted while its deadline was held is no failure', async () => {
  const bench = createBench()
  const side = bench.join()
  await started(bench, side, 1, 60)
  const { log } = startTimer(bench, side)
  await bench.clock.advance(5)
  await side.service.remove(bench.ctx, refOf(1))
  await bench.clock.advance(200)
  expect(log.lines).toEqual([])
})
