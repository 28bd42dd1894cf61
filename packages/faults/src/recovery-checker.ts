// Recovery checker. After a fault was healed, everything must be as before within the time that each link declares:
// not "no error so far", but proved. The shape is TigerBeetle's VOPR: safety under faults first, then liveness: the
// system is healed and has to converge within a bound, or the seed is printed.
// What is looked at: the link is up, with a round trip newer than the heal; a canary operation succeeds; no call is
// past its deadline; permits, waiters and pool slots, sockets and timers are back to the baseline; the breaker is closed.
// Invariants:
//   RC1. `recovered` means that all of it held at one moment, inside the link's time (to a look each 20 ms and the stall
//        of the event loop); otherwise `reasons` says what did not.
//   RC2. The check ends at the last link's time, whatever state the links are in and however their canaries hang.
//   RC3. A call further past its deadline than OVERDUE_MS and the measured stall fails the check, even if it settles later.

import { type Clock, systemClock } from '@ripstop/kernel'
import { wait } from './wait.ts'

// Between two looks. Uneven, so that a look never falls in step with a periodic load: at an even 20 ms beside a load of
// one call each 20 ms, a call was in flight at every look of one phase and at none of another (2026-11-22).
const POLL_STEPS_MS = [13, 29, 17, 23] as const
const POLL_MAX_MS = 29
const OVERDUE_MS = 50 // what L5 of the kernel allows
const BASELINE_SAMPLES = 10 // 205 ms

/** What a link tells of itself. A `Link` of @ripstop/kernel has all of it, and more. */
export interface RecoverableSnapshot {
  readonly state: 'idle' | 'connecting' | 'up' | 'degraded' | 'down' | 'draining' | 'closed'
  readonly generation: number
  /** When a round trip last completed, on the monotonic clock. */
  readonly lastProofMonoMs: number | undefined
  readonly inFlight: number
  readonly waiting: number
  /** How long the most overdue call is past its deadline; 0 or less: none is. */
  readonly oldestOverdueMs: number
  readonly breaker: 'closed' | 'open' | 'half_open' | 'none'
  readonly recoverWithinMs: number
  readonly pool?: { readonly inUse: number; readonly waiting: number } | undefined
}

export interface RecoverableLink {
  readonly name: string
  snapshot(): RecoverableSnapshot
}

/** Counts that must come back; `startCensus` gives them. */
export interface ResourceMeter {
  snapshot(): { readonly sockets: number; readonly timers: number }
}

interface LinkUse {
  readonly permits: number
  readonly waiters: number
}

export interface RecoveryBaseline {
  readonly sockets: number
  readonly timers: number
  readonly links: ReadonlyMap<string, LinkUse>
}

export interface RecoveryOptions<L extends RecoverableLink = RecoverableLink> {
  readonly links: readonly L[]
  /** From `takeBaseline`, before the fault. */
  readonly baseline: RecoveryBaseline
  /** One small operation through the link, that rejects if it fails. It is repeated until it succeeds. */
  readonly canary?: (link: L) => Promise<unknown>
  /** The one of the baseline. */
  readonly census?: ResourceMeter
  /** ms, in the place of every link's own `recoverWithinMs`. */
  readonly within?: number
  /** When it was healed, on the monotonic clock [now]. */
  readonly healedMonoMs?: number
  readonly clock?: Clock
}

/** What became of one link. */
export interface RecoveryVerdict {
  readonly link: string
  readonly recovered: boolean
  /** From the heal until everything held; to the end of the check if it never did. */
  readonly recoveredMs: number
  readonly withinMs: number
  readonly state: RecoverableSnapshot['state']
  readonly generation: number
  /** The furthest that a call was seen past its deadline. */
  readonly overdueMs: number
  /** Calls in flight and pool slots in use, over the baseline. */
  readonly permits: number
  readonly waiters: number
  readonly socketsOverBaseline: number
  readonly timersOverBaseline: number
  readonly breaker: RecoverableSnapshot['breaker']
  /** What still did not hold; empty if it recovered. */
  readonly reasons: readonly string[]
}

