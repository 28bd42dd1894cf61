// The registry of rules.

import { boundsRules } from './bounds/index.ts'
import { concurrencyRules } from './concurrency/index.ts'
import { configurationRules } from './configuration/index.ts'
import { deadlinesRules } from './deadlines/index.ts'
import { documentsRules } from './documents/index.ts'
import { errorsRules } from './errors/index.ts'
import { guardsRules } from './guards/index.ts'
import { lifecycleRules } from './lifecycle/index.ts'
import { messagesRules } from './messages/index.ts'
import { permanentFailureState } from './permanent-failure/permanent-failure-state.ts'
import type { Rule } from './rule.ts'
import { securityRules } from './security/index.ts'

/** In the order in which reports list them within a category. */
export const RULES: readonly Rule[] = [
  permanentFailureState,
  ...deadlinesRules,
  ...errorsRules,
  ...guardsRules,
  ...concurrencyRules,
  ...messagesRules,
  ...boundsRules,
  ...lifecycleRules,
  ...securityRules,
  ...configurationRules,
  ...documentsRules,
]

export function ruleById(id: string): Rule | undefined {
  return RULES.find(({ meta }) => meta.id === id)
}
