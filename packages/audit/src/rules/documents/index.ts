// The rules of documents.

import type { Rule } from '../rule.ts'

export const documentsRules: readonly Rule[] = []
