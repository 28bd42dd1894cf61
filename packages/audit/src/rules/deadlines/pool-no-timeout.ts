// Engines of SQLAlchemy as they come: no bound for connecting or for statements, and a wait for the pool that nobody chose.
//   DN6. An engine that sets pool_timeout, or timeouts in connect_args, or that is of SQLite or without a pool, is silent.
//   QR1. What is chosen between SQLite's own argument and nothing bounds nothing.

import type { Value } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type OutboundClient, outboundOf } from '../../system/outbound.ts'
import { constantOf, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { componentOf, isByHandFile } from './surroundings.ts'

export const poolNoTimeout: Rule = {
  meta: {
    id: 'pool-no-timeout',
    category: 'deadlines and retries',
    severity: 'medium',
    title: 'A pool of database connections has no bound of time',
    why: 'Statements take as long as they like and keep their connection; with five and ten more connections gone everybody else waits half a minute and then fails, all at once.',
    remedies: [
      {
        priority: 'P2',
        text: 'Set pool_timeout to what a request can wait, connect_args with connect_timeout and options="-c statement_timeout=…", and pool_pre_ping=True.',
        effort: 'XS',
      },
    ],
    sources: [
      'https://docs.sqlalchemy.org/en/20/core/engines.html#sqlalchemy.create_engine.params.pool_timeout',
      'https://docs.sqlalchemy.org/en/20/core/pooling.html#disconnect-handling-pessimistic',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const client of outboundOf(repository).clients) {
      const facts = repository.facts.get(client.site.file)
      if (facts === undefined || client.library !== 'sqlalchemy' || isByHandFile(repository, facts)) continue
      if (client.deadline.state !== 'absent' || client.connect.state !== 'absent' || isSettled(repository, client))
        continue
      yield discovery(repository, client)
    }
  },
}

/** DN6. */
function isSettled(repository: Repository, { site: { file, call } }: OutboundClient): boolean {
  if (call.hasSpread || optionOf(call, 'pool_timeout') !== undefined || optionOf(call, 'creator') !== undefined)
    return true
  const pool = optionOf(call, 'poolclass')
  if (pool?.kind === 'path' && /(?:^|\.)(?:NullPool|StaticPool)$/.test(pool.path.text)) return true
  const given = optionOf(call, 'connect_args')
  if (given !== undefined && !isWithoutTimeout(constantOf(programOf(repository.facts), file, given))) return true
  const [url] = call.args
  const address = url === undefined ? undefined : constantOf(programOf(repository.facts), file, url)
  return address !== undefined && startsAs(address, 'sqlite')
}

function isWithoutTimeout(value: Value): boolean {
  if (value.kind === 'operation' && value.operator === '?:') {
    const sides = [value.left, value.right]
    return sides.some(isWithoutTimeout) && sides.every((side) => isWithoutTimeout(side) || isOfSqlite(side))
  }
  return (
    value.kind === 'object' &&
    !value.hasSpread &&
    !value.entries.some(([name]) => /timeout|options|settings|check_same_thread/.test(name))
  )
}

/** QR1. What only SQLite takes, where the other side of the choice is for the database that is deployed. */
function isOfSqlite(value: Value): boolean {
  return value.kind === 'object' && !value.hasSpread && value.entries.every(([name]) => name === 'check_same_thread')
}

function startsAs(value: Value, scheme: string): boolean {
  const text = value.kind === 'string' ? value.value : value.kind === 'template' ? (value.parts[0] ?? '') : ''
  return text.startsWith(scheme)
}

function discovery(repository: Repository, { site }: OutboundClient): Discovery {
  const facts = repository.facts.get(site.file)
  return {
    tier: 'strong',
    evidence: [
      seenAt(site.file, site.call, 'The engine bounds neither connecting nor statements, and waits 30 s for its pool.'),
    ],
    cause: `engines in ${componentOf(repository, site.file)}`,
    symbol: facts === undefined ? '' : symbolOf(facts, site.call.block),
    symptom: 'A slow database, or a few slow statements, stop every request for half a minute at a time.',
    rootCause: 'The engine is made with the defaults of SQLAlchemy, which know no timeout but the one of the pool.',
  }
}
