import { createFakeClock, type FakeClock } from '@ripstop/kernel/testing'
import { expect, test } from 'vitest'
import {
  checkRecovery,
  type RecoverableLink,
  type RecoverableSnapshot,
  type RecoveryOptions,
  takeBaseline,
} from './recovery-checker.ts'

interface ScriptedLink extends RecoverableLink {
  readonly set: (change: Partial<RecoverableSnapshot>) => void
}

function createLink(name: string, clock: FakeClock): ScriptedLink {
  let now: RecoverableSnapshot = {
    state: 'up',
    generation: 1,
    lastProofMonoMs: clock.monoMs(),
    inFlight: 0,
    waiting: 0,
    oldestOverdueMs: 0,
    breaker: 'closed',
    recoverWithinMs: 1_000,
  }
  return {
    name,
    snapshot: () => now,
    set: (change) => {
      now = { ...now, ...change }
    },
  }
}

const counts = { sockets: 2, timers: 1 }

async function createBench() {
  const clock = createFakeClock()
  const links = [createLink('pg', clock), createLink('redis', clock)] as const
  const meter = { counts: { ...counts }, snapshot: () => meter.counts }
  const measuring = takeBaseline({ links, census: meter, clock })
  await clock.advance(1_000)
  const baseline = await measuring
  /** Checks while `script` runs on the clock; both links prove themselves at once unless the script says otherwise. */
  const check = async (script: () => Promise<void>, options: Partial<RecoveryOptions<ScriptedLink>> = {}) => {
    const checking = checkRecovery({ links, baseline, census: meter, clock, ...options })
    await clock.advance(1)
    for (const link of links) link.set({ lastProofMonoMs: clock.monoMs() })
    await script()
    await clock.advance(3_000)
    return checking
  }
  return { clock, links, pg: links[0], redis: links[1], meter, baseline, check }
}

test('RC1: a link that is proved, idle and as before has recovered, with the time that it took', async () => {
  const { clock, pg, check } = await createBench()
  const verdicts = await check(async () => {
    pg.set({ state: 'down' })
    await clock.advance(300)
    pg.set({ state: 'up', generation: 2, lastProofMonoMs: clock.monoMs() })
  })
  expect(verdicts).toEqual([
    {
      link: 'pg',
      recovered: true,
      recoveredMs: 305, // the first look after 301 ms: 3 rounds of 82, and 13 + 29 + 17
      withinMs: 1_000,
      state: 'up',
      generation: 2,
      overdueMs: 0,
      permits: 0,
      waiters: 0,
      socketsOverBaseline: 0,
      timersOverBaseline: 0,
      breaker: 'closed',
      reasons: [],
    },
    expect.objectContaining({ link: 'redis', recovered: true, recoveredMs: 13 }),
  ])
})

test.each<[string, Partial<RecoverableSnapshot>, string]>([
  ['is down', { state: 'down' }, 'it is down'],
  ['only reconnects', { state: 'connecting' }, 'it is connecting'],
  ['is degraded', { state: 'degraded' }, 'it is degraded'],
  ['was never proved', { lastProofMonoMs: undefined }, 'not proved since the heal'],
  ['was last proved before the heal', { lastProofMonoMs: 1 }, 'not proved since the heal'],
  ['keeps a permit', { inFlight: 1 }, '1 permits over the baseline'],
  ['keeps a pool slot', { pool: { inUse: 2, waiting: 0 } }, '2 permits over the baseline'],
  ['keeps a waiter', { waiting: 3 }, '3 waiters over the baseline'],
  ['keeps a pool waiter', { pool: { inUse: 0, waiting: 1 } }, '1 waiters over the baseline'],
  ['has its breaker open', { breaker: 'open' }, 'its breaker is open'],
  ['has its breaker half open', { breaker: 'half_open' }, 'its breaker is half_open'],
  ['has a hung call', { oldestOverdueMs: 400, inFlight: 1 }, 'a call was 400 ms past its deadline'],
])('RC1: a link that %s has not', async (_name, wrong, reason) => {
  const { pg, check } = await createBench()
  const [broken, other] = await check(async () => pg.set(wrong))
  expect(broken).toMatchObject({
    recovered: false,
    recoveredMs: expect.any(Number),
    reasons: expect.arrayContaining([reason]),
  })
  expect(other?.recovered).toBe(true)
})

