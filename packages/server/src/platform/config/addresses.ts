// Addresses. Texts that name peers and networks, parsed by hand: WHATWG URL knows no list of hosts, and its errors
// quote what they were given. Every parser answers with the address or with a complaint that quotes nothing.
// Sources: libpq 34.1.1 (connection URIs), RFC 3986, RFC 6454 (origins).

import { BlockList, isIP } from 'node:net'
import { Secret } from './secret.ts'

/** Why a text is not an address, and what to write instead. Neither may hold any part of the text. */
export interface Complaint {
  readonly wrong: string
  readonly instead: string
}

export type Parsed<T> = { readonly value: T } | Complaint

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface PostgresUrl {
  /** In order of preference; the writable one is used. */
  readonly hosts: readonly HostPort[]
  readonly user: string
  readonly password: Secret | undefined
  readonly database: string
  /** `encrypt` doesn't check whose certificate it is, `verify` does. */
  readonly tls: 'off' | 'encrypt' | 'verify'
  /** Certificates to trust instead of the system's. */
  readonly caFile: string | undefined
  readonly applicationName: string | undefined
  /** May be shown. */
  readonly redacted: string
}

export interface RedisUrl extends HostPort {
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: Secret | undefined
  readonly database: number
  /** May be shown. */
  readonly redacted: string
}

export interface UpstreamUrl extends HostPort {
  readonly tls: boolean
  /** Scheme, host and port, without a closing slash. */
  readonly origin: string
  /** Put before every path; empty or starting with a slash, never ending with one. */
  readonly pathPrefix: string
  /** May be shown: it can't hold credentials. */
  readonly redacted: string
}

const HOSTS_MAX = 16

interface UrlParts {
  readonly scheme: string
  readonly user: string | undefined
  readonly password: string | undefined
  readonly hosts: readonly { readonly host: string; readonly port: number | undefined }[]
  readonly path: string
  readonly query: string
}

const complaint = (wrong: string, instead: string): Complaint => ({ wrong, instead })

/** Hosts as they are written in a URL: IPv6 in brackets. */
export function writeHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function splitUrl(text: string, example: string): Parsed<UrlParts> {
  const hint = text.includes('@') ? '; percent-encode : / ? # [ ] @ and % in user and password' : ''
  const instead = `write ${example}${hint}`
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i.exec(text)
  if (match === null) return complaint('is not a URL of the right form', instead)
  const [, scheme = '', authority = '', path = '', query = ''] = match
  const at = authority.lastIndexOf('@')
  const [user, ...rest] = at < 0 ? [] : authority.slice(0, at).split(':')
  const hosts: { host: string; port: number | undefined }[] = []
  for (const item of authority.slice(at + 1).split(',')) {
    const hostPort = parseHostPort(item)
    if (hostPort === undefined) return complaint('has a host or port that cannot be read', instead)
    hosts.push(hostPort)
  }
  if (hosts.length > HOSTS_MAX) return complaint(`names more than ${HOSTS_MAX} hosts`, instead)
  const decodedUser = decode(user)
  const decodedPassword = decode(rest.length === 0 ? undefined : rest.join(':'))
  if (decodedUser === 'undecodable' || decodedPassword === 'undecodable') {
    return complaint('has a % in user or password that is no percent-encoding', 'write %25 for a single %')
  }
  return {
    value: {
      scheme: scheme.toLowerCase(),
      user: decodedUser?.text,
      password: decodedPassword?.text,
      hosts,
      path,
      query,
    },
  }
}

function parseHostPort(text: string): { host: string; port: number | undefined } | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9]([a-z0-9._-]*[a-z0-9])?))(?::([0-9]{1,5}))?$/i.exec(text)
  if (match === null) return undefined
  const host = (match[1] ?? match[2] ?? '').toLowerCase()
  if (host.length > 253 || (match[1] !== undefined && isIP(host) !== 6)) return undefined
  if (match[4] === undefined) return { host, port: undefined }
  const port = Number(match[4])
  return port >= 1 && port <= 65_535 ? { host, port } : undefined
}

function decode(text: string | undefined): { readonly text: string } | 'undecodable' | undefined {
  if (text === undefined || text === '') return undefined
  try {
    return { text: decodeURIComponent(text) }
  } catch {
    return 'undecodable' // the URIError says nothing more
  }
}

const POSTGRES_EXAMPLE = 'postgres://user:password@host:5432/database'
const POSTGRES_PARAMETERS = 'sslmode, sslrootcert and application_name'
const TLS_OF_SSLMODE: Readonly<Record<string, PostgresUrl['tls']>> = {
  disable: 'off',
  require: 'encrypt',
  'verify-ca': 'verify',
  'verify-full': 'verify',
}

