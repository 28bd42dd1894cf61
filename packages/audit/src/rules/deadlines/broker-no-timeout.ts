// Connections to message brokers without a bound: a broker that accepts and says nothing, or that blocks its publishers, stops the service that talks to it.
//   DN11. Kafka's clients have bounds of their own and are silent.
//   QN3. Only the wait counts that was measured to have no end: connecting with amqplib and aio-pika, a broker that blocks with pika.

import type { Repository } from '../../repository/repository.ts'
import { type OutboundClient, outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { componentOf, isByHandFile } from './surroundings.ts'

const HANDSHAKE = 'Connecting waits for the handshake of the broker for as long as it takes.'

/** Which wait of a library has no end, and what that is. */
const MISSING: ReadonlyMap<string, readonly [which: 'connect' | 'deadline', what: string]> = new Map([
  ['amqplib', ['connect', HANDSHAKE]],
  ['aio-pika', ['connect', HANDSHAKE]],
  [
    'pika',
    [
      'deadline',
      'A broker that blocks publishing (memory, disk) is waited for without end: blocked_connection_timeout is not set.',
    ],
  ],
])

export const brokerNoTimeout: Rule = {
  meta: {
    id: 'broker-no-timeout',
    category: 'deadlines and retries',
    severity: 'medium',
    title: 'A broker is waited for without a deadline',
    why: 'A broker under memory or disk pressure keeps connections open and reads nothing. Publishers then wait inside of their call, with whatever request they serve.',
    remedies: [
      {
        priority: 'P2',
        text: 'amqplib: connect(url, { timeout }); aio-pika: connect_robust(url, timeout=…); pika: blocked_connection_timeout and heartbeat; publish with confirms under a deadline.',
        effort: 'XS',
        guarantee: GUARANTEES.deadline,
      },
    ],
    sources: [
      'https://www.rabbitmq.com/docs/connection-blocked',
      'https://pika.readthedocs.io/en/stable/modules/parameters.html',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const client of outboundOf(repository).clients) {
      const facts = repository.facts.get(client.site.file)
      const missing = MISSING.get(client.library)
      if (facts === undefined || missing === undefined) continue
      const [which, what] = missing
      if (client[which].state === 'absent' && !isByHandFile(repository, facts))
        yield discovery(repository, client, what)
    }
  },
}

function discovery(repository: Repository, { site, library }: OutboundClient, missing: string): Discovery {
  const facts = repository.facts.get(site.file)
  return {
    tier: 'strong',
    evidence: [seenAt(site.file, site.call, missing)],
    cause: `${library} without a deadline in ${componentOf(repository, site.file)}`,
    symbol: facts === undefined ? '' : symbolOf(facts, site.call.block),
    symptom: 'While the broker is in trouble, requests that publish hang instead of failing.',
    rootCause: missing,
  }
}
