// The rules of lifecycle.

import type { Rule } from '../rule.ts'
import { fatalOnStart } from './fatal-on-start.ts'
import { missingGracefulShutdown } from './missing-graceful-shutdown.ts'
import { recoveryPathMissing } from './recovery-path-missing.ts'
import { shutdownNoDeadline } from './shutdown-no-deadline.ts'
import { shutdownNotAwaited } from './shutdown-not-awaited.ts'
import { shutdownOrder } from './shutdown-order.ts'

export const lifecycleRules: readonly Rule[] = [
  missingGracefulShutdown,
  shutdownNotAwaited,
  shutdownOrder,
  shutdownNoDeadline,
  fatalOnStart,
  recoveryPathMissing,
]
