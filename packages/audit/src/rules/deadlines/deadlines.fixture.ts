// For tests of these rules: what one of them says of a few texts.

import { findAll } from '../../findings/findings.ts'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import type { Rule } from '../rule.ts'

/** `tier line` of every first evidence, by file and line. */
export function foundBy(rule: Rule, files: Readonly<Record<string, string>>): readonly string[] {
  const { findings, brokenRules } = findAll([rule], repositoryOf(files), 0)
  if (brokenRules.length > 0) throw new Error(JSON.stringify(brokenRules))
  return findings.flatMap(({ tier, evidence }) => evidence.map(({ loc }) => `${tier} ${loc?.line}`))
}
