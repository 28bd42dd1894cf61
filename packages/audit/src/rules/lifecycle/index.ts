// The rules of lifecycle.

import type { Rule } from '../rule.ts'

export const lifecycleRules: readonly Rule[] = []