/** postgres://user:password@h1:5432,h2:5432/database?sslmode=… */
export function parsePostgresUrl(text: string): Parsed<PostgresUrl> {
  const parsed = splitUrl(text, POSTGRES_EXAMPLE)
  if ('wrong' in parsed) return parsed
  const { scheme, user, password, hosts, path, query } = parsed.value
  if (scheme !== 'postgres' && scheme !== 'postgresql')
    return complaint('is not a Postgres URL', `write ${POSTGRES_EXAMPLE}`)
  if (user === undefined) return complaint('names no user', `write ${POSTGRES_EXAMPLE}`)
  const database = decode(path.slice(1))
  if (database === 'undecodable' || path.slice(1).includes('/')) {
    return complaint('has a database name that cannot be read', `write ${POSTGRES_EXAMPLE}`)
  }
  const parameters = new URLSearchParams(query)
  const known = ['sslmode', 'sslrootcert', 'application_name']
  if ([...parameters.keys()].some((key) => !known.includes(key))) {
    return complaint('has a parameter that is not supported', `leave only ${POSTGRES_PARAMETERS}`)
  }
  const tls = TLS_OF_SSLMODE[parameters.get('sslmode') ?? 'disable']
  if (tls === undefined) {
    return complaint('has an sslmode that is not supported', `write one of ${Object.keys(TLS_OF_SSLMODE).join(', ')}`)
  }
  const all = hosts.map(({ host, port }) => ({ host, port: port ?? 5432 }))
  const name = database?.text ?? user
  return {
    value: {
      hosts: all,
      user,
      password: password === undefined ? undefined : new Secret(password),
      database: name,
      tls,
      caFile: parameters.get('sslrootcert') ?? undefined,
      applicationName: parameters.get('application_name') ?? undefined,
      redacted: `postgres://${writeUser(user, password)}${writeHosts(all)}/${encodeURIComponent(name)}`,
    },
  }
}

function writeUser(user: string | undefined, password: string | undefined): string {
  if (user === undefined && password === undefined) return ''
  return `${encodeURIComponent(user ?? '')}${password === undefined ? '' : ':***'}@`
}

function writeHosts(hosts: readonly HostPort[]): string {
  return hosts.map(({ host, port }) => `${writeHost(host)}:${port}`).join(',')
}

const REDIS_EXAMPLE = 'redis://user:password@host:6379/0 or rediss://… for TLS'

/** redis://user:password@host:6379/0, rediss:// for TLS. */
export function parseRedisUrl(text: string): Parsed<RedisUrl> {
  const parsed = splitUrl(text, REDIS_EXAMPLE)
  if ('wrong' in parsed) return parsed
  const { scheme, user, password, hosts, path, query } = parsed.value
  if (scheme !== 'redis' && scheme !== 'rediss') return complaint('is not a Redis URL', `write ${REDIS_EXAMPLE}`)
  const [first, second] = hosts
  if (first === undefined || second !== undefined) return complaint('names several hosts', `write ${REDIS_EXAMPLE}`)
  if (query !== '') return complaint('has parameters, and none is supported', 'leave out everything from the ? on')
  const database = /^\/?$/.test(path) ? 0 : /^\/\d{1,4}$/.test(path) ? Number(path.slice(1)) : undefined
  if (database === undefined) return complaint('has a database that is not a number', `write ${REDIS_EXAMPLE}`)
  const port = first.port ?? 6379
  return {
    value: {
      host: first.host,
      port,
      tls: scheme === 'rediss',
      username: user,
      password: password === undefined ? undefined : new Secret(password),
      database,
      redacted: `${scheme}://${writeUser(user, password)}${writeHost(first.host)}:${port}/${database}`,
    },
  }
}

const UPSTREAM_EXAMPLE = 'http://host:port or https://host:port/prefix'

/** http or https, one host, an optional path prefix; no credentials, parameters or fragment. */
export function parseUpstreamUrl(text: string): Parsed<UpstreamUrl> {
  const parsed = splitUrl(text, UPSTREAM_EXAMPLE)
  if ('wrong' in parsed) return parsed
  const { scheme, user, password, hosts, path, query } = parsed.value
  if (scheme !== 'http' && scheme !== 'https')
    return complaint('is not an http or https URL', `write ${UPSTREAM_EXAMPLE}`)
  if (user !== undefined || password !== undefined) {
    return complaint('holds credentials', 'leave out everything before the @; the gateway passes the caller’s own on')
  }
  const [first, second] = hosts
  if (first === undefined || second !== undefined) return complaint('names several hosts', `write ${UPSTREAM_EXAMPLE}`)
  if (query !== '') return complaint('has parameters', 'leave out everything from the ? on')
  if (!isPlainPath(path)) return complaint('has a path prefix that is not plain', PLAIN_PATH)
  const port = first.port ?? (scheme === 'https' ? 443 : 80)
  const origin = `${scheme}://${writeHost(first.host)}:${port}`
  const pathPrefix = path.replace(/\/$/, '')
  return {
    value: { host: first.host, port, tls: scheme === 'https', origin, pathPrefix, redacted: `${origin}${pathPrefix}` },
  }
}

