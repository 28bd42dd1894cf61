export type { Adapter, GenerationEvents, PoolGauges } from './adapter.ts'
export { Breaker, type BreakerLimits, REFUSED } from './breaker.ts'
export { RetryBudget, type RetryBudgetLimits } from './budget.ts'
export { Bulkhead, type BulkheadLimits } from './bulkhead.ts'
export type { CallOptions } from './call.ts'
export { type Clock, systemClock } from './clock.ts'
export { background, Ctx, type Env } from './ctx.ts'
export { createEnv } from './env.ts'
export {
  type Code,
  type ErrorCode,
  type ErrorCodes,
  errorCodes,
  hasCode,
  isRipstopError,
  RipstopError,
  type RipstopErrorOptions,
  registerErrorCodes,
  type Sent,
} from './errors.ts'
export { exposeMetrics, type MetricFamily, type MetricSource } from './exposition.ts'
export type { Component, GraphLink, MeshGraph, Use } from './graph.ts'
export { createGuarantees, type Guarantees, type GuaranteesInput } from './guarantees.ts'
export { createId, createSeededRandom, type Random, systemRandom } from './ids.ts'
export type { Link } from './link.ts'
export type { LinkNotice, LinkSnapshot, Transition } from './link-snapshot.ts'
export type { CloseCause, LinkStateName } from './link-state.ts'
export { type AnyLink, Mesh } from './mesh.ts'
export { type Counter, type Gauge, type Histogram, Metrics } from './metrics.ts'
export { type RateLimit, TokenBucket } from './rate.ts'
export { TimerWheel, WheelEntry } from './timer-wheel.ts'
