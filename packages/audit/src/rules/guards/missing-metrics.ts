// Services that nobody can see into: routes, and no library of metrics or tracing in anything that they load or depend on.
//   MX2. A service is found once, and only where neither its imports nor its manifests nor its image name a library or an agent of metrics or tracing.

import { folderOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { reachOf } from './reach.ts'

const OBSERVING =
  /prom-?client|prometheus|opentelemetry|\botel|dd-?trace|datadog|newrelic|elastic-?apm|statsd|hot-shots|sentry|application-?insights|express-prom-bundle|instana|dynatrace|lightstep|honeycomb|logfire|signoz|pino-http-metrics|micrometer|@vercel\/(?:otel|analytics)|aws-xray|beeline|skywalking|appsignal|scout-apm|stackdriver|cloud-(?:trace|monitoring)|tracing|telemetry|metrics/i
const ROUTES_MIN = 3

export const missingMetrics: Rule = {
  meta: {
    id: 'missing-metrics',
    category: 'observability',
    severity: 'low',
    title: 'A service without metrics',
    why: 'Nobody sees that answers become slower or fail until a user tells; and after an outage nobody can say when it began.',
    remedies: [
      {
        priority: 'P3',
        text: 'Count requests, errors and durations by route, and calls of dependencies by result.',
        effort: 'S',
        guarantee: GUARANTEES.metrics,
      },
    ],
    sources: ['Google SRE book, chapter 6: the four golden signals'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const told = new Set<string>()
    const routes = entriesOf(repository).filter(
      ({ kind, framework }) => kind === 'route' && framework !== 'trpc' && framework !== 'next',
    )
    const folders = repository.configuration.manifests.map(({ file }) => folderOf(file))
    for (const { site } of routes) {
      const unit = unitOf(folders, site.file)
      if (told.has(unit)) continue
      told.add(unit)
      const own = routes.filter((route) => unitOf(folders, route.site.file) === unit)
      const reach = new Set(own.flatMap((route) => [...reachOf(repository, route.site.file)]))
      if (own.length < ROUTES_MIN || isObserved(repository, reach, site.file)) continue
      yield {
        tier: 'review',
        evidence: [
          seenAt(
            site.file,
            { line: site.call.line, endLine: site.call.line },
            `one of ${own.length} routes that nothing measures`,
          ),
        ],
        symbol: site.file,
        symptom: 'How many requests fail and how long they take can not be seen.',
        rootCause: 'Nothing that the service loads, and nothing in its manifest, measures anything.',
      }
    }
  },
}

/** The nearest folder with a manifest. */
function unitOf(folders: readonly string[], path: string): string {
  let found = ''
  for (const folder of folders) if (folder.length > found.length && path.startsWith(`${folder}/`)) found = folder
  return found
}

function isObserved({ facts, configuration }: Repository, reach: ReadonlySet<string>, path: string): boolean {
  for (const file of reach) {
    const own = facts.get(file)
    if (OBSERVING.test(file) || own?.imports.some(({ module }) => OBSERVING.test(module)) === true) return true
  }
  return configuration.manifests.some(({ file, dependencies }) => {
    const folder = folderOf(file)
    return (
      (folder === '' || path.startsWith(`${folder}/`)) && [...dependencies.keys()].some((name) => OBSERVING.test(name))
    )
  })
}
