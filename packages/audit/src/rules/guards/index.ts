// The rules of guards.

import type { Rule } from '../rule.ts'
import { breakerCountNotReset } from './breaker-count-not-reset.ts'
import { configUnused } from './config-unused.ts'
import { guardBypassed } from './guard-bypassed.ts'
import { guardrailNotWired } from './guardrail-not-wired.ts'
import { healthCheckShallow } from './health-check-shallow.ts'
import { healthStatus200 } from './health-status-200.ts'
import { metricDrift } from './metric-drift.ts'
import { missingMetrics } from './missing-metrics.ts'
import { concurrencyNotRate, rateLimiterFailOpen, rateLimiterHardDependency, rateLimitInMemory } from './rate-limits.ts'
import { readinessCouplesOptionalDep } from './readiness-couples-optional-dep.ts'
import { reconnectMissing } from './reconnect-missing.ts'
import { routeNoRateLimit } from './route-no-rate-limit.ts'
import { startCrash } from './start-crash.ts'

export const guardsRules: readonly Rule[] = [
  healthCheckShallow,
  healthStatus200,
  readinessCouplesOptionalDep,
  rateLimitInMemory,
  rateLimiterFailOpen,
  rateLimiterHardDependency,
  concurrencyNotRate,
  guardrailNotWired,
  breakerCountNotReset,
  configUnused,
  guardBypassed,
  reconnectMissing,
  startCrash,
  routeNoRateLimit,
  metricDrift,
  missingMetrics,
]
