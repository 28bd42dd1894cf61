// Clients of stores that lack a deadline: what they lack, and what keeps a lack silent because it is made up for elsewhere.
//   QU1. Of Redis: a client that listens and is asked other things as well is found; one that only listens, or waits for work, is not.

import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { findOption } from '../../system/options.ts'
import { type OutboundClient, outboundOf } from '../../system/outbound.ts'
import { isByHandFile } from './surroundings.ts'

export interface LackingClient {
  readonly client: OutboundClient
  readonly lacks: readonly ('connect' | 'answer')[]
}

/** Pools: the calls of many requests go through them. A single connection that lacks only one of both is for short work, as a rule. */
const SINGLE = new Set(['psycopg2.connect', 'psycopg.connect', 'asyncpg.connect'])

/** Clients of these libraries that wait for ever for a connection or for an answer. */
export function* lackingClients(repository: Repository, libraries: ReadonlySet<string>): Iterable<LackingClient> {
  for (const client of outboundOf(repository).clients) {
    const facts = repository.facts.get(client.site.file)
    if (facts === undefined || !libraries.has(client.library) || isByHandFile(repository, facts)) continue
    const { deadline, connect } = client
    const lacks = (['connect', 'answer'] as const).filter(
      (what) => (what === 'connect' ? connect : deadline).state === 'absent',
    )
    if (lacks.length === 0 || (deadline.state !== 'absent' && connect.state !== 'absent')) continue
    if (deadline.state === 'present' && connect.state === 'absent' && client.kind === 'redis') continue
    if (SINGLE.has(client.site.call.callee.text) && !lacks.includes('connect')) continue
    if (isMadeUpFor(repository, client)) continue
    yield { client, lacks }
  }
}

/** `SET statement_timeout` on connecting, or a server that is started with one. */
function isMadeUpFor(repository: Repository, { kind, site }: OutboundClient): boolean {
  if (kind === 'redis') return isForQueues(repository, site)
  const facts = repository.facts.get(site.file)
  // In the process, or a file: nobody is waited for.
  const type = findOption({ program: programOf(repository.facts), site, names: ['type', 'dialect'] }, 0)
  const [address] = site.call.args
  if (address?.kind === 'string' && address.value.startsWith('sqlite')) return true
  if (typeof type === 'object' && type.value.kind === 'string' && /sqlite|sqljs/.test(type.value.value)) return true
  const isSetByQuery = facts?.calls.some(({ args }) =>
    args.some((arg) => arg.kind === 'string' && /\b(?:statement_timeout|max_execution_time)\b/i.test(arg.value)),
  )
  return isSetByQuery === true || isServerBounded(repository)
}

const SERVERS = new WeakMap<Repository, boolean>()

function isServerBounded(repository: Repository): boolean {
  const kept = SERVERS.get(repository)
  if (kept !== undefined) return kept
  const found = repository.configuration.compose.some(({ services }) =>
    [...services.values()].some(({ command, environment }) =>
      [command?.value, ...[...environment.values()].map(({ value }) => value)].some((text) =>
        /statement_timeout/.test(text ?? ''),
      ),
    ),
  )
  SERVERS.set(repository, found)
  return found
}

/** Blocking commands of a queue wait as long as they are told to: a deadline would break them. */
function isForQueues(repository: Repository, { call, file }: OutboundClient['site']): boolean {
  const isEndless = [...call.args, ...call.named.map(([, value]) => value)].some(
    (arg) =>
      arg.kind === 'object' &&
      arg.entries.some(([name, value]) => name === 'maxRetriesPerRequest' && value.kind === 'null'),
  )
  const { target } = call
  if (isEndless || target === undefined) return isEndless
  const asked = (repository.facts.get(file)?.calls ?? []).flatMap(({ callee }) =>
    callee.isOwn === target.isOwn && callee.text.startsWith(`${target.text}.`)
      ? [callee.text.slice(target.text.length + 1)]
      : [],
  )
  // QU1. `pubsub()` of Python listens on a connection of its own: what else is asked of the client is waited for.
  if (asked.includes('pubsub')) return !asked.some((method) => COMMANDS.test(method))
  return asked.some((method) => WAITING.test(method))
}

const WAITING =
  /^(?:subscribe|psubscribe|pSubscribe|brpop|blpop|bRPop|bLPop|brPop|blPop|xread|xreadgroup|xReadGroup|xRead|monitor|bzpopmin)$/
const COMMANDS =
  /^(?:get|set|setex|mget|delete|exists|expire|incr|decr|publish|hget|hset|hgetall|lpush|rpush|lrange|sadd|srem|smembers|zadd|zrange|xadd|ping|eval)$/
