// What an image is, by the last part of its name: a datastore and how one speaks to it, or somebody's service. What only looks at a datastore (an exporter,
// a console) is none.

import type { ComponentKind, SystemLink } from '../model/graph.ts'

export type LinkKind = SystemLink['kind']

export interface Known {
  readonly kind: ComponentKind
  /** How it is spoken to. */
  readonly link: LinkKind
}

const IMAGES: readonly (readonly [name: RegExp, kind: ComponentKind, link: LinkKind])[] = [
  [
    /exporter|commander|express|insight|admin|backup|-ui$|console|dashboard|manager|connect|registry/,
    'service',
    'http',
  ],
  [/postgres|postgis|timescale|pgvector/, 'database', 'postgres'],
  [/mysql|mariadb|percona/, 'database', 'mysql'],
  [/mongo/, 'database', 'mongodb'],
  [/redis|valkey|keydb|dragonfly/, 'cache', 'redis'],
  [/rabbitmq|activemq/, 'queue', 'amqp'],
  [/kafka|redpanda/, 'queue', 'kafka'],
  [/^nats|pulsar|mosquitto|zookeeper/, 'queue', 'other'],
  [
    /clickhouse|cassandra|scylla|elasticsearch|opensearch|neo4j|qdrant|weaviate|milvus|influxdb|minio|etcd|meilisearch/,
    'database',
    'other',
  ],
  [/memcached/, 'cache', 'other'],
]
const SERVICE: Known = { kind: 'service', link: 'http' }

export function knownOf(image: string): Known {
  const name = (image.split('/').pop() ?? image).split(/[:@]/)[0] ?? ''
  const found = IMAGES.find(([pattern]) => pattern.test(name))
  return found === undefined ? SERVICE : { kind: found[1], link: found[2] }
}

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
  amqps: 'amqp',
  kafka: 'kafka',
}

/** Of an address: `postgresql+asyncpg` is Postgres. */
export function kindOfScheme(scheme: string): LinkKind {
  const [first = ''] = scheme.toLowerCase().split('+')
  return Object.hasOwn(SCHEMES, first) ? (SCHEMES[first] as LinkKind) : 'other'
}

export function isStore({ kind }: { readonly kind: ComponentKind }): boolean {
  return kind === 'database' || kind === 'cache' || kind === 'queue'
}
