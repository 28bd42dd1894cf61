// The report: one versioned document that every other format is drawn from. Its schema is report.schema.json beside the package.
//   RE1. Every number in it is a Figure: it says what it is of, how it is known, and what from. What is not measured has none.
//   RE2. Paths are relative to the audited folder; the folder's own path is not in it.

import type { SuppressionProblem } from '../findings/suppression.ts'
import type { BlastRadius } from '../graph/blast-radius.ts'
import type { SinglePoint } from '../graph/paths.ts'
import type { StartOrder } from '../graph/start-order.ts'
import type { SystemGraph } from '../model/graph.ts'
import type { BrokenPart } from '../parts.ts'
import type { Unread } from '../repository/repository.ts'
import type { RuleMeta } from '../rules/rule.ts'
import type { Cascade } from './cascades.ts'
import type { CategoryState } from './categories.ts'
import type { CheckedComponent } from './checklist.ts'
import type { Figure } from './figure.ts'
import type { MatrixRow } from './matrix.ts'
import type { PermanentState } from './permanent.ts'
import type { Phase } from './plan.ts'
import type { ReportedFinding } from './reported.ts'
import type { ServiceLevel } from './service-levels.ts'

export type { ReportedFinding }

export const REPORT_FORMAT = 'ripstop-audit'
export const REPORT_VERSION = 1

export const GRADES = ['A', 'B', 'C', 'D', 'E'] as const
export type Grade = (typeof GRADES)[number]

export interface Coverage {
  readonly languages: readonly { readonly language: string; readonly files: Figure; readonly lines: Figure }[]
  /** compose, kubernetes, Dockerfiles …: how many were read. */
  readonly configuration: readonly { readonly kind: string; readonly files: Figure }[]
  readonly leftOut: readonly { readonly role: string; readonly files: Figure }[]
  readonly unread: readonly Unread[]
  readonly brokenRules: readonly { readonly rule: string; readonly message: string }[]
  /** What is no rule and threw: what it would have told is missing. */
  readonly brokenParts: readonly BrokenPart[]
  readonly suppressionProblems: readonly SuppressionProblem[]
}

export interface Report {
  readonly format: typeof REPORT_FORMAT
  readonly version: typeof REPORT_VERSION
  readonly tool: { readonly name: 'ripstop-audit'; readonly version: string }
  readonly generatedAt: string
  /** The folder's name. */
  readonly name: string
  /** Null: nothing was read that a grade could rest on. */
  readonly grade: Grade | null
  readonly gradeBecause: string
  readonly figures: {
    readonly strong: Figure
    readonly review: Figure
    readonly suppressed: Figure
    readonly rules: Figure
    /** Strong ones, by severity. */
    readonly critical: Figure
    readonly high: Figure
    readonly medium: Figure
    readonly low: Figure
  }
  readonly findings: readonly ReportedFinding[]
  /** Fingerprints, the first first. */
  readonly topTen: readonly string[]
  readonly plan: readonly Phase[]
  readonly serviceLevels: readonly ServiceLevel[]
  readonly categories: readonly CategoryState[]
  readonly rules: readonly RuleMeta[]
  readonly graph: SystemGraph
  readonly blastRadii: readonly BlastRadius[]
  /** Failure propagation: the seeds' second kind of report. */
  readonly matrix: readonly MatrixRow[]
  readonly cascades: readonly Cascade[]
  /** Not all cascades are told: the rest is like them. */
  readonly hasMoreCascades: boolean
  readonly singlePoints: readonly SinglePoint[]
  readonly permanentStates: readonly PermanentState[]
  readonly startOrder: StartOrder
  readonly checklist: readonly CheckedComponent[]
  readonly coverage: Coverage
}
