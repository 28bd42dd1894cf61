// Effects that happen again when a message, a webhook or an attempt comes twice: brokers and senders of webhooks deliver at least once, and a retry repeats what was
// done before the answer got lost.
//   CU18. A handler of messages of a broker, or of signed webhooks, that makes something new, moves a state on, or sends something is found where nothing on its way
//         looks at the message's id, a key, or what is there already.
//   CU19. A payment that is made within a retry or a consumer without an idempotency key is found.

import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { keylessPayments } from './payments.ts'
import { runsAlone } from './places.ts'
import { effectOf } from './redelivery.ts'
import { subscribedOf } from './subscribed.ts'

export const missingIdempotency: Rule = {
  meta: {
    id: 'missing-idempotency',
    category: 'messages and effects',
    severity: 'high',
    title: 'Coming twice, it happens twice',
    why: 'Every broker and every sender of webhooks sends again when the acknowledgement got lost, and so does every retry. What is not keyed by the message is done again: a second order, a second charge, a step of a workflow that is left out.',
    remedies: [
      {
        priority: 'P1',
        text: 'Key the effect by the id of the message: a unique column for it in the same transaction, SET NX of it before the effect, or the idempotency key that the other side takes.',
        effort: 'M',
        guarantee: GUARANTEES.onceIn,
      },
    ],
    sources: [
      'https://docs.stripe.com/api/idempotent_requests',
      'Hohpe and Woolf, Enterprise Integration Patterns, 2003: Idempotent Receiver',
      'CWE-837',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const seen = new Set<string>()
    for (const { handler, what } of [...subscribedOf(repository), ...webhooksOf(repository)]) {
      const key = `${handler.file} ${handler.block}`
      if (seen.has(key) || runsAlone(handler.file) || /\.(?:tsx|jsx)$/.test(handler.file)) continue
      seen.add(key)
      const file = program.file(handler.file)
      const effect = file === undefined ? undefined : effectOf(repository, program, handler)
      if (file === undefined || effect === undefined) continue
      yield {
        tier: effect.tier,
        symbol: symbolOf(file.facts, handler.block),
        symptom: `When ${what} is delivered a second time, ${effect.what} again.`,
        rootCause:
          'Nothing on its way looks at the id of the message, and what it does is not keyed by anything in it.',
        evidence: effect.places.map(({ file: path, call, what: seen }) => seenAt(path, call, seen)),
      }
    }
    yield* keylessPayments(repository, program)
  },
}

interface Redelivered {
  readonly handler: { readonly file: string; readonly block: number }
  readonly what: string
}

/** Routes that take signed webhooks of others. */
function* webhooksOf(repository: Repository): Iterable<Redelivered> {
  for (const { kind, name, handler } of entriesOf(repository)) {
    if (kind !== 'route' || handler === undefined || !/^POST\b.*(?:web)?hooks?(?:\/|$|[a-z-]*$)/i.test(name)) continue
    if (/\/webhooks?\/(?:endpoints|deliver|subscri|test|retry|register)|\/webhooks$/i.test(name)) continue
    const text = repository.files.read(handler.file) ?? ''
    const isSigned = /constructEvent|construct_event|verify_?(?:webhook|signature|header)|signature|hmac|x-hub-/i.test(
      text,
    )
    if (isSigned) yield { handler, what: `the webhook ${name}` }
  }
}
