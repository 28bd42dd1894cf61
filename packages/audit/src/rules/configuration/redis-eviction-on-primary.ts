// A Redis that evicts keys although it is more than a cache: it keeps its data on disk, or a queue lives in it.
//   QJ23. `volatile-…` evicts only what expires anyway: without a queue it is silent.
//   RX20. `noeviction`, a Redis without persistence, volume or queue, and a policy without a memory limit are silent.

import type { ComposeProject } from '../../repository/configuration.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { baseOf } from './builds.ts'
import { at, type Rule } from './deployment.ts'
import { datastoreOf } from './images.ts'
import { oncePerPlace, seen, servicesOf } from './projects.ts'

const meta = at({
  id: 'redis-eviction-on-primary',
  category: 'state',
  severity: 'high',
  title: 'A Redis that keeps state evicts it when memory is full',
  why: 'Under memory pressure Redis deletes keys without a word: sessions, jobs of a queue, locks. A queue in it loses jobs.',
  remedy: {
    priority: 'P1',
    text: 'maxmemory-policy noeviction for state and queues; another Redis for what may be lost.',
    effort: 'S',
  },
  sources: [
    'https://redis.io/docs/latest/develop/reference/eviction/',
    'https://docs.bullmq.io/guide/going-to-production#max-memory-policy',
  ],
})

const QUEUES = ['bullmq', 'bull', 'bee-queue', 'celery', 'rq', 'arq', 'dramatiq', 'taskiq', 'kue', 'agenda-redis']

/** A queue that keeps its jobs in Redis, among what a project's sources depend on. */
export function queueIn({ configuration }: Repository, project: ComposeProject) {
  const manifest = configuration.manifests.find(
    ({ file, dependencies }) => isBelow(file, folderOf(project.file)) && QUEUES.some((name) => dependencies.has(name)),
  )
  const queue = QUEUES.find((name) => manifest?.dependencies.has(name))
  return { queue, place: queue === undefined ? undefined : manifest?.dependencies.get(queue)?.loc }
}

export const redisEvictionOnPrimary: Rule = {
  meta,
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ project, service }) => {
      const { command } = service
      const { queue, place: kept } = queueIn(repository, project)
      if (command === undefined || datastoreOf(baseOf(repository, service))?.kind !== 'redis') return []
      const policy = /--maxmemory-policy[\s=]+((?:allkeys|volatile)-\w+)/.exec(command.value)?.[1]
      if (policy === undefined || !/--maxmemory[\s=]+[1-9]/.test(command.value)) return []
      const isKept = /--appendonly[\s=]+yes/.test(command.value)
      const stores = [...project.services.values()].filter(
        (each) => datastoreOf(baseOf(repository, each))?.kind === 'redis',
      )
      const isQueue = queue !== undefined && stores.length === 1
      // Of what has no end of its own nothing is evicted then.
      if (!isQueue && (!isKept || policy.startsWith('volatile-'))) return []
      const use = [isKept ? 'it writes its keys to disk' : '', isQueue ? `the queue ${queue} lives in it` : ''].filter(
        (each) => each !== '',
      )
      const place = isQueue ? kept : undefined
      return [
        {
          tier: 'strong' as const,
          symbol: service.name,
          component: service.name,
          symptom: 'When memory is full, state and jobs vanish without an error.',
          rootCause: `The policy is ${policy}, and ${use.join(' and ')}.`,
          evidence: [
            seen(command.loc, `It evicts by ${policy}.`),
            ...(place === undefined ? [] : [seen(place, `${queue} keeps its jobs in Redis.`)]),
          ],
        },
      ]
    })
    yield* oncePerPlace(found)
  },
}
