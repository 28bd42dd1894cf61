// What the health checker counts, for the metrics. Every work process counts for itself, so the greatest is the truth.

import type { Metrics } from '@ripstop/kernel'
import type { EndpointCounts } from './health-store.ts'

const STATES = ['active', 'paused', 'gone'] as const

/** Undefined: it is not known now. */
export function createEndpointMeters(metrics: Metrics): (counts: EndpointCounts | undefined) => void {
  const states = STATES.map((state) => ({
    state,
    gauge: metrics.gauge('webhook_endpoints', 'Endpoints by state', { state }),
  }))
  const tooOld = metrics.gauge('webhook_secrets_too_old', 'Signing secrets in use that are older than they may be')
  const tell = (counts: EndpointCounts | undefined): void => {
    for (const { state, gauge } of states) gauge.set(counts?.[state] ?? Number.NaN)
    tooOld.set(counts?.secretsTooOld ?? Number.NaN)
  }
  tell(undefined)
  return tell
}
