// Findings. What is wrong, where, what it takes down, how to see it, and what to do. Findings of one root cause are one finding with
// many pieces of evidence.

import type { Evidence } from './evidence.ts'

export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const
export type Severity = (typeof SEVERITIES)[number]

/** strong: static, nothing unknown on the way. review: something could not be resolved. confirmed: seen in an experiment. */
export const TIERS = ['confirmed', 'strong', 'review'] as const
export type Tier = (typeof TIERS)[number]

export const FINDING_STATUSES = ['suspected', 'confirmed', 'refuted', 'inconclusive', 'fixed', 'verified'] as const
export type FindingStatus = (typeof FINDING_STATUSES)[number]

export const PRIORITIES = ['P0', 'P1', 'P2', 'P3'] as const
export type Priority = (typeof PRIORITIES)[number]

/** Hours of one engineer, as classes: XS <= 1, S <= 4, M <= 16, L <= 40, XL more. */
export const EFFORTS = ['XS', 'S', 'M', 'L', 'XL'] as const
export type Effort = (typeof EFFORTS)[number]

export interface Remedy {
  readonly priority: Priority
  readonly text: string
  readonly effort: Effort
  /** What of @ripstop/kernel mends it, with the call; undefined: nothing of ours does. */
  readonly guarantee?: string
}

/** How to see it happen: a recipe that fits the place, not a measurement. Nothing of it was run on what is audited. */
export interface Reproduction {
  /** Of rules/demonstrations. */
  readonly demonstration: string
  /** The route, message, timer or signal that leads to the place, where one was found. */
  readonly through: string | undefined
  /** Commands begin with `$ `. */
  readonly steps: readonly string[]
  /** What is seen where the fault is there, and what instead once it is mended. */
  readonly expected: string
  readonly mended: string
}

export interface Finding {
  /** Stable over changes elsewhere in the file: rule, file, enclosing symbol and normalised text, never the line. */
  readonly fingerprint: string
  readonly rule: string
  readonly severity: Severity
  readonly tier: Tier
  readonly status: FindingStatus
  readonly title: string
  /** What its users see. */
  readonly symptom: string
  readonly rootCause: string
  /** Names of components that stop or degrade with it. */
  readonly component: string | undefined
  readonly link: string | undefined
  /** At least one with a place. The first is where a reader should look. */
  readonly evidence: readonly Evidence[]
  /** Undefined until the graph is complete, and where nothing has to be run: the place itself shows it. */
  readonly reproduction: Reproduction | undefined
  readonly remedies: readonly Remedy[]
  /** From CODEOWNERS; undefined: unassigned. */
  readonly owner: string | undefined
  readonly suppressed: { readonly reason: string; readonly until: string | undefined } | undefined
}
