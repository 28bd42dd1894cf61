// For tests of rules: what they discover in a repository made of texts, as `tier line` of each discovery's first place; with its file, where there are several.

import { repositoryOf } from '../repository/repository.fixture.ts'
import type { Rule } from './rule.ts'

export function foundIn(rule: Rule, texts: Readonly<Record<string, string>>): readonly string[] {
  const isOne = Object.keys(texts).length === 1
  return [...rule.run(repositoryOf(texts))].map(({ tier, evidence }) => {
    const loc = evidence[0]?.loc
    return `${tier} ${isOne ? '' : `${loc?.file}:`}${loc?.line}`
  })
}