/** Measures what is normal, as the highest of a few looks: call it before the fault, with the load on that stays on. */
export async function takeBaseline(options: {
  readonly links: readonly RecoverableLink[]
  readonly census?: ResourceMeter
  readonly clock?: Clock
}): Promise<RecoveryBaseline> {
  const { links, census, clock = systemClock } = options
  const highest = { sockets: 0, timers: 0, links: new Map<string, LinkUse>() }
  for (let sample = 0; sample < BASELINE_SAMPLES; sample++) {
    await wait(clock, pollMs(sample))
    const counts = census?.snapshot() ?? { sockets: 0, timers: 0 }
    highest.sockets = Math.max(highest.sockets, counts.sockets)
    highest.timers = Math.max(highest.timers, counts.timers)
    for (const link of links) {
      const use = useOf(link.snapshot())
      const before = highest.links.get(link.name) ?? { permits: 0, waiters: 0 }
      highest.links.set(link.name, {
        permits: Math.max(use.permits, before.permits),
        waiters: Math.max(use.waiters, before.waiters),
      })
    }
  }
  return highest
}

/** Waits until every link has recovered or its time is over: one verdict a link, in their order. What goes wrong is a reason there, never an exception. */
export async function checkRecovery<L extends RecoverableLink>(
  options: RecoveryOptions<L>,
): Promise<readonly RecoveryVerdict[]> {
  const clock = options.clock ?? systemClock
  const healedMs = options.healedMonoMs ?? clock.monoMs()
  const watches = options.links.map((link) => new Watch(link, options, healedMs))
  for (const watch of watches) watch.tryCanary()
  let pending = watches
  for (let look = 0; pending.length > 0; look++) {
    const dueMs = clock.monoMs() + pollMs(look)
    await wait(clock, pollMs(look)) // one timer for all links: the check must not raise the count that it checks
    const nowMs = clock.monoMs()
    const moment: Moment = { nowMs, stallMs: Math.max(0, nowMs - dueMs), ...countsOver(options) }
    for (const watch of pending) watch.look(moment)
    pending = pending.filter(({ verdict }) => verdict === undefined)
  }
  return watches.map(({ verdict }) => verdict).filter((verdict) => verdict !== undefined)
}

function pollMs(look: number): number {
  return POLL_STEPS_MS[look % POLL_STEPS_MS.length] ?? POLL_MAX_MS
}

interface Moment {
  readonly nowMs: number
  readonly stallMs: number
  readonly socketsOverBaseline: number
  readonly timersOverBaseline: number
}

function countsOver({
  census,
  baseline,
}: Pick<RecoveryOptions, 'census' | 'baseline'>): Omit<Moment, 'nowMs' | 'stallMs'> {
  if (census === undefined) return { socketsOverBaseline: 0, timersOverBaseline: 0 }
  const { sockets, timers } = census.snapshot()
  return {
    socketsOverBaseline: Math.max(0, sockets - baseline.sockets),
    timersOverBaseline: Math.max(0, timers - baseline.timers),
  }
}

class Watch<L extends RecoverableLink> {
  readonly #link: L
  readonly #options: RecoveryOptions<L>
  readonly #healedMs: number
  #canary: 'untried' | 'running' | 'passed' | { readonly failed: string } = 'untried'
  #overdueMs = 0
  #overdue: string | undefined
  verdict: RecoveryVerdict | undefined

  constructor(link: L, options: RecoveryOptions<L>, healedMs: number) {
    this.#link = link
    this.#options = options
    this.#healedMs = healedMs
  }

