// Datastores that keep their data in the container: with it, the data goes.
//   QM7. Brokers, and the only Redis of a project whose sources keep a queue in one, hold work that waits: for review.
//   QT12. Postgres before 18 has a volume of its own below `/var/lib/postgresql`: one that is mounted there, and not at `data`, stays empty.
//   RX26. Mounts of configuration and first scripts hold no data; caches without persistence, jobs, and stores that somebody chose to keep in memory are silent.

import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import type { Repository } from '../../repository/repository.ts'
import { baseOf } from './builds.ts'
import { at, type Rule } from './deployment.ts'
import { datastoreOf } from './images.ts'
import { oncePerPlace, seen, standingServices, tierIn } from './projects.ts'
import { queueIn } from './redis-eviction-on-primary.ts'

const meta = at({
  id: 'compose-no-volume',
  category: 'state',
  severity: 'high',
  title: 'A datastore has no volume',
  why: 'Its data is in the container, or in a volume without a name: `docker compose down`, a new image or a changed setting starts it with nothing in it.',
  remedy: { priority: 'P1', text: 'Mount a named volume where the store keeps its data.', effort: 'XS' },
  sources: ['https://docs.docker.com/engine/storage/volumes/'],
})

const NO_DATA =
  /initdb|init\.d|\/etc\/|\/conf|\.(conf|cnf|sql|sh|ya?ml|json|xml|acl)$|certs?|ssl|backup|scripts?|\/run\//i
const IN_MEMORY = /fsync=off|--save\s+["']{2}|--appendonly\s+no/

export const composeNoVolume: Rule = {
  meta,
  *run(repository) {
    yield* oncePerPlace(
      standingServices(repository).flatMap(({ project, service }) => {
        const store = datastoreOf(baseOf(repository, service))
        const isStore = store !== undefined && keepsData(service, store.kind)
        if (!isStore && !holdsWork(repository, project, service)) return []
        const beside = besideItsData(baseOf(repository, service), service)
        if (beside === undefined && service.volumes.some(({ target }) => !NO_DATA.test(target))) return []
        return [
          {
            tier: isStore ? tierIn(project, service.loc) : ('review' as const),
            symbol: service.name,
            component: service.name,
            symptom: `When the container of ${service.name} is made anew, its data is gone.`,
            rootCause: `${service.name} keeps its data in its container.`,
            evidence: [
              beside === undefined
                ? seen(service.loc, `${service.name} mounts nothing for its data.`)
                : seen(
                    service.loc,
                    `${beside} is mounted, and the image keeps its data in a volume of its own below it.`,
                  ),
            ],
          },
        ]
      }),
    )
  },
}

/** QT12. The target that is not where the data is. */
function besideItsData(base: string, { volumes, environment }: ComposeService): string | undefined {
  const [, major = ''] = /(?:^|\/)(?:postgres|postgis|timescaledb|pgvector)[\w-]*:(?:pg)?(\d+)/.exec(base) ?? []
  if (major === '' || Number(major) >= 18 || environment.has('PGDATA')) return undefined
  const held = volumes.map(({ target }) => target.replace(/\/$/, '')).filter((target) => !NO_DATA.test(target))
  return held.length > 0 && held.every((target) => target === '/var/lib/postgresql') ? held[0] : undefined
}

const BROKER = /(^|\/)(rabbitmq|kafka|cp-kafka|redpanda|activemq|activemq-classic|activemq-artemis)(:|@|$)/

function holdsWork(repository: Repository, project: ComposeProject, service: ComposeService): boolean {
  const base = baseOf(repository, service)
  if (BROKER.test(base)) return true
  if (datastoreOf(base)?.kind !== 'redis' || IN_MEMORY.test(service.command?.value ?? '')) return false
  const others = [...project.services.values()].filter(
    (each) => datastoreOf(baseOf(repository, each))?.kind === 'redis',
  )
  return others.length === 1 && queueIn(repository, project).queue !== undefined
}

function keepsData({ command }: ComposeService, kind: string): boolean {
  const text = command?.value ?? ''
  if (kind === 'memcached' || IN_MEMORY.test(text)) return false
  return kind !== 'redis' || /--appendonly[\s=]+yes|--save\s+\d/.test(text)
}