export const PLAIN_PATH = 'write segments of letters, digits and - . _ ~ ! $ & * + = : @ between single slashes'

/** Nothing that two readers could understand differently: no %, no //, no . or .. segment. Empty is plain. */
export function isPlainPath(path: string): boolean {
  if (!/^(\/[A-Za-z0-9._~!$&*+=:@-]+)*\/?$/.test(path)) return false
  return !path.split('/').some((segment) => segment === '.' || segment === '..')
}

/** An origin as browsers write it (lower case, no default port), or `*`. */
export function parseOrigin(text: string): Parsed<string> {
  const instead = 'write https://host or https://host:port, with nothing after it'
  if (text === '*') return { value: '*' }
  const parsed = splitUrl(text, 'https://host or https://host:port')
  if ('wrong' in parsed) return complaint('is not an origin', instead)
  const { scheme, user, password, hosts, path, query } = parsed.value
  const [first, second] = hosts
  const bare = user === undefined && password === undefined && path === '' && query === ''
  if (!/^https?$/.test(scheme) || first === undefined || second !== undefined || !bare) {
    return complaint('is not an origin', instead)
  }
  const shown = first.port === undefined || first.port === (scheme === 'https' ? 443 : 80) ? '' : `:${first.port}`
  return { value: `${scheme}://${writeHost(first.host)}${shown}` }
}

const LOOPBACK_NETWORKS = ['127.0.0.0/8', '::1/128']

/** `none`, `loopback`, addresses and CIDR blocks; a list or comma-separated. The result is a list of CIDR blocks. */
export function parseTrustedProxies(words: readonly string[]): Parsed<readonly string[]> {
  const instead = 'write none, loopback or a list of CIDR blocks such as 10.0.0.0/8'
  const blocks: string[] = []
  for (const word of words) {
    if ((word === 'none' || word === 'false') && words.length === 1) return { value: [] }
    if (word === 'all' || word === '*' || word === 'true' || /\/0+$/.test(word)) {
      return complaint('trusts every peer, so that anybody could forge the client’s address', instead)
    }
    if (word === 'loopback') blocks.push(...LOOPBACK_NETWORKS)
    else {
      const block = parseBlock(word)
      if (block === undefined) return complaint('is not a list of CIDR blocks', instead)
      blocks.push(block)
    }
  }
  return { value: blocks }
}

function parseBlock(word: string): string | undefined {
  const [address = '', bits, more] = word.split('/')
  const family = isIP(address)
  if (family === 0 || address.includes('%') || more !== undefined) return undefined
  const bitsMax = family === 4 ? 32 : 128
  if (bits === undefined) return `${address}/${bitsMax}`
  return /^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= bitsMax ? `${address}/${bits}` : undefined
}

/** Addresses and CIDR blocks that requests to strangers' addresses may lead into. */
export function parseNetworks(words: readonly string[]): Parsed<readonly string[]> {
  const instead = 'write a list of CIDR blocks such as 10.0.0.0/8'
  const blocks: string[] = []
  for (const word of words) {
    if (/\/0+$/.test(word)) return complaint('opens every network, which would switch the guard off', instead)
    const block = parseBlock(word)
    if (block === undefined) return complaint('is not a list of CIDR blocks', instead)
    blocks.push(block)
  }
  return { value: blocks }
}

const MASTER_KEY = /^[A-Za-z0-9+/]{43}=$/ // 32 bytes
const DIFFERENT_BYTES_MIN = 16 // of 32 random bytes about 30 differ; of a placeholder few

export const MASTER_KEY_INSTEAD =
  'write the output of openssl rand -base64 32; for a rotation the new key, a comma, the old one'

/** Keys in base64, a list or comma-separated; the first one seals, all of them open. */
export function parseMasterKeys(words: readonly string[]): Parsed<readonly Secret[]> {
  const given = words.filter((word) => word !== '')
  for (const word of given) {
    const bytes = Buffer.from(word, 'base64')
    if (!MASTER_KEY.test(word) || bytes.toString('base64') !== word)
      return complaint('is not 32 bytes in base64', MASTER_KEY_INSTEAD)
    if (new Set(bytes).size < DIFFERENT_BYTES_MIN) return complaint('is not random', MASTER_KEY_INSTEAD)
  }
  if (new Set(given).size < given.length) return complaint('holds a key twice', 'leave one of them')
  return { value: given.map((word) => new Secret(word)) }
}

/** Reachable from this machine only. A name other than localhost is not trusted to be. */
export function isLoopbackHost(host: string): boolean {
  if (host === 'localhost') return true
  const family = isIP(host)
  if (family === 0) return false
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8, 'ipv4')
  loopback.addAddress('::1', 'ipv6')
  return loopback.check(host, family === 4 ? 'ipv4' : 'ipv6')
}
