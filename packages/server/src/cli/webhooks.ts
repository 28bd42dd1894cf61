// `ripstop webhooks`: endpoints, deliveries and what became of them.

import { createGroup } from './verbs.ts'
import { checkVerbs } from './webhooks-check.ts'
import { deadLetterVerbs } from './webhooks-dead-letters.ts'
import { deliveryVerbs } from './webhooks-deliveries.ts'
import { endpointVerbs } from './webhooks-endpoints.ts'
import { listenVerbs } from './webhooks-listen.ts'
import { replayVerbs } from './webhooks-replay.ts'
import { secretVerbs } from './webhooks-secrets.ts'

export const webhooks = createGroup('webhooks', 'endpoints, deliveries, why, dead letters, replays, live', [
  ...endpointVerbs,
  ...secretVerbs,
  ...deliveryVerbs,
  ...deadLetterVerbs,
  ...replayVerbs,
  ...listenVerbs,
  ...checkVerbs,
])
