// The rules of guards.

import type { Rule } from '../rule.ts'

export const guardsRules: readonly Rule[] = []
