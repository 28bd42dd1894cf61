// The rules of messages.

import type { Rule } from '../rule.ts'

export const messagesRules: readonly Rule[] = []
