// For tests: what a rule of guards says of a repository made of texts.

import { findAll } from '../../findings/findings.ts'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { guardsRules } from './index.ts'

export const EXPRESS = "import express from 'express'\nimport axios from 'axios'\nconst app = express()\n"
export const LIMIT = "import rateLimit from 'express-rate-limit'\n"

/** Tier, and the place that it names first. */
export function found(rule: string, texts: Readonly<Record<string, string>>): readonly string[] {
  const rules = guardsRules.filter(({ meta }) => meta.id === rule)
  return findAll(rules, repositoryOf(texts), 0).findings.map(
    ({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.file}:${evidence[0]?.loc?.line}`,
  )
}
