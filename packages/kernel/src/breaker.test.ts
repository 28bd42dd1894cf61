import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Breaker, type BreakerLimits, type BreakerStateName, type Lease, REFUSED } from './breaker.ts'
import { createSeededRandom } from './ids.ts'

const LIMITS: BreakerLimits = {
  failureRate: 0.5,
  minimumCalls: 4,
  windowMs: 1_000,
  openMs: 100,
  openMsMax: 400,
  probes: 2,
}

function createBreaker(limits: Partial<BreakerLimits> = {}, random = () => 0) {
  const changes: BreakerStateName[] = []
  const breaker = new Breaker({ ...LIMITS, ...limits }, 0, random, (to) => changes.push(to))
  /** Admits and settles at once. */
  const go = (passed: boolean, nowMs: number): Lease => {
    const lease = breaker.admit(nowMs, nowMs + 50)
    if (lease !== REFUSED) breaker.settle(lease, passed, nowMs)
    return lease
  }
  const trip = (nowMs: number): void => {
    for (let call = 0; call < 4; call++) go(false, nowMs)
  }
  return { breaker, changes, go, trip }
}

test('it opens at the failure rate, and not before the minimum of calls', () => {
  const { breaker, go } = createBreaker()
  go(false, 0)
  go(false, 0)
  go(false, 0)
  expect(breaker.state(0)).toBe('closed')
  go(false, 0)
  expect(breaker.state(0)).toBe('open')
  const mixed = createBreaker()
  for (let call = 0; call < 100; call++) mixed.go(call % 5 < 3, call)
  expect(mixed.breaker.state(100)).toBe('closed')
})

test('open, it refuses and says when to come back', () => {
  const { breaker, trip } = createBreaker()
  trip(0)
  expect(breaker.admit(99, 1_000)).toBe(REFUSED)
  expect(breaker.retryAfterMs(40)).toBe(60)
  expect(breaker.admit(100, 1_000)).not.toBe(REFUSED)
})

test('half-open, it lends as many calls as it has probes; as many successes close it', () => {
  const { breaker, changes, trip } = createBreaker()
  trip(0)
  const first = breaker.admit(100, 1_000)
  const second = breaker.admit(100, 1_000)
  expect(breaker.admit(100, 1_000)).toBe(REFUSED)
  breaker.settle(first, true, 110)
  expect(breaker.state(110)).toBe('half_open')
  breaker.settle(second, true, 120)
  expect(breaker.state(120)).toBe('closed')
  expect(changes).toEqual(['open', 'half_open', 'closed'])
})

test('one failed probe opens it again, for twice as long, up to the maximum', () => {
  const { breaker, trip } = createBreaker()
  trip(0)
  let nowMs = 0
  const pauses: number[] = []
  for (let round = 0; round < 5; round++) {
    const pauseMs = breaker.retryAfterMs(nowMs)
    pauses.push(pauseMs)
    nowMs += pauseMs
    const lease = breaker.admit(nowMs, nowMs + 50)
    expect(lease).not.toBe(REFUSED)
    breaker.settle(lease, false, nowMs)
  }
  expect(pauses).toEqual([100, 200, 400, 400, 400])
})

test('L8: a probe that hangs holds its place only until its lease expires, and counts as failed', () => {
  const { breaker, trip } = createBreaker({ probes: 1 })
  trip(0)
  expect(breaker.admit(100, 150)).not.toBe(REFUSED) // never settled
  expect(breaker.admit(150, 1_000)).toBe(REFUSED)
  expect(breaker.admit(151, 1_000)).toBe(REFUSED)
  expect(breaker.state(151)).toBe('open')
  const again = breaker.admit(351, 1_000)
  expect(again).not.toBe(REFUSED)
  breaker.settle(again, true, 360)
  expect(breaker.state(360)).toBe('closed')
})

test('L8: whatever hangs, a breaker whose peer answers closes again within a bound', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('hang', 'fail', 'pass', 'forget'), { maxLength: 60 }), (script) => {
      const { breaker } = createBreaker({}, createSeededRandom(script.length))
      let nowMs = 0
      for (const does of script) {
        nowMs += 30
        const lease = breaker.admit(nowMs, nowMs + 200)
        if (lease === REFUSED || does === 'hang') continue
        if (does === 'forget') breaker.forget(lease)
        else breaker.settle(lease, does === 'pass', nowMs + 1)
      }
      // The peer is well: leases run out in 200 ms, open ends in 400 ms, then probes pass.
      const healedMs = nowMs
      for (; nowMs < healedMs + 1_000; nowMs += 10) {
        const lease = breaker.admit(nowMs, nowMs + 200)
        if (lease !== REFUSED) breaker.settle(lease, true, nowMs)
      }
      expect(breaker.state(nowMs)).toBe('closed')
    }),
  )
})

