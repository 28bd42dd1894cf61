// The contract of a rule: what it is about, and a pure function from what is known of a repository to what is wrong.

import type { Evidence } from '../model/evidence.ts'
import type { Remedy, Severity, Tier } from '../model/finding.ts'
import type { Repository } from '../repository/repository.ts'

export interface RuleMeta {
  /** Stable, kebab-case; that of the corpus where it has one. */
  readonly id: string
  readonly category: Category
  readonly severity: Severity
  readonly title: string
  /** Why it tears, for people who don't know it; shown by `explain`. */
  readonly why: string
  readonly remedies: readonly Remedy[]
  readonly sources: readonly string[]
}

export const CATEGORIES = [
  'deadlines and retries',
  'error handling',
  'permanent failure',
  'guards',
  'concurrency',
  'messages and effects',
  'bounds',
  'lifecycle',
  'state',
  'security',
  'configuration',
  'deployment',
  'observability',
  'documents',
] as const
export type Category = (typeof CATEGORIES)[number]

/** What a rule found: the engine adds fingerprint, owner, status and groups it. */
export interface Discovery {
  readonly tier: Exclude<Tier, 'confirmed'>
  /** The first is where a reader should look. */
  readonly evidence: readonly Evidence[]
  /** Discoveries of a rule with the same cause become one finding: 'client axios of payments'. Undefined: it stands alone. */
  readonly cause?: string
  /** Enclosing function or service, for the fingerprint. */
  readonly symbol: string
  /** Instead of the rule's. */
  readonly title?: string
  readonly severity?: Severity
  readonly symptom: string
  readonly rootCause: string
  readonly component?: string
  readonly link?: string
}

export interface Rule {
  readonly meta: RuleMeta
  readonly run: (repository: Repository) => Iterable<Discovery>
}
