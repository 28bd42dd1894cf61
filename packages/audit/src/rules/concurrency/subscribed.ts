// Handlers of messages that may come twice: those of brokers with groups, queues or acknowledgements, also through a bus of the repository's own that is given a group.

import { type BlockRef, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { lastName } from '../queries.ts'

export interface Subscribed {
  readonly handler: BlockRef
  readonly what: string
}

/** Of libraries that deliver at least once. Sockets and events within the process don't. */
const BROKERS =
  /^(?:amqplib|kafkajs|kafka\w*|aiokafka|pika|aio_pika|kombu|sqs\w*|pubsub|bullmq|bull|lambda|nats|azure\w*|rq|celery)$/
const SUBSCRIBES = /^(?:subscribe|consume|register_consumer|add_consumer|addConsumer|on_message)$/
const GROUPS = /^(?:consumer_?group|group|group_?id|queue|queue_?name|subscription|durable)$/i

export function* subscribedOf(repository: Repository): Iterable<Subscribed> {
  for (const { kind, framework, name, handler } of entriesOf(repository))
    if (kind === 'consumer' && handler !== undefined && BROKERS.test(framework) && framework !== 'celery')
      yield { handler, what: name === '' ? 'a message' : `a message of ${name}` }
  const program = programOf(repository.facts)
  for (const path of program.files) {
    const file = program.file(path)
    for (const call of file?.facts.calls ?? []) {
      if (!SUBSCRIBES.test(lastName(call.callee)) || !call.named.some(([given]) => GROUPS.test(given))) continue
      const given = [...call.args, ...call.named.map(([, value]) => value)].filter((value) => value.kind === 'path')
      for (const value of given) {
        const handler =
          value.kind === 'path'
            ? program.target({ file: path, call: { ...call, callee: value.path, on: -1 } })
            : undefined
        if (handler !== undefined) yield { handler, what: 'a message' }
      }
    }
  }
}