test('B1: open lasts at most openMsMax, whatever chance says', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 8 }), (seed, failures) => {
      const { breaker, trip } = createBreaker({}, createSeededRandom(seed))
      trip(0)
      let nowMs = 0
      for (let round = 0; round < failures; round++) {
        nowMs += LIMITS.openMsMax
        const lease = breaker.admit(nowMs, nowMs + 50)
        expect(lease).not.toBe(REFUSED)
        breaker.settle(lease, false, nowMs)
        expect(breaker.admit(nowMs, nowMs + 50)).toBe(REFUSED)
      }
    }),
  )
})

test('late settles of calls from before it opened say nothing, in any later state', () => {
  const { breaker, go, trip } = createBreaker({ probes: 1 })
  const old = Array.from({ length: 20 }, () => breaker.admit(0, 10_000))
  trip(0)
  breaker.settle(old[0] as Lease, true, 10) // open
  expect(breaker.state(10)).toBe('open')
  expect(breaker.state(100)).toBe('half_open')
  breaker.settle(old[1] as Lease, true, 100)
  breaker.settle(old[2] as Lease, false, 100)
  expect(breaker.state(100)).toBe('half_open')
  go(true, 101)
  expect(breaker.state(101)).toBe('closed')
  for (const lease of old.slice(3)) breaker.settle(lease, false, 102)
  expect(breaker.state(102), 'failures that began before it opened must not open it again').toBe('closed')
})

test('a probe whose breaker closed or opened without it has no say any more, and settling twice counts once', () => {
  const { breaker, trip } = createBreaker({ probes: 2 })
  trip(0)
  const [slow, quick] = [breaker.admit(100, 1_000), breaker.admit(100, 1_000)]
  breaker.settle(quick, false, 110)
  expect(breaker.state(110)).toBe('open')
  breaker.settle(slow, true, 120)
  expect(breaker.state(320)).toBe('half_open')
  const third = breaker.admit(320, 1_000)
  breaker.settle(third, true, 321)
  breaker.settle(third, true, 321)
  breaker.settle(slow, true, 321)
  expect(breaker.state(321)).toBe('half_open')
})

test('a forgotten probe gives its place back and proves nothing', () => {
  const { breaker, trip } = createBreaker({ probes: 1 })
  trip(0)
  breaker.forget(breaker.admit(100, 1_000))
  expect(breaker.state(100)).toBe('half_open')
  expect(breaker.admit(100, 1_000)).not.toBe(REFUSED)
})

test('a forgotten call of the closed breaker is not counted', () => {
  const { breaker, go } = createBreaker()
  for (let call = 0; call < 3; call++) go(false, 0)
  breaker.forget(breaker.admit(0, 50))
  expect(breaker.state(0)).toBe('closed')
})

// B2. The window is a ring of ten slices: an event counts while it is younger than nine tenths of the window for sure,
// and not at all when it is older than the whole. The naive model keeps every event; in between both answers are right.
test('B2: the window opens the breaker exactly when a naive sliding window says so, up to one slice', () => {
  const events = fc.array(
    fc.record({ passed: fc.boolean(), afterMs: fc.constantFrom(0, 1, 10, 99, 100, 101, 450, 950, 3_000) }),
    {
      maxLength: 60,
    },
  )
  fc.assert(
    fc.property(events, (script) => {
      const { breaker } = createBreaker()
      const past: { passed: boolean; atMs: number }[] = []
      let nowMs = 0
      for (const { passed, afterMs } of script) {
        nowMs += afterMs
        breaker.settle(breaker.admit(nowMs, nowMs + 50), passed, nowMs)
        past.push({ passed, atMs: nowMs })
        const opened = breaker.state(nowMs) === 'open'
        // Every window length between nine and ten slices is allowed: it must agree with at least one of them.
        const answers = new Set([...lengths(past, nowMs)].map((fromMs) => trips(past, fromMs, passed)))
        expect(answers.has(opened), `${opened ? 'open' : 'closed'} at ${nowMs}`).toBe(true)
        if (opened) return
      }
    }),
    { numRuns: 500 },
  )

  function lengths(past: readonly { atMs: number }[], nowMs: number): Set<number> {
    const oldest = nowMs - LIMITS.windowMs
    const youngest = nowMs - 0.9 * LIMITS.windowMs
    const starts = new Set([oldest, youngest])
    for (const { atMs } of past) if (atMs > oldest && atMs <= youngest) starts.add(atMs)
    return starts
  }
  function trips(past: readonly { passed: boolean; atMs: number }[], fromMs: number, passed: boolean): boolean {
    if (passed) return false
    const seen = past.filter(({ atMs }) => atMs > fromMs)
    const failed = seen.filter((event) => !event.passed).length
    return seen.length >= LIMITS.minimumCalls && failed >= seen.length * LIMITS.failureRate
  }
})

