// The rules of errors, of promises, and of retries.

import { promisesRules } from '../promises/index.ts'
import { retriesRules } from '../retries/index.ts'
import type { Rule } from '../rule.ts'
import { errorLeak } from './error-leak.ts'
import { fakeSuccess } from './fake-success.ts'
import { fatalStartSwallowed } from './fatal-start-swallowed.ts'
import { guardCannotFire } from './guard-cannot-fire.ts'
import { catchScopeTooBroad, rollbackMasksError } from './masked.ts'
import { missingMethod } from './missing-method.ts'
import { swallowedError } from './swallowed-error.ts'
import { typeMismatch } from './type-mismatch.ts'
import { alertNotImplemented, broadcastAbort } from './unfinished.ts'

export const errorsRules: readonly Rule[] = [
  guardCannotFire,
  fatalStartSwallowed,
  fakeSuccess,
  missingMethod,
  typeMismatch,
  swallowedError,
  catchScopeTooBroad,
  broadcastAbort,
  alertNotImplemented,
  rollbackMasksError,
  errorLeak,
  ...promisesRules,
  ...retriesRules,
]
