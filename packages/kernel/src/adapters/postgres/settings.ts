// What a Postgres link is told, checked once: every problem is named together, no value that could be a secret is.

import type { ConnectionOptions } from 'node:tls'
import { RipstopError } from '../../errors.ts'

export interface PostgresHost {
  readonly host: string
  readonly port?: number
}

export interface PostgresOptions {
  /** `postgres://user:password@h1:5432,h2:5432/database?sslmode=…&application_name=…`, or the parts below instead. */
  readonly url?: string
  /** In order of preference; the first writable one is used. A host that starts with `/` is a socket directory. */
  readonly hosts?: readonly PostgresHost[]
  readonly user?: string
  /** A function is asked for every connection, so that a rotated password is picked up by renewal. */
  readonly password?: string | (() => string | Promise<string>)
  readonly database?: string
  /** Overrides sslmode. `false`: plain; else options of node:tls, which verify unless they say `rejectUnauthorized: false`. */
  readonly ssl?: false | ConnectionOptions
  /** Most connections for calls; one more is kept for probes, one for renewal. Set the link's bulkhead to the same. */
  readonly size?: number
  /** Longest wait for a free connection, ms; a call's own deadline may be shorter. */
  readonly waitMs?: number
  /** Longest time to open one connection of the pool, ms. */
  readonly connectMs?: number
  /**
   * How the server learns the two timeouts below. `startup`: with the connection. `auto`: so too, but a pooler that
   * refuses them (pgBouncer) is tried without, and each transaction sets its own. `none`: never.
   */
  readonly sessionSettings?: 'auto' | 'startup' | 'none'
  /** The server ends a statement that runs longer, ms: the last belt if even the cancel got lost. */
  readonly statementTimeoutMs?: number
  /** The server ends a connection that idles in a transaction for longer, ms: the locks of a dead process come free. */
  readonly idleInTransactionTimeoutMs?: number
  readonly applicationName?: string
  /** Renewal replaces connections that are older, ms. */
  readonly maxAgeMs?: number
  /** Hears how long each call waited for its connection, ms (0: not at all): for the pool_wait_seconds histogram. */
  readonly onWait?: (waitedMs: number) => void
}

export interface PostgresSettings {
  readonly hosts: readonly Required<PostgresHost>[]
  readonly user: string
  /** Not a string, so that no dump of settings shows it. */
  readonly password: () => string | Promise<string>
  readonly database: string
  readonly ssl: false | ConnectionOptions
  readonly size: number
  readonly waitMs: number
  readonly connectMs: number
  readonly sessionSettings: 'auto' | 'startup' | 'none'
  readonly statementTimeoutMs: number
  readonly idleInTransactionTimeoutMs: number
  readonly applicationName: string
  readonly maxAgeMs: number
  readonly onWait: (waitedMs: number) => void
}

const SSL_MODES: Readonly<Record<string, false | ConnectionOptions>> = {
  disable: false,
  require: { rejectUnauthorized: false }, // as libpq: encrypted, but whose certificate it is is not checked
  'verify-ca': {},
  'verify-full': {},
}

/** Fills in the defaults. Throws CONFIG_INVALID that names every setting that is wrong. */
export function parsePostgresSettings(options: PostgresOptions): PostgresSettings {
  const problems: string[] = []
  const fromUrl = options.url === undefined ? {} : parseUrl(options.url, problems)
  const parts = { ...fromUrl, ...withoutUndefined(options) }
  const { password = '' } = parts
  const user = parts.user ?? ''
  const settings: PostgresSettings = {
    hosts: (parts.hosts ?? []).map(({ host, port }) => ({ host, port: port ?? 5432 })),
    user,
    password: typeof password === 'function' ? password : () => password,
    database: parts.database ?? user,
    ssl: parts.ssl ?? false,
    size: parts.size ?? 10,
    waitMs: parts.waitMs ?? 1_000,
    connectMs: parts.connectMs ?? 1_000,
    sessionSettings: parts.sessionSettings ?? 'auto',
    statementTimeoutMs: parts.statementTimeoutMs ?? 30_000,
    idleInTransactionTimeoutMs: parts.idleInTransactionTimeoutMs ?? 10_000,
    applicationName: parts.applicationName ?? 'ripstop',
    maxAgeMs: parts.maxAgeMs ?? 15 * 60_000,
    onWait: parts.onWait ?? (() => {}),
  }
  findProblems(settings, problems)
  if (problems.length > 0) {
    throw new RipstopError('CONFIG_INVALID', `postgres: ${problems.join('; ')}`, { details: { problems } })
  }
  return settings
}

