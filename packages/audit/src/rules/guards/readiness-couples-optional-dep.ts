// Readiness that asks for what requests can do without: a database that only workers of a queue write to, and whose outage takes every instance out of rotation.
//   HH5. A readiness is found only where all other calls of that database that its program makes lie in files that consume a queue and serve no route.

import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type HealthRoute, healthRoutesOf } from './health.ts'
import { reachOf } from './reach.ts'

const QUEUES = /^(?:bullmq|bull|kafkajs|amqplib|pika|celery|sqs|rq|dramatiq|nest)$/
const DATABASES = /^(?:postgres|mysql|mongodb)$/

export const readinessCouplesOptionalDep: Rule = {
  meta: {
    id: 'readiness-couples-optional-dep',
    category: 'guards',
    severity: 'medium',
    title: 'Readiness asks for what requests can do without',
    why: 'All instances lose their readiness at the same moment, and an outage of something in the background becomes one of everything.',
    remedies: [
      {
        priority: 'P1',
        text: 'Report it in the body and in metrics, and leave it out of the status; buffer what is written to it.',
        effort: 'XS',
        guarantee: GUARANTEES.health,
      },
    ],
    sources: [
      'Kubernetes: readiness probes take a Pod out of the Service',
      'Amazon Builders’ Library: implementing health checks',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const route of healthRoutesOf(repository)) if (route.kind === 'ready') yield* discoveries(repository, route)
  },
}

/** HH5. */
function* discoveries(repository: Repository, { path, contents, entry }: HealthRoute): Iterable<Discovery> {
  const { calls, clients } = outboundOf(repository)
  const reach = reachOf(repository, path)
  const makers = new Set(clients.map(({ site }) => site.file))
  const asks = new Set(contents.calls)
  for (const asked of calls) {
    if (!DATABASES.test(asked.kind) || asked.site.file !== path || !asks.has(asked.site.call)) continue
    const { consuming, serving } = filesOf(repository)
    // Where its client is made it is only tried.
    const others = calls.filter(
      ({ kind, site: { file } }) =>
        kind === asked.kind && file !== path && reach.has(file) && (!makers.has(file) || consuming.has(file)),
    )
    const [first] = others
    if (first === undefined || !others.every(({ site: { file } }) => consuming.has(file) && !serving.has(file)))
      continue
    yield {
      tier: 'review',
      evidence: [
        seenAt(path, asked.site.call, 'asked before the instance gets traffic'),
        seenAt(first.site.file, first.site.call, 'only work of a queue needs it'),
      ],
      symbol: entry.name,
      symptom: `While ${asked.kind} is down no instance is ready, although requests do not need it.`,
      rootCause: `${entry.name} treats ${asked.kind} like what every request needs; only consumers of a queue use it.`,
    }
  }
}

/** Files that take work from queues, and files that answer requests. */
function filesOf(repository: Repository): {
  readonly consuming: ReadonlySet<string>
  readonly serving: ReadonlySet<string>
} {
  const consuming = new Set<string>()
  const serving = new Set<string>()
  for (const { kind, framework, site, handler } of entriesOf(repository)) {
    if (kind === 'consumer' && QUEUES.test(framework)) consuming.add(site.file)
    if (kind === 'route') serving.add(site.file).add(handler?.file ?? site.file)
  }
  return { consuming, serving }
}