test('B2: old failures are forgotten after a pause, however long', () => {
  const { breaker, go } = createBreaker()
  for (let call = 0; call < 3; call++) go(false, 0)
  for (const pauseMs of [1_001, 5_000, 3_600_000]) {
    const fresh = createBreaker()
    for (let call = 0; call < 3; call++) fresh.go(false, 0)
    fresh.go(false, pauseMs)
    expect(fresh.breaker.state(pauseMs)).toBe('closed')
  }
  go(false, 850)
  expect(breaker.state(850)).toBe('open')
})

// Documented behaviours of other libraries where ours should agree, as vectors: [what, peer's answers, state after].
// Ours says `half_open` where cockatiel says HalfOpen; ours opens for a little less (jitter), never more.
describe('differential: what cockatiel documents for SamplingBreaker and half-open', () => {
  interface Vector {
    readonly says: string
    readonly limits: Partial<BreakerLimits>
    /** [at ms, passed or 'refused', state after]. */
    readonly calls: readonly (readonly [number, boolean | 'refused', BreakerStateName])[]
  }
  const repeat = (count: number, atMs: number, passed: boolean, state: BreakerStateName) =>
    Array.from({ length: count }, () => [atMs, passed, state] as const)
  const vectors: readonly Vector[] = [
    {
      says: 'stays closed under the threshold however many calls there are',
      limits: { failureRate: 0.5, minimumCalls: 10 },
      calls: [...repeat(6, 0, true, 'closed'), ...repeat(5, 10, false, 'closed')],
    },
    {
      says: 'opens once the share of failures in the window reaches the threshold',
      limits: { failureRate: 0.5, minimumCalls: 10 },
      calls: [...repeat(5, 0, true, 'closed'), ...repeat(4, 10, false, 'closed'), [10, false, 'open']],
    },
    {
      says: 'does not open while there are too few calls a window, even if all fail',
      limits: { failureRate: 0.2, minimumCalls: 5 },
      calls: repeat(4, 0, false, 'closed'),
    },
    {
      says: 'rejects while open, lets one through after halfOpenAfter, closes on its success',
      limits: { minimumCalls: 2, probes: 1, openMs: 100 },
      calls: [
        [0, false, 'closed'],
        [0, false, 'open'],
        [50, 'refused', 'open'],
        [100, true, 'closed'],
        [101, false, 'closed'],
      ],
    },
    {
      says: 'opens again when the half-open call fails',
      limits: { minimumCalls: 2, probes: 1, openMs: 100 },
      calls: [
        [0, false, 'closed'],
        [0, false, 'open'],
        [100, false, 'open'],
        [150, 'refused', 'open'],
      ],
    },
    {
      says: 'forgets its failures when it closes',
      limits: { minimumCalls: 2, probes: 1, openMs: 100 },
      calls: [
        [0, false, 'closed'],
        [0, false, 'open'],
        [100, true, 'closed'],
        [100, false, 'closed'],
        [100, false, 'open'],
      ],
    },
    {
      says: 'forgets what is older than the window',
      limits: { minimumCalls: 4, failureRate: 0.5 },
      calls: [...repeat(3, 0, false, 'closed'), ...repeat(3, 1_200, true, 'closed'), [1_200, false, 'closed']],
    },
  ]
  test.each(vectors)('$says', ({ limits, calls }) => {
    const { breaker, go } = createBreaker(limits)
    for (const [atMs, passed, after] of calls) {
      if (passed === 'refused') expect(breaker.admit(atMs, atMs + 50)).toBe(REFUSED)
      else expect(go(passed, atMs)).not.toBe(REFUSED)
      expect(breaker.state(atMs)).toBe(after)
    }
  })
})