test('RC1: sockets or timers over the baseline keep every link from having recovered, until they are gone', async () => {
  const { clock, meter, check } = await createBench()
  const leaking = await check(async () => {
    meter.counts = { sockets: 4, timers: 2 }
  })
  expect(leaking).toMatchObject([
    { recovered: false, socketsOverBaseline: 2, timersOverBaseline: 1 },
    { recovered: false, reasons: ['2 sockets over the baseline', '1 timers over the baseline'] },
  ])
  const clean = await check(async () => {
    await clock.advance(200)
    meter.counts = { ...counts }
  })
  expect(clean).toMatchObject([{ recovered: true }, { recovered: true }])
  expect(clean[0]?.recoveredMs).toBeGreaterThan(200)
})

test('the baseline is the highest of what was seen: load that stays on is not a leak', async () => {
  const clock = createFakeClock()
  const link = createLink('pg', clock)
  const measuring = takeBaseline({ links: [link], clock })
  await clock.advance(50)
  link.set({ inFlight: 3, waiting: 1 })
  await clock.advance(30)
  link.set({ inFlight: 0, waiting: 0 })
  await clock.advance(1_000)
  expect((await measuring).links.get('pg')).toEqual({ permits: 3, waiters: 1 })
})

test('RC1: the canary is repeated until it succeeds, and again while only traffic can close the breaker', async () => {
  const { clock, pg, check } = await createBench()
  let runs = 0
  const canary = async (link: RecoverableLink): Promise<void> => {
    if (link !== pg) return
    runs++
    if (runs < 4) throw new Error('LINK_DOWN')
    if (runs === 7) pg.set({ breaker: 'closed' })
  }
  const [verdict] = await check(
    async () => {
      pg.set({ breaker: 'half_open' })
      await clock.advance(500)
    },
    { canary },
  )
  expect(verdict).toMatchObject({ recovered: true, reasons: [] })
  expect(runs).toBe(7)
})

test.each<[string, () => Promise<never>, string]>([
  ['fails', () => Promise.reject(new Error('refused')), 'the canary failed: refused'],
  [
    'throws at once',
    () => {
      throw new Error('no pool')
    },
    'the canary failed: no pool',
  ],
  ['hangs', () => new Promise(() => {}), 'the canary has not answered'],
])('RC1, RC2: a canary that %s is a reason, and the check ends in time', async (_name, canary, reason) => {
  const { check, clock } = await createBench()
  const verdicts = await check(async () => {}, { canary, within: 400 })
  expect(verdicts).toMatchObject([{ recovered: false, withinMs: 400, reasons: [reason] }, { recovered: false }])
  expect(verdicts.map(({ recoveredMs }) => recoveredMs)).toEqual([410, 410])
  expect(clock.pending()).toBe(0)
})

test('RC3: a call that was overdue fails the check though it settled, unless the event loop stood still', async () => {
  const { clock, pg, check } = await createBench()
  const [overdue] = await check(async () => {
    pg.set({ oldestOverdueMs: 90 })
    await clock.advance(50)
    pg.set({ oldestOverdueMs: 0 })
  })
  expect(overdue).toMatchObject({ recovered: false, overdueMs: 90, reasons: ['a call was 90 ms past its deadline'] })
  const [allowed] = await check(async () => {
    pg.set({ oldestOverdueMs: 70 })
    await clock.advance(50)
    pg.set({ oldestOverdueMs: 0 })
  })
  expect(allowed).toMatchObject({ recovered: true, overdueMs: 70 })
})

test('RC1: everything that holds too late has not recovered', async () => {
  const { clock, pg, check } = await createBench()
  const [verdict] = await check(async () => {
    pg.set({ state: 'down', recoverWithinMs: 100 })
    await clock.advance(150)
    pg.set({ state: 'up', lastProofMonoMs: clock.monoMs() })
  })
  expect(verdict).toMatchObject({ recovered: false, withinMs: 100 })
})

test('RC1: a load that beats in time with the looks is not taken for a leak', async () => {
  for (const phaseMs of [0, 4, 8, 12, 16]) {
    const clock = createFakeClock()
    const link = createLink('pg', clock)
    // One call each 20 ms that takes 4 ms.
    const beat = (): void => {
      link.set({ inFlight: 1, lastProofMonoMs: clock.monoMs() })
      clock.schedule(4, () => link.set({ inFlight: 0 }))
      clock.schedule(20, beat)
    }
    beat()
    await clock.advance(10)
    const measuring = takeBaseline({ links: [link], clock })
    await clock.advance(500 + phaseMs)
    const checking = checkRecovery({ links: [link], baseline: await measuring, clock })
    await clock.advance(1_500)
    expect((await checking)[0], `at a phase of ${phaseMs} ms`).toMatchObject({ recovered: true })
  }
})
