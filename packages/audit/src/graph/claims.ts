// What findings say of guarantees: the finding of a rule makes one absent, or shows that it is unwired, can't do what it is for, or has a way around it.
//   GR9. Where several claims are made about one guarantee, the one that says most about what is wrong holds; what is wrong is said before what is right.

import type { Guarantee, GuaranteeKind, GuaranteeState } from '../model/graph.ts'

type Claim = readonly [kind: GuaranteeKind, state: GuaranteeState]

const CLAIMS: Readonly<Record<string, Claim>> = {
  'http-no-timeout': ['deadline', 'absent'],
  'db-no-timeout': ['deadline', 'absent'],
  'rpc-no-timeout': ['deadline', 'absent'],
  'broker-no-timeout': ['deadline', 'absent'],
  'unbounded-wait': ['deadline', 'absent'],
  'pool-no-timeout': ['bulkhead', 'ineffective'],
  'client-per-request': ['bulkhead', 'absent'],
  'retry-unbounded': ['retry', 'ineffective'],
  'retry-constant-backoff': ['retry', 'ineffective'],
  'retry-no-backoff': ['retry', 'ineffective'],
  'retry-no-jitter': ['retry', 'ineffective'],
  'no-429-handling': ['retry', 'ineffective'],
  'breaker-count-not-reset': ['breaker', 'ineffective'],
  'guardrail-not-wired': ['breaker', 'unwired'],
  'concurrency-not-rate': ['rate', 'ineffective'],
  'rate-limit-in-memory': ['rate', 'ineffective'],
  'rate-limiter-fail-open': ['rate', 'bypassed'],
  'rate-limiter-hard-dependency': ['rate', 'ineffective'],
  'route-no-rate-limit': ['rate', 'absent'],
  'unbounded-queue': ['queue_bound', 'absent'],
  'unbounded-memory': ['queue_bound', 'absent'],
  'unbounded-query': ['queue_bound', 'absent'],
  'unbounded-payload': ['validation', 'absent'],
  'unbounded-concurrency': ['bulkhead', 'absent'],
  'missing-idempotency': ['idempotency', 'absent'],
  'check-then-act-race': ['lock', 'absent'],
  'lost-update': ['lock', 'absent'],
  'lock-no-expiry': ['lock', 'ineffective'],
  'no-dlq': ['dead_letters', 'absent'],
  'message-loss': ['dead_letters', 'absent'],
  'message-loss-ack': ['dead_letters', 'bypassed'],
  'message-no-redelivery': ['dead_letters', 'absent'],
  'retry-ttl-loss': ['dead_letters', 'ineffective'],
  'fake-success': ['fallback', 'ineffective'],
  'health-check-shallow': ['health', 'ineffective'],
  'health-status-200': ['health', 'ineffective'],
  'readiness-couples-optional-dep': ['health', 'ineffective'],
  'compose-no-healthcheck': ['health', 'absent'],
  'compose-healthcheck-binary-missing': ['health', 'ineffective'],
  'unvalidated-input': ['validation', 'absent'],
  'permanent-failure-state': ['reconnect', 'ineffective'],
  'reconnect-missing': ['reconnect', 'absent'],
  'recovery-path-missing': ['reconnect', 'absent'],
  'compose-no-restart': ['restart', 'absent'],
  'compose-no-volume': ['durability', 'absent'],
  'kubernetes-missing-probes': ['health', 'absent'],
  'kubernetes-single-replica': ['replicas', 'absent'],
  'shutdown-no-deadline': ['shutdown', 'ineffective'],
  'workflow-step-no-timeout': ['deadline', 'absent'],
  'ack-on-failure': ['dead_letters', 'bypassed'],
  'missing-graceful-shutdown': ['shutdown', 'absent'],
  'shutdown-not-awaited': ['shutdown', 'ineffective'],
  'shutdown-order': ['shutdown', 'ineffective'],
}

/** By words of what a rule that guards share names: `guard-cannot-fire` of a breaker is about the breaker. */
const WORDS: readonly (readonly [words: RegExp, kind: GuaranteeKind])[] = [
  [/circuit|breaker/i, 'breaker'],
  [/rate.?limit|limiter|throttl/i, 'rate'],
  [/retry|backoff/i, 'retry'],
  [/time.?out|deadline/i, 'deadline'],
  [/idempoten/i, 'idempotency'],
  [/dead.?letter|dlq/i, 'dead_letters'],
  [/valid|sanit|schema/i, 'validation'],
  [/health|ready|liveness/i, 'health'],
]
const GUARDS: Readonly<Record<string, GuaranteeState>> = {
  'guard-cannot-fire': 'ineffective',
  'guard-bypassed': 'bypassed',
  'guardrail-not-wired': 'unwired',
}

/** Undefined: the rule is about no guarantee. `about`: its title and texts, where one rule is about many kinds. */
export function claimOf(rule: string, about: string): Claim | undefined {
  const state = Object.hasOwn(GUARDS, rule) ? GUARDS[rule] : undefined
  if (state === undefined) return Object.hasOwn(CLAIMS, rule) ? CLAIMS[rule] : undefined
  const kind = WORDS.find(([words]) => words.test(about))?.[1]
  return kind === undefined ? undefined : [kind, state]
}

export function claimedRules(): readonly string[] {
  return [...Object.keys(CLAIMS), ...Object.keys(GUARDS)]
}

const WORST_FIRST: readonly GuaranteeState[] = ['ineffective', 'unwired', 'bypassed', 'absent', 'present']
const EVIDENCE_MAX = 6

/** GR9: one of each kind, with the evidence of its state before that of others. */
export function settle(guarantees: readonly Guarantee[]): readonly Guarantee[] {
  const kinds = [...new Set(guarantees.map(({ kind }) => kind))]
  return kinds.map((kind) => {
    const own = guarantees.filter((one) => one.kind === kind)
    const ranked = own.toSorted((a, b) => WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state))
    const state = ranked[0]?.state ?? 'absent'
    return { kind, state, evidence: ranked.flatMap(({ evidence }) => evidence).slice(0, EVIDENCE_MAX) }
  })
}
