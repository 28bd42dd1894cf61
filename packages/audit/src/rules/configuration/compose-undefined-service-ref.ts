// Addresses of services that no project here defines, and dependencies on them.
//   QJ24. An address of localhost is one too, where another service of the project has the port.
//   RX15. A name that a file beside or above defines is for review, for the two may be used together. Names of containers, aliases, links, extra hosts, addresses with a dot and projects that share an external network are silent; variables for browsers are no
//   address of a container.
//   QM5. Hosts in the configuration that a service is given count as its own addresses; in that of an nginx which is built here and run by no project, a name that nothing of the repository
//        bears is for review.

import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import type { Repository } from '../../repository/repository.ts'
import { contextsOf, imageStages, instructionsOf, isInContext, parseCopy } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { hostsGivenTo, hostsIn, isNginx } from './mounted-addresses.ts'
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
      const own = [
        ...dependencies(project, service),
        ...(isShared ? [] : [...addresses(project, service), ...given(repository, project, service)]),
      ]
      return [...own, ...toItself(project, service)].map((each) =>
        isDefinedBeside(repository, project, each.missing)
          ? { ...each.discovery, tier: 'review' as const, cause: `names of other files in ${service.loc.file}` }
          : each.discovery,
      )
    })
    yield* oncePerPlace([...found, ...ofImages(repository)])
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
  const known = knownTo(project, service)
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

/** By the files that it is given. */
function given(repository: Repository, project: ComposeProject, service: ComposeService): readonly Missing[] {
  const known = knownTo(project, service)
  return hostsGivenTo(repository, service)
    .filter(({ host }) => !known.has(host.toLowerCase()) && !NO_SERVICE.test(host))
    .map(({ file, line, host }) =>
      discovery(
        service,
        host,
        'strong',
        seen({ file, line, endLine: line }, `It names ${host}, and the project that runs it has no such service.`),
      ),
    )
}

/** Images of nginx that no project builds. */
function ofImages(repository: Repository): readonly Discovery[] {
  const { compose, dockerfiles, kubernetes } = repository.configuration
  const known = new Set(compose.flatMap(({ services }) => [...services.values()].flatMap(({ names }) => names)))
  for (const { kind, name } of kubernetes) if (kind === 'Service') known.add(name)
  if (known.size === 0) return []
  return dockerfiles.flatMap((dockerfile) => {
    if (contextsOf(repository, dockerfile).isKnown || repository.files.role(dockerfile.file) === 'example') return []
    const stages = imageStages(dockerfile, undefined)
    if (!isNginx(stages[0]?.base.value ?? '')) return []
    const sources = instructionsOf(stages).flatMap((each) => {
      const copy = parseCopy(each)
      return copy === undefined || copy.from !== undefined ? [] : copy.sources
    })
    const files = sources.filter((source) => /\.(conf|template)$/.test(source) && isInContext(repository, '', source))
    return files
      .map((source) => source.replace(/^\.?\/+/, ''))
      .flatMap((file) => hostsIn(file, repository.files.read(file) ?? ''))
      .filter(({ host }) => !known.has(host) && !NO_SERVICE.test(host))
      .map(({ file, line, host }) => ({
        tier: 'review' as const,
        symbol: `${file} ${host}`,
        symptom: `nginx does not start where it cannot find ${host}.`,
        rootCause: `No service is named ${host}.`,
        evidence: [
          seen({ file, line, endLine: line }, `It names ${host}, and nothing of the repository has that name.`),
        ],
      }))
  })
}

function knownTo(project: ComposeProject, service: ComposeService): ReadonlySet<string> {
  const known = new Set([...project.services.values()].flatMap(({ names }) => names.map((name) => name.toLowerCase())))
  for (const name of service.reaches) known.add(name.toLowerCase())
  return known
}

const ITSELF =
  /\b(?:https?|wss?|rediss?|postgres(?:ql)?|mysql|mongodb|amqps?|grpc):\/\/(?:[^\s@?#/]*@)?(?:localhost|127\.0\.0\.1):(\d+)/
const FOR_SERVICES = /SERVICE|BACKEND|INTERNAL|UPSTREAM/i
const SHOWS_PAGES = /front|web|ui|client|dashboard|site|portal/i

/** QJ24. `localhost` of a container is the container itself; another service of the project has the port that is asked for. */
function toItself(project: ComposeProject, service: ComposeService): readonly Missing[] {
  // With the network of the host nothing is published, and no network named.
  if ((service.ports.length === 0 && service.networks.length === 0) || SHOWS_PAGES.test(service.name)) return []
  return [...service.environment].flatMap(([key, { value, loc }]) => {
    const [address = '', port] = ITSELF.exec(value) ?? []
    const isOfServices = !address.startsWith('http') || FOR_SERVICES.test(key)
    if (port === undefined || !isOfServices || FOR_BROWSERS.test(key)) return []
    const listens = (each: ComposeService): boolean =>
      each.ports.some(({ published, container }) => published === port || container === port)
    const other = [...project.services.values()].find((each) => each !== service && listens(each))
    if (other === undefined || listens(service)) return []
    const what = `${key} leads to port ${port} of its own container; that port is of ${other.name}.`
    return [discovery(service, `localhost:${port}`, 'strong', seen(loc, what))]
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
    rootCause: missing.startsWith('localhost')
      ? `${missing} is the container itself.`
      : `No service is named ${missing}.`,
    evidence: [evidence],
  }
  return { missing, discovery: told }
}
