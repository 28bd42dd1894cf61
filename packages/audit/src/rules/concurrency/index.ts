// The rules of concurrency.

import type { Rule } from '../rule.ts'

export const concurrencyRules: readonly Rule[] = []
