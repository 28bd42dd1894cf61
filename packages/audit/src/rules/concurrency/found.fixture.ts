// For tests: what a rule says of texts, as `tier file:line`, each place of a finding's first evidence.

import { findAll } from '../../findings/findings.ts'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import type { Rule } from '../rule.ts'

/** Of one text, and of others that stand beside it. */
export function foundBy(rule: Rule, texts: Readonly<Record<string, string>>): readonly string[] {
  const { findings, brokenRules } = findAll([rule], repositoryOf(texts), 0)
  if (brokenRules.length > 0) throw new Error(brokenRules[0]?.message)
  return findings.map(({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.file}:${evidence[0]?.loc?.line}`)
}