  /** Runs the canary, one at a time. */
  tryCanary(): void {
    const { canary } = this.#options
    if (canary === undefined || this.#canary === 'running') return
    this.#canary = 'running'
    const run = async (): Promise<unknown> => canary(this.#link) // a canary that throws at once has failed too
    run().then(
      () => {
        this.#canary = 'passed'
      },
      (error: unknown) => {
        this.#canary = { failed: error instanceof Error ? error.message : String(error) }
      },
    )
  }

  look(moment: Moment): void {
    const snapshot = this.#link.snapshot()
    const withinMs = this.#options.within ?? snapshot.recoverWithinMs
    this.#noteOverdue(snapshot, moment)
    const over = this.#over(snapshot)
    const needs = this.#trafficReasons(snapshot)
    const reasons = [...needs, ...this.#leftReasons(over, moment)]
    const recoveredMs = moment.nowMs - this.#healedMs
    if (reasons.length > 0 && recoveredMs < withinMs) {
      // Only where traffic can help: a canary that runs all the time holds permits and timers itself.
      if (this.#canary !== 'passed' || needs.length > 0) this.tryCanary()
      return
    }
    this.verdict = {
      link: this.#link.name,
      recovered: reasons.length === 0,
      recoveredMs: Math.round(recoveredMs),
      withinMs,
      state: snapshot.state,
      generation: snapshot.generation,
      overdueMs: Math.round(this.#overdueMs),
      permits: over.permits,
      waiters: over.waiters,
      socketsOverBaseline: moment.socketsOverBaseline,
      timersOverBaseline: moment.timersOverBaseline,
      breaker: snapshot.breaker,
      reasons,
    }
  }

  #noteOverdue({ oldestOverdueMs }: RecoverableSnapshot, { stallMs }: Moment): void {
    this.#overdueMs = Math.max(this.#overdueMs, oldestOverdueMs)
    // A stall may have begun up to one poll before it shows as a late poll.
    if (oldestOverdueMs <= OVERDUE_MS + POLL_MAX_MS + stallMs) return
    this.#overdue = `a call was ${Math.round(this.#overdueMs)} ms past its deadline`
  }

  #over(snapshot: RecoverableSnapshot): LinkUse {
    const use = useOf(snapshot)
    const before = this.#options.baseline.links.get(this.#link.name) ?? { permits: 0, waiters: 0 }
    return {
      permits: Math.max(0, use.permits - before.permits),
      waiters: Math.max(0, use.waiters - before.waiters),
    }
  }

  /** What more traffic may still bring about. */
  #trafficReasons({ state, lastProofMonoMs, breaker }: RecoverableSnapshot): string[] {
    const reasons: string[] = []
    if (state !== 'up') reasons.push(`it is ${state}`)
    if (lastProofMonoMs === undefined || lastProofMonoMs <= this.#healedMs) reasons.push('not proved since the heal')
    if (breaker === 'open' || breaker === 'half_open') reasons.push(`its breaker is ${breaker}`)
    if (this.#options.canary === undefined || this.#canary === 'passed') return reasons
    if (typeof this.#canary === 'string') reasons.push('the canary has not answered')
    else reasons.push(`the canary failed: ${this.#canary.failed}`)
    return reasons
  }

  /** What the fault left behind. */
  #leftReasons({ permits, waiters }: LinkUse, moment: Moment): string[] {
    const reasons: string[] = []
    if (this.#overdue !== undefined) reasons.push(this.#overdue)
    if (permits > 0) reasons.push(`${permits} permits over the baseline`)
    if (waiters > 0) reasons.push(`${waiters} waiters over the baseline`)
    if (moment.socketsOverBaseline > 0) reasons.push(`${moment.socketsOverBaseline} sockets over the baseline`)
    if (moment.timersOverBaseline > 0) reasons.push(`${moment.timersOverBaseline} timers over the baseline`)
    return reasons
  }
}

function useOf({ inFlight, waiting, pool }: RecoverableSnapshot): LinkUse {
  return { permits: inFlight + (pool?.inUse ?? 0), waiters: waiting + (pool?.waiting ?? 0) }
}
