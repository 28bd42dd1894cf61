import type { CallOutcome } from './call.ts'
import type { LinkSnapshot } from './link-snapshot.ts'
import type { Metrics } from './metrics.ts'

/** What a link counts. Counting is an addition; what can be read from a snapshot is read at the scrape. */
export interface LinkMetrics {
  readonly attempted: () => void
  readonly recovered: () => void
  readonly retried: () => void
  readonly breakerBecame: (to: string) => void
  readonly settled: (outcome: CallOutcome, durationMs: number) => void
}

const OUTCOMES: readonly CallOutcome[] = ['ok', 'failed', 'deadline', 'cancelled', 'refused']
const STATES = ['idle', 'connecting', 'up', 'degraded', 'down', 'draining', 'closed'] as const
const BREAKER_STATES = ['closed', 'open', 'half_open'] as const

export function createLinkMetrics(metrics: Metrics, link: string, snapshot: () => LinkSnapshot): LinkMetrics {
  metrics.collect(createCollector(metrics, link, snapshot))
  const attempts = metrics.counter('link_recovery_attempts_total', 'Generations that a link began to open', { link })
  const recoveries = metrics.counter('link_recoveries_total', 'Times a link was proved up again', { link })
  const retries = metrics.counter('link_retries_total', 'Attempts after the first', { link })
  const durations = metrics.histogram('link_call_duration_seconds', 'Calls, queueing and retries included', { link })
  const calls = new Map(
    OUTCOMES.map((outcome) => [outcome, metrics.counter('link_calls_total', 'Calls by outcome', { link, outcome })]),
  )
  const ok = calls.get('ok')
  return {
    attempted: () => attempts.add(1),
    recovered: () => recoveries.add(1),
    retried: () => retries.add(1),
    breakerBecame: (to) => metrics.counter('breaker_transitions_total', 'Breaker state changes', { link, to }).add(1),
    settled: (outcome, durationMs) => {
      const counter = outcome === 'ok' ? ok : calls.get(outcome)
      counter?.add(1)
      durations.observe(durationMs / 1000)
    },
  }
}

function createCollector(metrics: Metrics, link: string, snapshot: () => LinkSnapshot): () => void {
  const up = metrics.gauge('link_up', '1 while the link is proved up', { link })
  const age = metrics.gauge('link_last_proof_age_seconds', 'Since the last completed round trip', { link })
  const inFlight = metrics.gauge('link_in_flight', 'Calls at the peer', { link })
  const waiting = metrics.gauge('link_waiting', 'Calls waiting for a place or for the link', { link })
  const budget = metrics.gauge('link_retry_budget', 'Retries that could be paid now', { link })
  const states = STATES.map((state) => metrics.gauge('link_state', '1 for the state it is in', { link, state }))
  return () => {
    const now = snapshot()
    up.set(now.state === 'up' || now.state === 'degraded' ? 1 : 0)
    age.set((now.lastProofAgeMs ?? Number.POSITIVE_INFINITY) / 1000)
    inFlight.set(now.inFlight)
    waiting.set(now.waiting)
    budget.set(now.retryBudget)
    for (const [index, state] of STATES.entries()) states[index]?.set(now.state === state ? 1 : 0)
    collectOptional(metrics, link, now)
  }
}

function collectOptional(metrics: Metrics, link: string, now: LinkSnapshot): void {
  if (now.breaker !== 'none') {
    for (const state of BREAKER_STATES) {
      metrics.gauge('breaker_state', '1 for the state it is in', { link, state }).set(now.breaker === state ? 1 : 0)
    }
  }
  if (now.degradation !== undefined) {
    const labels = { link, name: now.degradation.name }
    metrics.gauge('degradation_active', '1 while the fallback answers', labels).set(now.degradation.active ? 1 : 0)
  }
  if (now.pool !== undefined) {
    metrics.gauge('pool_size', 'Connections open', { link }).set(now.pool.size)
    metrics.gauge('pool_in_use', 'Connections at work', { link }).set(now.pool.inUse)
    metrics.gauge('pool_waiting', 'Calls waiting for a connection', { link }).set(now.waiting + now.pool.waiting)
  }
}
