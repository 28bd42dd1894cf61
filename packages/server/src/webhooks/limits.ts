// Bounds of webhooks, in one place: they are told in the schemas, checked at the edge, and relied on inside.

import type { BreakerLimits } from '@ripstop/kernel'

export const ENDPOINTS_PER_TENANT_MAX = 10_000
export const PATTERNS_MAX = 100
export const FILTER_LENGTH_MAX = 2_000
export const HEADERS_MAX = 20
export const HEADER_BYTES_MAX = 4_096
export const RETRY_STEPS_MAX = 20
export const RETRY_STEP_MS_MIN = 5_000
export const RETRY_STEP_MS_MAX = 86_400_000
export const SIGNING_SECRETS_MAX = 5
export const OVERLAP_MS_DEFAULT = 86_400_000
export const OVERLAP_MS_MAX = 7 * 86_400_000
/** Of an answer; what the engine keeps of it is its business. */
export const ANSWER_BYTES_MAX = 4_096

/** Of every endpoint; it opens late and tries soon, for the schedule already spaces what failed. */
export const BREAKER_OF_ENDPOINTS: BreakerLimits = {
  failureRate: 0.5,
  minimumCalls: 10,
  windowMs: 10_000,
  openMs: 1_000,
  openMsMax: 60_000,
  probes: 1,
}
