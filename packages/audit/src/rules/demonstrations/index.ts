// Which demonstration shows the fault of which rule. Where nothing has to be run because the place itself shows it (a secret, a tag, a document), that is said.
//   QS12. Every rule has a row here, and every demonstration shows at least one.

import type { Demonstration } from './demonstration.ts'
import { OF_DEPENDENCIES } from './dependencies.ts'
import { OF_PROCESSES } from './processes.ts'
import { OF_WORK } from './work.ts'

export type { Demonstration } from './demonstration.ts'

export const DEMONSTRATIONS = { ...OF_DEPENDENCIES, ...OF_WORK, ...OF_PROCESSES }

export type DemonstrationName = keyof typeof DEMONSTRATIONS

export const SHOWS: Readonly<Record<DemonstrationName | 'reading', readonly string[]>> = {
  'silent-dependency': ['http-no-timeout', 'rpc-no-timeout', 'db-no-timeout', 'broker-no-timeout'].concat([
    'workflow-step-no-timeout',
    'unbounded-wait',
  ]),
  'refused-dependency': ['swallowed-error', 'fake-success', 'alert-not-implemented'],
  'refusing-answers': ['http-status-unchecked', 'no-429-handling'],
  'process-survives': ['unhandled-rejection', 'floating-promise', 'unhandled-error-event'],
  'outage-and-back': ['permanent-failure-state', 'reconnect-missing', 'breaker-count-not-reset'],
  'counted-attempts': ['retry-unbounded', 'retry-no-backoff', 'retry-constant-backoff', 'retry-no-jitter'],
  'occupied-pool': ['pool-no-timeout', 'pool-default-size'],
  'counted-connections': ['client-per-request'],
  'health-in-an-outage': ['health-check-shallow', 'health-status-200'],
  'dispensable-dependency': [
    'readiness-couples-optional-dep',
    'rate-limiter-fail-open',
    'rate-limiter-hard-dependency',
  ],
  stampede: ['cache-stampede'],
  'slow-round': ['overlapping-interval'],
  'open-transaction': ['tx-with-outbound'],
  'slow-start': ['compose-depends-no-health', 'compose-depends-started', 'fatal-on-start', 'fatal-start-swallowed'],
  'same-moment': ['check-then-act-race', 'lost-update'],
  'same-again': ['missing-idempotency', 'overwrite-on-create'],
  'killed-midway': ['message-loss-ack', 'message-loss', 'dual-write', 'lock-no-expiry'],
  'failing-work': ['ack-on-failure', 'message-no-redelivery', 'no-dlq'],
  'outlived-key': ['state-ttl', 'retry-ttl-loss'],
  'client-away': ['ws-reconnect-no-resync'],
  'receiver-gone': ['broadcast-abort'],
  'busy-process': ['blocking-in-async'],
  'counted-keys-commands': ['redis-keys-blocking'],
  flood: ['unbounded-memory', 'unbounded-queue', 'listener-leak'],
  oversized: ['unbounded-payload', 'ws-no-max-payload'],
  'long-list': ['unbounded-concurrency', 'unbounded-query'],
  burst: ['route-no-rate-limit', 'concurrency-not-rate'],
  'term-under-load': ['missing-graceful-shutdown', 'shutdown-not-awaited', 'shutdown-order', 'shutdown-no-deadline'],
  'two-replicas': ['state-in-memory', 'rate-limit-in-memory'],
  'lost-cache': ['recovery-path-missing', 'redis-eviction-on-primary'],
  'guard-at-its-strictest': ['guard-cannot-fire', 'guardrail-not-wired', 'config-unused'],
  'walked-path': ['missing-method', 'type-mismatch', 'rollback-masks-error', 'catch-scope-too-broad'],
  gauge: ['metric-drift', 'missing-metrics'],
  'foreign-origin': ['cors-permissive'],
  'forged-input': ['unvalidated-input', 'jwt-unverified'],
  'telling-error': ['error-leak'],
  'nobodys-certificate': ['tls-verification-off'],
  'unset-at-start': ['default-secret', 'compose-default-secret', 'guard-bypassed', 'compose-env-unset'].concat([
    'compose-required-var-unset',
    'kubernetes-env-unset',
    'kubernetes-key-missing',
  ]),
  'clean-checkout': ['start-crash', 'compose-build-context-missing', 'dockerfile-npm-ci-no-lockfile'].concat([
    'dockerfile-copy-missing-source',
    'docker-context-missing-module',
    'path-mismatch',
    'compose-bind-missing',
  ]),
  'asked-inside': ['compose-healthcheck-binary-missing', 'compose-undefined-service-ref', 'compose-env-missing'],
  'asked-from-outside': ['compose-db-port-exposed'],
  'path-handed-on': ['proxy-path-lost'],
  'killed-instance': ['compose-no-restart', 'kubernetes-single-replica'],
  'frozen-instance': ['compose-no-healthcheck', 'kubernetes-missing-probes'],
  'made-anew': ['compose-no-volume'],
  reading: ['hardcoded-secret', 'shared-secret', 'secret-in-clear', 'debug-in-production', 'timing-unsafe-comparison']
    .concat(['compose-latest-tag', 'compose-env-unused', 'kubernetes-missing-limits', 'orphan-subscription'])
    .concat(['document-drift']),
}

const SHOWN_BY: ReadonlyMap<string, DemonstrationName | 'reading'> = new Map(
  Object.entries(SHOWS).flatMap(([name, rules]) =>
    rules.map((rule) => [rule, name as DemonstrationName | 'reading'] as const),
  ),
)

/** Undefined: a rule of a running mesh, which measures, or one that is not of the registry. */
export function shownBy(rule: string): DemonstrationName | 'reading' | undefined {
  return SHOWN_BY.get(rule)
}

export function demonstrationOf(rule: string): Demonstration | undefined {
  const name = SHOWN_BY.get(rule)
  return name === undefined || name === 'reading' ? undefined : DEMONSTRATIONS[name]
}
