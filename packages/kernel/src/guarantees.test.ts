import { expect, test } from 'vitest'
import { RipstopError } from './errors.ts'
import { createGuarantees, type GuaranteesInput } from './guarantees.ts'

/** The problems that these settings have; empty: none. */
function problemsOf(input: GuaranteesInput): readonly string[] {
  try {
    createGuarantees('test', input)
    return []
  } catch (error) {
    expect(error).toBeInstanceOf(RipstopError)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('link test') })
    return (error as RipstopError).details.problems as string[]
  }
}

test('everything but the deadline has a default', () => {
  const guarantees = createGuarantees('test', { deadlineMs: 250 })
  expect(guarantees).toMatchObject({
    deadlineMs: 250,
    critical: false,
    whenDown: 'fast',
    retry: { attempts: 1 },
    budget: { share: 0.2, perSecond: 3 },
    breaker: { failureRate: 0.5, openMsMax: 30_000 },
    rate: undefined,
    fallback: undefined,
  })
  expect(createGuarantees('test', { deadlineMs: 1, breaker: 'none' }).breaker).toBeUndefined()
  expect(createGuarantees('test', { deadlineMs: 1, retry: { attempts: 3 } }).retry).toEqual({
    attempts: 3,
    baseMs: 25,
    capMs: 1_000,
  })
  expect(createGuarantees('test', { deadlineMs: 1, maxAgeMs: Number.POSITIVE_INFINITY }).maxAgeMs).toBe(
    Number.POSITIVE_INFINITY,
  )
})

// Each setting alone, out of range on either side, or no number at all.
const BAD: readonly (readonly [string, Partial<GuaranteesInput>])[] = [
  ['deadlineMs', { deadlineMs: 0 }],
  ['deadlineMs', { deadlineMs: Number.NaN }],
  ['deadlineMs', { deadlineMs: Number.POSITIVE_INFINITY }],
  ['deadlineMs', { deadlineMs: undefined as unknown as number }],
  ['deadlineMs', { deadlineMs: '250' as unknown as number }],
  ['recoverWithinMs', { recoverWithinMs: 0 }],
  ['whenDown', { whenDown: 'fst' as 'fast' }],
  ['retry.attempts', { retry: { attempts: 0 } }],
  ['retry.attempts', { retry: { attempts: 11 } }],
  ['retry.attempts', { retry: { attempts: 1.5 } }],
  ['retry.baseMs', { retry: { baseMs: -1 } }],
  ['retry.capMs', { retry: { capMs: 1e9 } }],
  ['budget.share', { budget: { share: 1.1 } }],
  ['budget.perSecond', { budget: { perSecond: 0 } }],
  ['bulkhead.concurrent', { bulkhead: { concurrent: 0 } }],
  ['bulkhead.concurrent', { bulkhead: { concurrent: 2.5 } }],
  ['bulkhead.queue', { bulkhead: { queue: -1 } }],
  ['bulkhead.queue', { bulkhead: { queue: 10_001 } }],
  ['openDeadlineMs', { openDeadlineMs: 0 }],
  ['probeDeadlineMs', { probeDeadlineMs: 100_000 }],
  ['backoffBaseMs', { backoffBaseMs: 0 }],
  ['backoffCapMs', { backoffBaseMs: 100, backoffCapMs: 50 }],
  ['stableAfterMs', { stableAfterMs: -1 }],
  ['heartbeatMs', { heartbeatMs: 1 }],
  ['maxAgeMs', { maxAgeMs: 10 }],
  ['breaker.failureRate', { breaker: { failureRate: 0 } }],
  ['breaker.minimumCalls', { breaker: { minimumCalls: 0 } }],
  ['breaker.windowMs', { breaker: { windowMs: 1 } }],
  ['breaker.openMs', { breaker: { openMs: 500, openMsMax: 400 } }],
  ['breaker.openMsMax', { breaker: { openMsMax: 1e9 } }],
  ['breaker.probes', { breaker: { probes: 0 } }],
  ['rate.perSecond', { rate: { perSecond: 0, burst: 1 } }],
  ['rate.burst', { rate: { perSecond: 1, burst: 0.5 } }],
]

test.each(BAD)('%s out of range is named: %j', (setting, input) => {
  const problems = problemsOf({ deadlineMs: 250, ...input })
  expect(problems.length).toBe(1)
  expect(problems[0]).toContain(setting)
})

test('all bad values are named together', () => {
  const problems = problemsOf({
    deadlineMs: -1,
    heartbeatMs: Number.NaN,
    bulkhead: { concurrent: 0, queue: -1 },
    breaker: { probes: 0 },
    rate: { perSecond: -1, burst: 0 },
  })
  expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
    'deadlineMs',
    'bulkhead.concurrent',
    'bulkhead.queue',
    'heartbeatMs',
    'breaker.probes',
    'rate.perSecond',
    'rate.burst',
  ])
})
