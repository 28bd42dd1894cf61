// The rules of deadlines.

import type { Rule } from '../rule.ts'
import { brokerNoTimeout } from './broker-no-timeout.ts'
import { clientPerRequest } from './client-per-request.ts'
import { dbNoTimeout } from './db-no-timeout.ts'
import { httpNoTimeout } from './http-no-timeout.ts'
import { httpStatusUnchecked } from './http-status-unchecked.ts'
import { no429Handling } from './no-429-handling.ts'
import { poolDefaultSize } from './pool-default-size.ts'
import { poolNoTimeout } from './pool-no-timeout.ts'
import { rpcNoTimeout } from './rpc-no-timeout.ts'
import { unboundedWait } from './unbounded-wait.ts'
import { workflowStepNoTimeout } from './workflow-step-no-timeout.ts'

export const deadlinesRules: readonly Rule[] = [
  httpNoTimeout,
  rpcNoTimeout,
  dbNoTimeout,
  brokerNoTimeout,
  poolNoTimeout,
  poolDefaultSize,
  unboundedWait,
  workflowStepNoTimeout,
  httpStatusUnchecked,
  no429Handling,
  clientPerRequest,
]
