// The rules of promises.

import type { Rule } from '../rule.ts'
import { floatingPromise } from './floating-promise.ts'
import { unhandledErrorEvent } from './unhandled-error-event.ts'
import { unhandledRejection } from './unhandled-rejection.ts'

export const promisesRules: readonly Rule[] = [unhandledRejection, unhandledErrorEvent, floatingPromise]
