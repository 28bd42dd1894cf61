// Pools of connections at the size that the library gives them, in a process that is told to do more at once; and pools that together hold more connections than
// the database is told to give.
//   OS8. Only where nobody set a size and the concurrency stands as a number in the same component: then it is for review.
//   OS9. Strong is only what two figures of the repository say: workers × pool of one service above `max_connections` of its database.

import type { Call } from '../../facts/facts.ts'
import type { ComposeService } from '../../repository/configuration.ts'
import { isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { type OutboundClient, outboundOf } from '../../system/outbound.ts'
import { contextOf, dockerfileOf, instructionsOf } from '../configuration/builds.ts'
import { standingServices } from '../configuration/projects.ts'
import { lastName, mayHide, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { componentOf, isByHandFile } from './surroundings.ts'

const SIZES = /^(?:max|connectionLimit|pool_size|max_overflow|poolclass|maxPoolSize|creator|pool)$/
const POOLS = /(?:^|\.)(?:Pool|createPool|create_engine|create_async_engine)$/

interface Sized {
  readonly client: OutboundClient
  readonly size: number
  readonly isDefault: boolean
}

export const poolDefaultSize: Rule = {
  meta: {
    id: 'pool-default-size',
    category: 'bounds',
    severity: 'medium',
    title: 'A pool is smaller than what is done at once',
    why: 'What does not get a connection waits for one: the concurrency that was configured is not reached, and under load everybody waits behind the slowest. Where the pools together ask for more than the database gives, connecting fails instead.',
    remedies: [
      {
        priority: 'P2',
        text: 'Choose the size of the pool from what a process does at once, and see that workers × size stays below max_connections.',
        effort: 'XS',
      },
    ],
    sources: [
      'https://node-postgres.com/apis/pool',
      'https://docs.sqlalchemy.org/en/20/core/pooling.html#sqlalchemy.pool.QueuePool',
      'https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-MAX-CONNECTIONS',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const pools = [...poolsOf(repository)]
    if (pools.length === 0) return
    const busy = concurrenciesOf(repository)
    for (const { client, size, isDefault } of pools) {
      const { file, call } = client.site
      const more = isDefault
        ? busy.find(({ component, count }) => component === componentOf(repository, file) && count > size)
        : undefined
      const facts = repository.facts.get(file)
      if (more === undefined || facts === undefined) continue
      yield {
        tier: 'review',
        cause: `pools in ${more.component}`,
        symbol: symbolOf(facts, call.block),
        symptom: `Of ${more.count} that work at once, ${more.count - size} may wait for a connection.`,
        rootCause: `The pool has the ${size} connections that ${client.library} gives it by itself.`,
        evidence: [
          seenAt(file, call, `No size is set: ${size}.`),
          seenAt(more.file, more.call, `${more.count} are worked on at once.`),
        ],
      }
    }
    yield* exceeded(repository, pools)
  },
}

function* poolsOf(repository: Repository): Iterable<Sized> {
  for (const client of outboundOf(repository).clients) {
    const { call, file } = client.site
    const facts = repository.facts.get(file)
    const given = client.knowledge.pool?.size
    if (given === undefined || !POOLS.test(call.callee.text) || facts === undefined || isByHandFile(repository, facts))
      continue
    const isSql = client.library === 'sqlalchemy'
    // An object from elsewhere may set anything, and so may the query of an address.
    if (mayHide(call) || (!isSql && call.args.some((arg) => arg.kind !== 'object'))) continue
    const names = [
      ...call.named.map(([name]) => name),
      ...call.args.flatMap((arg) => (arg.kind === 'object' ? arg.entries.map(([name]) => name) : [])),
    ]
    const isDefault = !names.some((name) => SIZES.test(name))
    if (isDefault) yield { client, size: isSql ? given + 10 : given, isDefault }
    else {
      const size = sizeOf(call, isSql)
      if (size !== undefined) yield { client, size, isDefault }
    }
  }
}

function sizeOf(call: Call, isSql: boolean): number | undefined {
  const number = (name: string, fallback?: number): number | undefined => {
    const value = optionOf(call, name)
    return value === undefined ? fallback : value.kind === 'number' ? value.value : undefined
  }
  if (!isSql) return number('max') ?? number('connectionLimit')
  const [size, more] = [number('pool_size', 5), number('max_overflow', 10)]
  return size === undefined || more === undefined || more < 0 || optionOf(call, 'poolclass') !== undefined
    ? undefined
    : size + more
}

interface Busy {
  readonly component: string
  readonly count: number
  readonly file: string
  readonly call: Call
}

/** `new Worker(name, work, { concurrency: 50 })`, `queue.process(50, work)`. */
function concurrenciesOf(repository: Repository): readonly Busy[] {
  const found: Busy[] = []
  for (const facts of repository.facts.values()) {
    const isQueue = facts.imports.some(({ module }) =>
      /^(?:bullmq|bull|@nestjs\/bullmq?|pg-boss|bee-queue)$/.test(module),
    )
    for (const call of isQueue ? facts.calls : []) {
      const name = lastName(call.callee)
      const [first] = call.args
      const value =
        name === 'Worker' || name === 'Processor'
          ? optionOf(call, 'concurrency')
          : name === 'process' && call.args.length > 1
            ? first
            : undefined
      if (value?.kind === 'number' && !isByHandFile(repository, facts))
        found.push({ component: componentOf(repository, facts.file), count: value.value, file: facts.file, call })
    }
  }
  return found
}

/** OS9. */
function* exceeded(repository: Repository, pools: readonly Sized[]): Iterable<Discovery> {
  for (const { project, service } of standingServices(repository)) {
    const context = contextOf(repository, service.build)
    const workers = context === undefined ? undefined : workersOf(repository, service)
    if (context === undefined || workers === undefined) continue
    const own = pools.filter(({ client }) => client.kind !== 'mongodb' && isBelow(client.site.file, context))
    const [only] = own
    if (only === undefined || own.length > 1) continue
    for (const name of service.dependsOn.keys()) {
      const database = project.services.get(name)
      const most = Number(/\bmax_connections=(\d+)/.exec(database?.command?.value ?? '')?.[1])
      const needed = workers * Math.max(1, service.replicas) * only.size
      if (database?.command === undefined || !(needed > most)) continue
      yield {
        tier: 'strong',
        severity: 'high',
        symbol: service.name,
        component: service.name,
        symptom: `Under load ${service.name} opens ${needed} connections, and ${name} refuses those above ${most}.`,
        rootCause: `${workers} workers with up to ${only.size} connections each are more than the database is told to give.`,
        evidence: [
          seenAt(only.client.site.file, only.client.site.call, `Up to ${only.size} connections in each process.`),
          { provenance: 'config', loc: database.command.loc, what: `${name} gives ${most} connections.` },
        ],
      }
    }
  }
}

function workersOf(repository: Repository, service: ComposeService): number | undefined {
  const dockerfile = dockerfileOf(repository, service)
  const last = instructionsOf(dockerfile?.stages ?? []).findLast(({ name }) => name === 'CMD')
  const text = (service.command?.value ?? last?.text ?? '').replace(/["',[\]]+/g, ' ')
  const count = /\b(?:gunicorn|uvicorn|hypercorn)\b[^\n]*?\s(?:--workers|-w)[\s=]+(\d+)/.exec(text)?.[1]
  return count === undefined ? undefined : Number(count)
}
