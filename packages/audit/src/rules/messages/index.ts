// The rules of messages and of what they set off.

import type { Rule } from '../rule.ts'
import { ackOnFailure } from './ack-on-failure.ts'
import { dualWrite } from './dual-write.ts'
import { messageLoss } from './message-loss.ts'
import { messageLossAck } from './message-loss-ack.ts'
import { messageNoRedelivery } from './message-no-redelivery.ts'
import { noDlq } from './no-dlq.ts'
import { orphanSubscription } from './orphan-subscription.ts'
import { retryTtlLoss } from './retry-ttl-loss.ts'
import { stateTtl } from './state-ttl.ts'
import { wsReconnectNoResync } from './ws-reconnect-no-resync.ts'

export const messagesRules: readonly Rule[] = [
  messageLoss,
  retryTtlLoss,
  messageLossAck,
  ackOnFailure,
  messageNoRedelivery,
  noDlq,
  stateTtl,
  dualWrite,
  orphanSubscription,
  wsReconnectNoResync,
]
