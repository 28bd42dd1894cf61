// The rules of retries.

import type { Rule } from '../rule.ts'
import { retryConstantBackoff, retryNoJitter } from './retry-no-jitter.ts'
import { retryNoBackoff, retryUnbounded } from './retry-unbounded.ts'

export const retriesRules: readonly Rule[] = [retryUnbounded, retryNoBackoff, retryConstantBackoff, retryNoJitter]
