// What a Redis link is told, checked once: every problem is named together, no value that could be a secret is.

import type { ConnectionOptions } from 'node:tls'
import { RipstopError } from '../../errors.ts'

export interface RedisOptions {
  /** `redis://user:password@host:6379/0`, `rediss://…` for TLS; or the parts below instead. */
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string
  readonly database?: number
  /** Overrides the url's scheme. `false`: plain; else options of node:tls. */
  readonly tls?: false | ConnectionOptions
  /** The connection's name at the server (CLIENT LIST). */
  readonly name?: string
}

export interface RedisSettings {
  readonly host: string
  readonly port: number
  readonly username: string | undefined
  /** Not a string, so that no dump of settings shows it. */
  readonly password: () => string | undefined
  readonly database: number
  readonly tls: false | ConnectionOptions
  readonly name: string
}

/** Fills in the defaults. Throws CONFIG_INVALID that names every setting that is wrong. */
export function parseRedisSettings(options: RedisOptions): RedisSettings {
  const problems: string[] = []
  const fromUrl = options.url === undefined ? {} : parseUrl(options.url, problems)
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const parts: RedisOptions = { ...fromUrl, ...given }
  const { password } = parts
  const settings: RedisSettings = {
    host: parts.host ?? '',
    port: parts.port ?? 6379,
    username: parts.username,
    password: () => password,
    database: parts.database ?? 0,
    tls: parts.tls ?? false,
    name: parts.name ?? 'ripstop',
  }
  if (settings.host === '') problems.push('no host is given')
  if (!(settings.port >= 1 && settings.port <= 65_535)) problems.push(`port is ${settings.port}, must be 1 to 65535`)
  if (!(Number.isInteger(settings.database) && settings.database >= 0))
    problems.push('database must be a number from 0')
  if (!/^[\x21-\x7e]+$/.test(settings.name)) problems.push('name must be printable, without spaces')
  if (problems.length > 0) {
    throw new RipstopError('CONFIG_INVALID', `redis: ${problems.join('; ')}`, { details: { problems } })
  }
  return settings
}

/** Where it leads, for people: no user, no password. */
export function formatTarget({ host, port, database }: Pick<RedisSettings, 'host' | 'port' | 'database'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}/${database}`
}

function parseUrl(url: string, problems: string[]): RedisOptions {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const database = /^\/?(\d{0,4})$/.exec(parsed?.pathname ?? '-')?.[1]
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || database === undefined) {
    problems.push('the url is not of the form redis://user:password@host:6379/0 (percent-encode : / ? # @ %)')
    return {}
  }
  if (parsed.search !== '') problems.push('the url has parameters, and none is known')
  try {
    return {
      host: parsed.hostname.replace(/^\[|\]$/g, ''),
      ...(parsed.port === '' ? {} : { port: Number(parsed.port) }),
      ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
      ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
      ...(database === '' ? {} : { database: Number(database) }),
      tls: parsed.protocol === 'rediss:' ? {} : false,
    }
  } catch {
    problems.push('the url has a % that is no percent-encoding') // the URIError says nothing more
    return {}
  }
}
