// What all rules of this folder share: their category, one remedy, a link to what they rest on.

import type { Remedy, Severity } from '../../model/finding.ts'
import type { Category, RuleMeta } from '../rule.ts'

export type { Discovery, Rule } from '../rule.ts'

export interface Deployment {
  readonly id: string
  readonly category?: Category
  readonly severity: Severity
  readonly title: string
  readonly why: string
  readonly remedy: Remedy
  readonly sources: readonly string[]
}

export function at({ category = 'deployment', remedy, ...rest }: Deployment): RuleMeta {
  return { ...rest, category, remedies: [remedy] }
}
