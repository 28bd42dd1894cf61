// Addresses of services that no project here defines, and dependencies on them.
//   RX15. A name that a file beside or above defines is for review, for the two may be used together. Names of containers, aliases, links, extra hosts, addresses with a dot and projects that share an external network are silent; variables for browsers are no
//   address of a container.

import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { isDefinedBeside, oncePerPlace, seen, servicesOf } from './projects.ts'

const meta = at({
  id: 'compose-undefined-service-ref',
  severity: 'high',
  title: 'A service is addressed that does not exist',
  why: 'The name resolves to nothing in the network of the project: every call fails, at the first use or at start.',
  remedy: { priority: 'P1', text: 'Name the service that is meant, or define it.', effort: 'XS' },
  sources: ['https://docs.docker.com/compose/how-tos/networking/'],
})

const ADDRESS =
  /\b(?:https?|wss?|rediss?|postgres(?:ql)?|mysql|mariadb|mongodb|amqps?|kafka|grpc|tcp|nats|bolt|ldap|memcached|clickhouse)(?:\+\w+)?:\/\/(?:[^\s@?#]*@)?([A-Za-z][\w-]*)(?=[:/?,\s"']|$)/g
const HOST_NAME =
  /(^|_)(DB|DATABASE|POSTGRES|PG|MYSQL|MONGO|MONGODB|REDIS|RABBITMQ|AMQP|KAFKA|ELASTICSEARCH|MEMCACHED)_?HOST$/
const NO_SERVICE = /^(localhost|host|example|user|username|password|your|none|gateway)$|docker|^your[-_]|internal$/i
const FOR_BROWSERS = /^(NEXT_PUBLIC|VITE|REACT_APP|NUXT_PUBLIC|PUBLIC|EXPO_PUBLIC|GATSBY)_/

export const composeUndefinedServiceRef: Rule = {
  meta,
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ project, service }) => {
      const isShared =
        service.networks.some((name) => project.externalNetworks.has(name)) || project.externalNetworks.has('default')
      return [...dependencies(project, service), ...(isShared ? [] : addresses(project, service))].map((each) =>
        isDefinedBeside(repository, project, each.missing)
          ? { ...each.discovery, tier: 'review' as const, cause: `names of other files in ${service.loc.file}` }
          : each.discovery,
      )
    })
    yield* oncePerPlace(found)
  },
}

interface Missing {
  readonly missing: string
  readonly discovery: Discovery
}

function dependencies(project: ComposeProject, service: ComposeService): readonly Missing[] {
  // What could not be drawn in may define it.
  const isPartial = project.problems.some(({ value }) => /^it (includes|extends)\b/.test(value))
  return [...service.dependsOn].flatMap(([name, { loc }]) => {
    if (project.services.has(name) || isPartial || name.includes('$')) return []
    return [
      discovery(
        service,
        name,
        'strong',
        seen(loc, `It depends on ${name}, which the project does not define; compose refuses it.`),
      ),
    ]
  })
}

function addresses(project: ComposeProject, service: ComposeService): readonly Missing[] {
  const known = new Set([...project.services.values()].flatMap(({ names }) => names.map((name) => name.toLowerCase())))
  for (const name of service.reaches) known.add(name.toLowerCase())
  return [...service.environment].flatMap(([key, { value, raw, loc }]) => {
    if (FOR_BROWSERS.test(key)) return []
    const hosts = [...value.matchAll(ADDRESS)].map((match) => match[1] ?? '')
    if (HOST_NAME.test(key) && /^[a-z][a-z0-9_-]+$/.test(value)) hosts.push(value)
    const [missing] = hosts.filter((host) => !known.has(host.toLowerCase()) && !NO_SERVICE.test(host))
    if (missing === undefined) return []
    const tier = raw === value ? 'strong' : 'review'
    return [
      discovery(service, missing, tier, seen(loc, `${key} addresses ${missing}, and the project has no such service.`)),
    ]
  })
}

function discovery(
  service: ComposeService,
  missing: string,
  tier: Discovery['tier'],
  evidence: ReturnType<typeof seen>,
): Missing {
  const told: Discovery = {
    tier,
    symbol: `${service.name} ${missing}`,
    component: service.name,
    symptom: `${service.name} cannot reach ${missing}.`,
    rootCause: `No service is named ${missing}.`,
    evidence: [evidence],
  }
  return { missing, discovery: told }
}
