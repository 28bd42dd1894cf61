// What a link promises, as data: enforced here, shown in the graph, drilled against, audited in other systems.

import type { BreakerLimits } from './breaker.ts'
import type { RetryBudgetLimits } from './budget.ts'
import type { BulkheadLimits } from './bulkhead.ts'
import { RipstopError } from './errors.ts'
import type { LinkTimes } from './link-state.ts'
import type { RateLimit } from './rate.ts'

export interface RetryLimits {
  /** Attempts in all; 1 for no retry. */
  readonly attempts: number
  /** The pause before attempt n + 1 is random up to min(capMs, baseMs * 2 ** n). */
  readonly baseMs: number
  readonly capMs: number
}

export interface Guarantees extends LinkTimes {
  /** Longest that a call may take, queueing and retries included; a caller's own deadline can only shorten it. */
  readonly deadlineMs: number
  /** Readiness needs this link. */
  readonly critical: boolean
  /** After the peer is back, the link is proved up within this time: what drills and checks hold it to. */
  readonly recoverWithinMs: number
  /** While the link is not up: fail at once, or wait within the call's deadline. */
  readonly whenDown: 'fast' | 'wait'
  /** The name of what `callOr` does instead; undefined: nothing is done instead. */
  readonly fallback: string | undefined
  readonly retry: RetryLimits
  readonly budget: RetryBudgetLimits
  readonly breaker: BreakerLimits | undefined
  readonly bulkhead: BulkheadLimits
  readonly rate: RateLimit | undefined
  readonly openDeadlineMs: number
  readonly probeDeadlineMs: number
}

/** What an application writes: everything has a default but the deadline, which nobody else can know. */
export type GuaranteesInput = {
  readonly [Key in keyof Omit<Guarantees, 'deadlineMs' | 'retry' | 'budget' | 'breaker' | 'bulkhead'>]?: Guarantees[Key]
} & {
  readonly deadlineMs: number
  readonly retry?: Partial<RetryLimits>
  readonly budget?: Partial<RetryBudgetLimits>
  readonly breaker?: Partial<BreakerLimits> | 'none'
  readonly bulkhead?: Partial<BulkheadLimits>
}

const BREAKER: BreakerLimits = {
  failureRate: 0.5,
  minimumCalls: 20,
  windowMs: 10_000,
  openMs: 1_000,
  openMsMax: 30_000,
  probes: 3,
}

/** Fills in the defaults. Throws CONFIG_INVALID that names every setting out of range. */
export function createGuarantees(name: string, input: GuaranteesInput): Guarantees {
  const guarantees: Guarantees = {
    deadlineMs: input.deadlineMs,
    critical: input.critical ?? false,
    recoverWithinMs: input.recoverWithinMs ?? 1_500,
    whenDown: input.whenDown ?? 'fast',
    fallback: input.fallback,
    retry: { attempts: 1, baseMs: 25, capMs: 1_000, ...input.retry },
    budget: { share: 0.2, perSecond: 3, ...input.budget },
    breaker: input.breaker === 'none' ? undefined : { ...BREAKER, ...input.breaker },
    bulkhead: { concurrent: 256, queue: 512, ...input.bulkhead },
    rate: input.rate,
    openDeadlineMs: input.openDeadlineMs ?? 1_000,
    probeDeadlineMs: input.probeDeadlineMs ?? 400,
    backoffBaseMs: input.backoffBaseMs ?? 50,
    backoffCapMs: input.backoffCapMs ?? 800,
    stableAfterMs: input.stableAfterMs ?? 5_000,
    heartbeatMs: input.heartbeatMs ?? 600,
    maxAgeMs: input.maxAgeMs ?? 30 * 60_000,
  }
  const problems = findProblems(guarantees)
  if (problems.length > 0) {
    throw new RipstopError('CONFIG_INVALID', `guarantees of link ${name}: ${problems.join('; ')}`, {
      details: { problems },
    })
  }
  return guarantees
}

const DAY_MS = 86_400_000

function findProblems(guarantees: Guarantees): string[] {
  const problems: string[] = []
  const check = (setting: string, value: number, least: number, most: number): void => {
    if (typeof value === 'number' && value >= least && value <= most) return
    problems.push(`${setting} is ${value}, must be ${least} to ${most}`)
  }
  const checkCount = (setting: string, value: number, least: number, most: number): void => {
    if (!Number.isInteger(value)) problems.push(`${setting} is ${value}, must be a whole number`)
    else check(setting, value, least, most)
  }
  check('deadlineMs', guarantees.deadlineMs, 1, DAY_MS)
  if (guarantees.whenDown !== 'fast' && guarantees.whenDown !== 'wait') {
    problems.push(`whenDown is ${guarantees.whenDown}, must be fast or wait`)
  }
  check('recoverWithinMs', guarantees.recoverWithinMs, 1, DAY_MS)
  checkCount('retry.attempts', guarantees.retry.attempts, 1, 10)
  check('retry.baseMs', guarantees.retry.baseMs, 0, 60_000)
  check('retry.capMs', guarantees.retry.capMs, 0, 600_000)
  check('budget.share', guarantees.budget.share, 0, 1)
  check('budget.perSecond', guarantees.budget.perSecond, 0.001, 1_000)
  checkCount('bulkhead.concurrent', guarantees.bulkhead.concurrent, 1, 100_000)
  checkCount('bulkhead.queue', guarantees.bulkhead.queue, 0, 10_000) // leaving a queue is linear in its length
  check('openDeadlineMs', guarantees.openDeadlineMs, 1, 3_600_000)
  check('probeDeadlineMs', guarantees.probeDeadlineMs, 1, 60_000)
  check('backoffBaseMs', guarantees.backoffBaseMs, 1, 60_000)
  check('backoffCapMs', guarantees.backoffCapMs, guarantees.backoffBaseMs, 600_000)
  check('stableAfterMs', guarantees.stableAfterMs, 0, DAY_MS)
  check('heartbeatMs', guarantees.heartbeatMs, 10, DAY_MS)
  if (guarantees.maxAgeMs !== Number.POSITIVE_INFINITY) check('maxAgeMs', guarantees.maxAgeMs, 1_000, 30 * DAY_MS)
  if (guarantees.breaker !== undefined) {
    check('breaker.failureRate', guarantees.breaker.failureRate, 0.01, 1)
    checkCount('breaker.minimumCalls', guarantees.breaker.minimumCalls, 1, 1_000_000)
    check('breaker.windowMs', guarantees.breaker.windowMs, 100, 3_600_000)
    check('breaker.openMs', guarantees.breaker.openMs, 1, guarantees.breaker.openMsMax)
    check('breaker.openMsMax', guarantees.breaker.openMsMax, 1, 3_600_000)
    checkCount('breaker.probes', guarantees.breaker.probes, 1, 1_000)
  }
  if (guarantees.rate !== undefined) {
    check('rate.perSecond', guarantees.rate.perSecond, 0.001, 10_000_000)
    check('rate.burst', guarantees.rate.burst, 1, 10_000_000)
  }
  return problems
}
