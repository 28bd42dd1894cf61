// The rules of errors.

import type { Rule } from '../rule.ts'
import { swallowedError } from './swallowed-error.ts'

export const errorsRules: readonly Rule[] = [swallowedError]
