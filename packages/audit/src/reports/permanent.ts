// Permanent failure states: what stays down once it failed, the pattern that brings it back, and the risk before and after. The risk after is an assumption until
// an experiment shows it.
//   RR3. The risk before is the severity of the finding; the risk after is marked as assumed.

import type { Evidence } from '../model/evidence.ts'
import type { Severity } from '../model/finding.ts'
import type { ReportedFinding } from './reported.ts'

export interface PermanentState {
  readonly fingerprint: string
  readonly component: string | undefined
  readonly loc: Evidence['loc']
  readonly what: string
  readonly because: string
  readonly pattern: string
  readonly how: string
  readonly riskBefore: Severity
  readonly riskAfter: Severity
  readonly riskAfterProvenance: 'assumed'
}

/** The first that fits the words of the finding. */
const PATTERNS: readonly (readonly [words: RegExp, pattern: string, how: string])[] = [
  [
    /breaker|circuit|half.?open/i,
    'breaker that half-opens by time',
    'After a while one call is let through as a probe; what it finds closes the breaker or opens it again for longer.',
  ],
  [
    /message|queue|job|letter|deliver/i,
    'dead letters and redrive',
    'What failed too often is kept with its reason and sent again, by hand and from time to time by itself.',
  ],
  [
    /pool/i,
    'pool that replaces slot by slot',
    'A broken connection is replaced alone; the pool as a whole is never closed but at the end of the process.',
  ],
  [
    /monitor|watch|schedul|timer|loop|background|task/i,
    'supervised loop',
    'Whoever owns the loop starts it again when it ends, and counts that it did.',
  ],
  [
    /connect|client|redis|socket|session|subscri/i,
    'reconnect for ever',
    'Connect again after waits that grow and vary, reset on success, without a last attempt.',
  ],
]
const DEFAULT = [
  'a way back that runs by itself',
  'Whatever sets the state also arranges for the next attempt; success sets it back.',
] as const

const RULES = new Set([
  'permanent-failure-state',
  'reconnect-missing',
  'recovery-path-missing',
  'breaker-count-not-reset',
])

/** Everything of the category, and rules elsewhere that name such a state. */
export function permanentStatesOf(findings: readonly ReportedFinding[]): readonly PermanentState[] {
  return findings
    .filter(
      ({ category, rule, suppressed }) =>
        (category === 'permanent failure' || RULES.has(rule)) && suppressed === undefined,
    )
    .map((finding) => {
      const { symptom, rootCause, title } = finding
      const found = PATTERNS.find(([words]) => words.test(`${title} ${symptom} ${rootCause}`))
      const [pattern, how] = found === undefined ? DEFAULT : [found[1], found[2]]
      return {
        fingerprint: finding.fingerprint,
        component: finding.component,
        loc: finding.evidence[0]?.loc,
        what: symptom,
        because: rootCause,
        pattern,
        how,
        riskBefore: finding.severity,
        riskAfter: 'low',
        riskAfterProvenance: 'assumed',
      }
    })
}
