// The registry of rules.

import { configurationRules } from './configuration/index.ts'
import { permanentFailureState } from './permanent-failure-state.ts'
import type { Rule } from './rule.ts'
import { swallowedError } from './swallowed-error.ts'

/** In the order in which reports list them within a category. */
export const RULES: readonly Rule[] = [permanentFailureState, swallowedError, ...configurationRules]

export function ruleById(id: string): Rule | undefined {
  return RULES.find(({ meta }) => meta.id === id)
}
