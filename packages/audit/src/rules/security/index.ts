// The rules of security.

import type { Rule } from '../rule.ts'
import { corsPermissive } from './cors-permissive.ts'
import { debugInProduction } from './debug-in-production.ts'
import { defaultSecret } from './default-secret.ts'
import { hardcodedSecret } from './hardcoded-secret.ts'
import { jwtUnverified } from './jwt-unverified.ts'
import { secretInClear } from './secret-in-clear.ts'
import { sharedSecret } from './shared-secret.ts'
import { timingUnsafeComparison } from './timing-unsafe-comparison.ts'
import { tlsVerificationOff } from './tls-verification-off.ts'
import { unvalidatedInput } from './unvalidated-input.ts'

export const securityRules: readonly Rule[] = [
  unvalidatedInput,
  hardcodedSecret,
  defaultSecret,
  sharedSecret,
  secretInClear,
  jwtUnverified,
  tlsVerificationOff,
  corsPermissive,
  debugInProduction,
  timingUnsafeComparison,
]
