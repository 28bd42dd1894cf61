// The rules of documents.

import type { Rule } from '../rule.ts'
import { documentDrift } from './document-drift.ts'

export const documentsRules: readonly Rule[] = [documentDrift]
