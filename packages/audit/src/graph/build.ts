// The graph of an audited system: components from compose services and Kubernetes workloads, else from folders with a manifest; links from what
// is declared (`depends_on`) and from addresses in the environment that name another component. Links from calls in code come with their rules.
//   WA9. Every component and every link has evidence with a place; a name that leads to no component makes no link.

import type { Evidence, Loc } from '../model/evidence.ts'
import type { Component, ComponentKind, SystemGraph, SystemLink } from '../model/graph.ts'
import type { ComposeService, Configuration, KubernetesObject, Manifest } from '../repository/configuration.ts'

type LinkKind = SystemLink['kind']

/** By the last part of an image's name. */
const IMAGES: readonly (readonly [name: RegExp, kind: ComponentKind, link: LinkKind])[] = [
  [/postgres|postgis|timescale|pgvector|supabase/, 'database', 'postgres'],
  [/mysql|mariadb|percona/, 'database', 'mysql'],
  [/mongo/, 'database', 'mongodb'],
  [/redis|valkey|keydb|dragonfly/, 'cache', 'redis'],
  [/rabbitmq|activemq/, 'queue', 'amqp'],
  [/kafka|redpanda/, 'queue', 'kafka'],
  [/nats|pulsar|mosquitto|zookeeper/, 'queue', 'other'],
  [
    /clickhouse|cassandra|scylla|elasticsearch|opensearch|neo4j|qdrant|weaviate|milvus|influxdb|minio|etcd/,
    'database',
    'other',
  ],
  [/memcached/, 'cache', 'other'],
]
const SCHEMES: Readonly<Record<string, LinkKind>> = {
  http: 'http',
  https: 'http',
  ws: 'websocket',
  wss: 'websocket',
  grpc: 'grpc',
  postgres: 'postgres',
  postgresql: 'postgres',
  mysql: 'mysql',
  mongodb: 'mongodb',
  redis: 'redis',
  rediss: 'redis',
  amqp: 'amqp',
  kafka: 'kafka',
}
const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob'])

export function buildGraph(configuration: Configuration): SystemGraph {
  const components = new Map<string, Component>()
  const links = new Map<string, SystemLink>()
  const services = configuration.compose.flatMap(({ services }) => [...services.values()])
  for (const service of services) if (!components.has(service.name)) components.set(service.name, fromService(service))
  for (const object of configuration.kubernetes) {
    if (WORKLOADS.has(object.kind) && !components.has(object.name)) components.set(object.name, fromWorkload(object))
  }
  if (components.size === 0)
    for (const manifest of configuration.manifests) {
      const component = fromManifest(manifest)
      if (component !== undefined) components.set(component.name, component)
    }
  for (const service of services) for (const link of linksOf(service, components)) addLink(links, link)
  return { components: [...components.values()], links: [...links.values()] }
}

function seen(loc: Loc, what: string): readonly Evidence[] {
  return [{ provenance: 'config', loc, what }]
}

function imageOf(image: string): readonly [ComponentKind, LinkKind] {
  const name = (image.split('/').pop() ?? image).split(/[:@]/)[0] ?? ''
  const known = IMAGES.find(([pattern]) => pattern.test(name))
  return known === undefined ? ['service', 'other'] : [known[1], known[2]]
}

function fromService(service: ComposeService): Component {
  const kind = service.build === undefined && service.image !== undefined ? imageOf(service.image.value)[0] : 'service'
  return {
    name: service.name,
    kind,
    folder: service.build?.context.value,
    image: service.image?.value,
    replicas: service.replicas,
    evidence: seen(service.loc, 'a service of compose'),
  }
}

function fromWorkload({ body, kind, name, loc }: KubernetesObject): Component {
  const spec = record(body.spec)
  const [container] = list(record(record(record(spec.template).spec)).containers)
  const image = record(container).image
  const of = typeof image === 'string' ? imageOf(image)[0] : 'service'
  return {
    name,
    kind: kind === 'Job' || kind === 'CronJob' ? 'job' : of,
    folder: undefined,
    image: typeof image === 'string' ? image : undefined,
    replicas: typeof spec.replicas === 'number' ? spec.replicas : 1,
    evidence: seen(loc, `a ${kind} of Kubernetes`),
  }
}

function fromManifest({ file }: Manifest): Component | undefined {
  const folder = file.includes('/') ? file.slice(0, file.lastIndexOf('/')) : '.'
  return {
    name: folder === '.' ? 'repository' : folder,
    kind: 'service',
    folder,
    image: undefined,
    replicas: 1,
    evidence: seen({ file, line: 1, endLine: 1 }, 'a folder with a manifest'),
  }
}

interface Draft {
  readonly from: string
  readonly to: string
  readonly kind: LinkKind
  readonly need: SystemLink['need']
  readonly site: Loc
}

function* linksOf(service: ComposeService, components: ReadonlyMap<string, Component>): Iterable<Draft> {
  for (const [to, { value, loc }] of service.dependsOn) {
    const target = components.get(to)
    if (target === undefined || to === service.name) continue
    const kind = target.image === undefined ? 'other' : imageOf(target.image)[1]
    yield { from: service.name, to, kind, need: value === 'service_started' ? 'unknown' : 'hard', site: loc }
  }
  for (const { value, loc } of service.environment.values()) {
    for (const [, scheme = '', host = ''] of value.matchAll(
      /\b([a-z][a-z0-9+]{1,20}):\/\/(?:[^\s@/]{0,200}@)?([\w.-]{1,100})/gi,
    )) {
      if (!components.has(host) || host === service.name) continue
      const kind = SCHEMES[scheme.toLowerCase().split('+')[0] ?? ''] ?? 'other'
      yield { from: service.name, to: host, kind, need: 'unknown', site: loc }
    }
  }
}

/** Two ways to see one link are one link: the stricter need, the kind that says more, both places. */
function addLink(links: Map<string, SystemLink>, draft: Draft): void {
  const name = `${draft.from} -> ${draft.to}`
  const known = links.get(name)
  if (known === undefined) {
    const { from, to, kind, need, site } = draft
    links.set(name, { name, from, to, kind, need, sites: [site], guarantees: [] })
    return
  }
  const kind = known.kind === 'other' ? draft.kind : known.kind
  const need = known.need === 'hard' || draft.need === 'hard' ? 'hard' : known.need
  links.set(name, { ...known, kind, need, sites: [...known.sites, draft.site] })
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
