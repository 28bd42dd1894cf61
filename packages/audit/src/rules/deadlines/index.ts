// The rules of deadlines.

import type { Rule } from '../rule.ts'

export const deadlinesRules: readonly Rule[] = []
