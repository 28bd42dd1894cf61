// HTTP. A generation is a pool of connections to one origin, and one connection more that only probes use: a pool whose
// connections are all busy or hung must not make a living peer look dead (L6). Nothing is shared between calls, so losing
// the generation lets them finish. Every option of undici that bounds something is set here.

import type { ConnectionOptions } from 'node:tls'
import { Client, Pool } from 'undici'
import type { Adapter } from '../../adapter.ts'
import { RipstopError } from '../../errors.ts'
import { httpFault } from './fault.ts'
import { HttpPool } from './http-pool.ts'
import { probeOnce } from './probe.ts'

export interface HttpAdapterOptions {
  /** Scheme, host and port: `http://127.0.0.1:4001`. */
  readonly origin: string
  /** Most connections for calls; one more is kept for probes. */
  readonly connections?: number
  /** Without `path` any HTTP answer to `HEAD /` proves the round trip; with it, one that is not a 5xx. */
  readonly probe?: { readonly path?: string; readonly method?: 'GET' | 'HEAD' | 'OPTIONS' }
  readonly connectTimeoutMs?: number
  /** Second belts behind the deadlines of calls, ms; 0: none. */
  readonly headersTimeoutMs?: number
  /** Longest silence inside an answer's body, ms; 0: none. */
  readonly bodyTimeoutMs?: number
  /** An idle connection is closed after this, ms; below the peer's own, so that requests don't meet its FIN. */
  readonly keepAliveTimeoutMs?: number
  readonly headerBytesMax?: number
  /** Certificates and names for https; verified unless it says otherwise. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>
}

/** Throws CONFIG_INVALID for an origin that is not `http(s)://host[:port]` or a bound out of range. */
export function createHttpAdapter(options: HttpAdapterOptions): Adapter<HttpPool> {
  const origin = parseOrigin(options.origin)
  const connections = options.connections ?? 64
  const shared = createClientOptions(options)
  const probe = createProbe(options.probe)
  checkBounds({ ...shared, connections })
  return {
    kind: 'http',
    target: origin,
    sharedFate: false,
    open: () => {
      const pool = new Pool(origin, { ...shared, connections, clientTtl: null })
      return Promise.resolve(new HttpPool(pool, () => new Client(origin, shared)))
    },
    probe: (resource, ctx) => probeOnce(resource.probes, probe, ctx),
    close: (resource, because) => resource.close(because === 'drained'),
    fault: (error) => httpFault(error),
    pool: (resource) => resource.gauges(),
  }
}

function createProbe(given: HttpAdapterOptions['probe']): {
  path: string
  method: 'GET' | 'HEAD' | 'OPTIONS'
  strict: boolean
} {
  const strict = given?.path !== undefined
  return { path: given?.path ?? '/', method: given?.method ?? (strict ? 'GET' : 'HEAD'), strict }
}

function createClientOptions(options: HttpAdapterOptions) {
  return {
    connectTimeout: options.connectTimeoutMs ?? 1_000,
    headersTimeout: options.headersTimeoutMs ?? 300_000,
    bodyTimeout: options.bodyTimeoutMs ?? 60_000,
    keepAliveTimeout: options.keepAliveTimeoutMs ?? 4_000,
    keepAliveMaxTimeout: 60_000, // whatever the peer's Keep-Alive header hopes for
    keepAliveTimeoutThreshold: 1_000,
    pipelining: 1, // a second request behind a slow one would be head-of-line blocking
    maxHeaderSize: options.headerBytesMax ?? 32_768,
    maxResponseSize: -1, // bodies are streamed or bounded by who reads them
    strictContentLength: true,
    maxCachedSessions: 16,
    allowH2: false,
    autoSelectFamily: true,
    connect: {
      timeout: options.connectTimeoutMs ?? 1_000,
      keepAlive: true,
      keepAliveInitialDelay: 10_000,
      ...options.tls,
    },
  }
}

function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const bare = url !== undefined && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
  if (bare && (url.protocol === 'http:' || url.protocol === 'https:')) return url.origin
  throw new RipstopError(
    'CONFIG_INVALID',
    'http: origin must be http://host:port or https://host:port, and nothing more',
  )
}

function checkBounds(bounds: Readonly<Record<string, unknown>>): void {
  const least: Readonly<Record<string, number>> = {
    connections: 1,
    connectTimeout: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: 1,
    maxHeaderSize: 1_024,
  }
  const problems = Object.entries(least)
    .filter(([name, min]) => !(Number.isInteger(bounds[name]) && Number(bounds[name]) >= min))
    .map(([name, min]) => `${name} is ${String(bounds[name])}, must be a whole number from ${min}`)
  if (problems.length > 0)
    throw new RipstopError('CONFIG_INVALID', `http: ${problems.join('; ')}`, { details: { problems } })
}
