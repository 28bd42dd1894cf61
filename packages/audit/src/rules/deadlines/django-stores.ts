// Databases and caches of Django: no call makes their clients, the settings do. What the settings do not say, the driver does not do.
//   QU2. Found where `DATABASES` names a server of Postgres or MySQL, or `CACHES` one of Redis, and nothing in the same file says a deadline for it. Silent
//        are files and memory, settings that are put together elsewhere, and those of tests and of development.

import type { Assignment, FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { seenAt } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { componentOf, isByHandFile } from './surroundings.ts'

interface Store {
  readonly engine: RegExp
  readonly said: RegExp
  readonly source: string
}

const STORES: Readonly<Record<string, Store>> = {
  DATABASES: {
    engine: /"(?:django\.db\.backends\.(?:postgresql\w*|mysql)|django\.contrib\.gis\.db\.backends\.postgis)"/,
    said: /timeout/i,
    source: 'https://docs.djangoproject.com/en/stable/ref/databases/',
  },
  CACHES: {
    engine: /"(?:django_redis\.cache\.RedisCache|django\.core\.cache\.backends\.redis\.RedisCache)"/,
    said: /SOCKET_\w*TIMEOUT|socket_\w*timeout/,
    source: 'https://github.com/jazzband/django-redis#socket-timeout',
  },
}

const NOT_SERVED = /(?:^|[/_-])(?:tests?|testing|dev|development|local|ci)(?:[_-]\w*)?\.py$|\/tests?\//

export function* djangoStores(repository: Repository): Iterable<Discovery> {
  for (const facts of repository.facts.values()) {
    if (facts.language !== 'python' || NOT_SERVED.test(facts.file)) continue
    for (const assignment of facts.assignments) {
      const store = STORES[assignment.target.text]
      if (store === undefined || !isLacking(facts, assignment, store) || isByHandFile(repository, facts)) continue
      yield discovery(repository, facts, assignment, store)
    }
  }
}

function isLacking({ assignments }: FileFacts, { target, value, block }: Assignment, { engine, said }: Store): boolean {
  if (block !== 0 || value.kind !== 'object' || value.hasSpread || mixesIn(value)) return false
  const text = JSON.stringify(value)
  const isSaid = (each: Assignment): boolean =>
    each.target.text.startsWith(target.text) && said.test(`${each.target.text} ${JSON.stringify(each.value)}`)
  return engine.test(text) && !assignments.some(isSaid)
}

/** What is put together by something else may say it. */
function mixesIn(value: Value): boolean {
  if (value.kind !== 'object') return false
  return value.entries.some(
    ([name, each]) =>
      (each.kind === 'object' && (each.hasSpread || mixesIn(each))) ||
      (/^(?:OPTIONS|default)$/.test(name) && each.kind !== 'object'),
  )
}

function discovery(
  repository: Repository,
  { file }: FileFacts,
  { target, line }: Assignment,
  { source }: Store,
): Discovery {
  const what = target.text === 'CACHES' ? 'The cache' : 'The database'
  return {
    tier: 'strong',
    evidence: [{ ...seenAt(file, { line, endLine: line }, `${what} of Django has no deadline here.`), source }],
    cause: `${target.text} without a deadline in ${componentOf(repository, file)}`,
    symbol: target.text,
    symptom:
      'When the server hangs, every request that asks it hangs with it, until all workers wait and the service stops although it runs.',
    rootCause: 'The settings name a server and no deadline, and its driver has none of its own.',
  }
}