/** Where it leads, for people: no user, no password. */
export function formatTarget({ hosts, database }: Pick<PostgresSettings, 'hosts' | 'database'>): string {
  return `${hosts.map(formatHost).join(',')}/${database}`
}

export function formatHost({ host, port }: Required<PostgresHost>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function findProblems(settings: PostgresSettings, problems: string[]): void {
  const check = (setting: string, value: number, least: number, most: number): void => {
    if (!(value >= least && value <= most)) problems.push(`${setting} is ${value}, must be ${least} to ${most}`)
  }
  if (settings.hosts.length === 0) problems.push('no host is given')
  if (settings.user === '') problems.push('no user is given')
  for (const { port } of settings.hosts) check('port', port, 1, 65_535)
  check('size', settings.size, 1, 1_000)
  check('waitMs', settings.waitMs, 0, 600_000)
  check('connectMs', settings.connectMs, 1, 60_000)
  check('statementTimeoutMs', settings.statementTimeoutMs, 1, 86_400_000)
  check('idleInTransactionTimeoutMs', settings.idleInTransactionTimeoutMs, 1, 86_400_000)
  check('maxAgeMs', settings.maxAgeMs, 0, Number.MAX_SAFE_INTEGER)
}

/** WHATWG URL knows no list of hosts, and its errors quote what they were given: so by hand. */
function parseUrl(url: string, problems: string[]): PostgresOptions {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^/?#]*))?(?:\?([^#]*))?$/.exec(url)
  if (match === null) {
    problems.push('the url is not of the form postgres://user:password@host:5432/database (percent-encode : / ? # @ %)')
    return {}
  }
  try {
    const [, authority = '', hostList = '', database = '', query = ''] = match
    const [user = '', ...password] = authority.split(':')
    return {
      hosts: parseHosts(hostList, problems),
      ...(user === '' ? {} : { user: decodeURIComponent(user) }),
      ...(password.length === 0 ? {} : { password: decodeURIComponent(password.join(':')) }),
      ...(database === '' ? {} : { database: decodeURIComponent(database) }),
      ...parseParameters(new URLSearchParams(query), problems),
    }
  } catch {
    problems.push('the url has a % that is no percent-encoding') // the URIError says nothing more
    return {}
  }
}

function parseHosts(list: string, problems: string[]): PostgresHost[] {
  return list.split(',').flatMap((item) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(item)
    if (match === null) {
      problems.push('the url has a host or port that cannot be read')
      return []
    }
    const host = decodeURIComponent(match[1] ?? match[2] ?? '')
    return [match[3] === undefined ? { host } : { host, port: Number(match[3]) }]
  })
}

function parseParameters(query: URLSearchParams, problems: string[]): PostgresOptions {
  const parts: { ssl?: false | ConnectionOptions; applicationName?: string } = {}
  for (const [name, value] of query) {
    const ssl = name === 'sslmode' ? SSL_MODES[value] : undefined
    if (name === 'application_name') parts.applicationName = value
    else if (ssl !== undefined) parts.ssl = ssl
    else if (name === 'sslmode') problems.push(`sslmode must be one of ${Object.keys(SSL_MODES).join(', ')}`)
    else problems.push(`the url has a parameter ${name}; only sslmode and application_name are known`)
  }
  return parts
}

function withoutUndefined(options: PostgresOptions): PostgresOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
