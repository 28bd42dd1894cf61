// What is known of public images: which are datastores, which bring a HEALTHCHECK, which commands they contain. An image that is not in a table is unknown, and rules
// are silent about it. Contents as published in 2026; alpine's busybox has wget and nc but no curl; Debian's slim variants have neither.

export interface ImageName {
  /** Without registry and `library/`. */
  readonly name: string
  readonly tag: string | undefined
  readonly hasDigest: boolean
}

export function parseImage(text: string): ImageName {
  const [before = '', digest] = text.split('@')
  const match = /^(.*?)(?::([\w][\w.-]*))?$/.exec(before)
  const path = match?.[1] ?? before
  const name = path
    .replace(/^(docker\.io|index\.docker\.io|public\.ecr\.aws\/docker|mirror\.gcr\.io)\//, '')
    .replace(/^library\//, '')
  return { name, tag: match?.[2], hasDigest: digest !== undefined }
}

export type DatastoreKind =
  | 'postgres'
  | 'mysql'
  | 'mongodb'
  | 'redis'
  | 'memcached'
  | 'elasticsearch'
  | 'cassandra'
  | 'clickhouse'
  | 'mssql'
  | 'other'

const DATASTORES: readonly (readonly [RegExp, DatastoreKind, readonly string[]])[] = [
  [
    /(^|\/)(postgres|postgresql|postgis|timescaledb|timescaledb-ha|pgvector|supabase-postgres|cloudnative-pg)$/,
    'postgres',
    ['5432'],
  ],
  [/(^|\/)(mysql|mariadb|percona|mysql-server)$/, 'mysql', ['3306']],
  [/(^|\/)(mongo|mongodb|mongodb-community-server)$/, 'mongodb', ['27017']],
  [/(^|\/)(redis|valkey|redis-stack|redis-stack-server|keydb|dragonfly)$/, 'redis', ['6379']],
  [/(^|\/)memcached$/, 'memcached', ['11211']],
  [/(^|\/)(elasticsearch|opensearch)$/, 'elasticsearch', ['9200', '9300']],
  [/(^|\/)(cassandra|scylla)$/, 'cassandra', ['9042']],
  [/(^|\/)(clickhouse|clickhouse-server)$/, 'clickhouse', ['8123', '9000']],
  [/(^|\/)(mssql\/server|azure-sql-edge)$/, 'mssql', ['1433']],
  [/(^|\/)(neo4j|couchdb|influxdb|arangodb|cockroach)$/, 'other', ['7474', '7687', '5984', '8086', '8529', '26257']],
]

export function datastoreOf(
  image: string,
): { readonly kind: DatastoreKind; readonly ports: readonly string[] } | undefined {
  const { name } = parseImage(image)
  const found = DATASTORES.find(([pattern]) => pattern.test(name))
  return found === undefined ? undefined : { kind: found[1], ports: found[2] }
}

const WITH_HEALTHCHECK =
  /(^|\/)(cadvisor|datadog\/agent|agent|gitlab-ce|gitlab-ee|pihole|uptime-kuma|vaultwarden\/server|mailpit|netdata|localstack|localstack-pro|authelia|pms-docker|superset|jellyfin|syncthing|plex|homebridge|nocodb|healthchecks)$/
const PUBLISHERS_WITHOUT =
  /^(prom|grafana|openpolicyagent|otel|jaegertracing|confluentinc|bitnami|hashicorp|timescale|postgis|pgvector|apache|dpage|getmeili|qdrant|n8nio|provectuslabs|oliver006|valkey|mongodb|nginxinc|temporalio)\//

/** Has the public image a HEALTHCHECK of its own? Undefined: not known. */
export function bringsHealthcheck(image: string): boolean | undefined {
  const { name } = parseImage(image)
  if (WITH_HEALTHCHECK.test(name)) return true
  if (!name.includes('/') || PUBLISHERS_WITHOUT.test(name) || datastoreOf(image) !== undefined) {
    // A name without publisher is an official image, or one that was built here and never pushed.
    return name.includes('/') || OFFICIAL.has(name) ? false : undefined
  }
  return undefined
}

const OFFICIAL = new Set(
  'adminer alpine busybox caddy cassandra chronograf consul couchdb debian eclipse-mosquitto elasticsearch fluentd ghost golang grafana haproxy httpd influxdb kibana logstash mariadb memcached mongo mongo-express mysql nats neo4j nextcloud nginx node openjdk php postgres python rabbitmq redis registry ruby solr telegraf tomcat traefik ubuntu vault wordpress zookeeper'.split(
    ' ',
  ),
)

const BUSYBOX = ['wget', 'nc', 'sh', 'ash', 'ping', 'grep', 'netstat', 'ps', 'pgrep']
const DEBIAN = ['sh', 'bash', 'grep', 'perl']
const FULL = [...DEBIAN, 'curl', 'wget', 'git', 'ps', 'pgrep']
const OWN: Readonly<Record<string, readonly string[]>> = {
  node: ['node', 'npm', 'npx', 'yarn', 'corepack'],
  python: ['python', 'python3', 'pip'],
  golang: ['go'],
  ruby: ['ruby'],
  openjdk: ['java'],
  'eclipse-temurin': ['java'],
  debian: [],
  alpine: [],
  ubuntu: ['ps', 'pgrep'],
}
/** Tried for: these are what healthchecks call and base images lack. */
export const PROBED = new Set(['curl', 'wget', 'nc', 'node', 'python', 'python3', 'bash', 'ps', 'pgrep'])
/** Packages that bring a command of another name. */
export const BROUGHT_BY: Readonly<Record<string, string>> = {
  nc: 'netcat|ncat|nmap|busybox',
  ps: 'procps|busybox|npm',
  pgrep: 'procps|busybox|npm',
}

/** Commands of a base image; undefined: the image is not known. */
export function binariesOf(image: string): ReadonlySet<string> | undefined {
  const { name, tag = 'latest' } = parseImage(image)
  const own = Object.hasOwn(OWN, name) ? OWN[name] : undefined
  if (own === undefined) return undefined
  if (name === 'alpine' || /alpine/.test(tag)) return new Set([...own, ...BUSYBOX])
  if (name === 'debian' || name === 'ubuntu' || /slim/.test(tag)) return new Set([...own, ...DEBIAN])
  // Full variants of language images stand on buildpack-deps, which has curl, wget and python3; temurin and openjdk differ by release.
  if (name === 'node' || name === 'ruby') return new Set([...own, ...FULL, 'python3'])
  if (name === 'python' || name === 'golang') return new Set([...own, ...FULL])
  return undefined
}
