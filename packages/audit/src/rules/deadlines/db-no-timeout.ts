// Databases and caches without a deadline: the place where the client or pool is made. Found is a client whose answers are waited for without end, or whose
// connection is; silent are the libraries that have defaults, and servers that end statements themselves.
//   DN4. A deadline for connecting is none for answers: a pool that has only the first is found, and the finding says which one is missing.
//   DN5. What cannot be seen (a configuration from elsewhere) is not found.

import type { Evidence } from '../../model/evidence.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { djangoStores } from './django-stores.ts'
import { type LackingClient, lackingClients } from './stores.ts'
import { componentOf } from './surroundings.ts'

const LIBRARIES: ReadonlySet<string> = new Set([
  'pg',
  'postgres',
  'mysql2',
  'ioredis',
  'redis',
  'knex',
  'sequelize',
  'typeorm',
  'psycopg2',
  'psycopg_pool',
  'asyncpg',
  'mysqlclient',
  'pymysql',
  'aiomysql',
  'pymongo',
])

export const dbNoTimeout: Rule = {
  meta: {
    id: 'db-no-timeout',
    category: 'deadlines and retries',
    severity: 'medium',
    title: 'A database or cache is asked without a deadline',
    why: 'A server that hangs, or a network that drops packets, leaves a command waiting until TCP gives up, which takes a quarter of an hour and more. Each keeps its connection, the pool runs dry, and requests that need no database wait as well.',
    remedies: [
      {
        priority: 'P1',
        text: 'Set both where the client is made: a deadline for connecting and one for answers (pg: connectionTimeoutMillis and statement_timeout or query_timeout; redis-py: socket_connect_timeout and socket_timeout; ioredis: commandTimeout; asyncpg: command_timeout).',
        effort: 'XS',
        guarantee: GUARANTEES.stores,
      },
    ],
    sources: [
      'https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT',
      'CWE-1088: synchronous access of remote resource without timeout',
      'RFC 9293 section 3.8.3: a connection without answers is given up after 100 seconds at the earliest',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const lacking of lackingClients(repository, LIBRARIES)) yield discovery(repository, lacking)
    yield* djangoStores(repository)
  },
}

function discovery(repository: Repository, { client, lacks }: LackingClient): Discovery {
  const { site, library, deadline, connect } = client
  const facts = repository.facts.get(site.file)
  const missing = lacks.map((what) => (what === 'connect' ? 'connecting' : 'answers')).join(' and ')
  const absent = deadline.state === 'absent' ? deadline : connect
  return {
    tier: 'strong',
    evidence: [
      ...configured(repository, client, missing),
      {
        ...seenAt(site.file, site.call, `The client of ${library} is made without a deadline for ${missing}.`),
        ...(absent.state === 'absent' ? { source: absent.source } : {}),
      },
    ],
    cause: `${library} without a deadline in ${componentOf(repository, site.file)}`,
    symbol: facts === undefined ? '' : symbolOf(facts, site.call.block),
    symptom:
      'When the server hangs, calls hang with it and hold their connections; the service stops although it runs.',
    rootCause: `No deadline for ${missing} is set, and ${absent.state === 'absent' ? absent.why : `${library} has none`}.`,
  }
}

/** Where its options stand, if that is elsewhere: that is what has to be changed. */
function configured(repository: Repository, { site }: LackingClient['client'], missing: string): readonly Evidence[] {
  const program = programOf(repository.facts)
  for (const arg of site.call.args) {
    if (arg.kind !== 'path' || arg.path.isOwn) continue
    const at = program.definition(site.file, arg.path)
    const writes = at === undefined ? [] : (program.file(at.file)?.writes(-1, at.name) ?? [])
    const [only] = writes
    if (at !== undefined && writes.length === 1 && only?.value.kind === 'object')
      return [
        seenAt(at.file, { line: only.line, endLine: only.line }, `These options have no deadline for ${missing}.`),
      ]
  }
  return []
}
