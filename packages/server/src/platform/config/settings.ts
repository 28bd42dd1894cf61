// Settings. The shape of ripstop.yaml as one zod schema: bounds, defaults and descriptions live here and nowhere else;
// the JSON Schema for editors, the hints in problems and the types of the domain are all derived from it.
// It is built by a function, not at import: building costs 9 ms and 4 MB cold (2026-11, Node 24), and most of the CLI's
// commands need none of it. Every number has a least and a most, and its unit in its name.

import { z } from 'zod'
import {
  isPlainPath,
  PLAIN_PATH,
  parseOrigin,
  parsePostgresUrl,
  parseRedisUrl,
  parseTrustedProxies,
  parseUpstreamUrl,
} from './addresses.ts'
import {
  deferredSettings,
  deliverySettings,
  egressSettings,
  eventsSettings,
  secretsSettings,
  webhooksSettings,
} from './delivery-settings.ts'
import { sessionLimitsSettings, sessionsSettings } from './session-settings.ts'
import { address, addresses, DAY_MS, duration, meta, number, TEXT_MAX, whole } from './setting-kinds.ts'

export const ROLES = ['edge', 'work'] as const
export const UPSTREAMS_MAX = 256
export const ROUTES_MAX = 1_024
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

const host = (description: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:.]{2,45}$/, 'is not a host name or an address')
    .meta(meta(description, '127.0.0.1'))

const serverSettings = () =>
  z.strictObject({
    host: host('Address to listen on.').default('127.0.0.1'),
    port: whole(0, 65_535, 'Port to listen on; 0 picks a free one.').default(3_000),
    allowed_origins: z
      .array(address(parseOrigin).meta(meta('An origin, or *.', 'https://app.example.com')))
      .max(256)
      .default([])
      .describe('Web origins that browsers may call from. * is refused in production.'),
    trust_proxy: addresses(parseTrustedProxies, 64)
      .prefault('none')
      .meta(
        meta(
          'Whose X-Forwarded-* headers are believed: none, loopback or CIDR blocks.',
          'none',
          'loopback',
          '10.0.0.0/8',
        ),
      ),
    shutdown_ms: duration(600_000, 'Longest graceful shutdown').default(10_000),
    body_bytes_max: whole(1, 1_073_741_824, 'Largest request body, bytes.').default(1_048_576),
    header_bytes_max: whole(1_024, 1_048_576, 'Largest request head, bytes.').default(16_384),
    environment: z
      .enum(['development', 'production'])
      .default('development')
      .describe('production refuses to start on unsafe settings.'),
    roles: z
      .array(z.enum(ROLES).describe('A group of work.'))
      .min(1)
      .max(ROLES.length)
      .default([...ROLES])
      .describe('What this machine runs: edge (gateway, control API), work (durable work).'),
    state_dir: z
      .string()
      .min(1)
      .max(TEXT_MAX)
      .optional()
      .meta(meta('Where state is kept; default .ripstop beside this file, else in the working directory.', '.ripstop')),
  })

const accessSettings = () =>
  z.strictObject({
    mode: z
      .enum(['open', 'keys'])
      .optional()
      .describe('open needs no API key. Default: open on a loopback host in development, else keys.'),
  })

const postgresSettings = () =>
  z.strictObject({
    url: address(parsePostgresUrl)
      .optional()
      .meta(
        meta('An external Postgres; without it the mesh runs its own.', 'postgres://user:password@host:5432/database'),
      ),
    pool_size: whole(1, 1_000, 'Connections in the pool.').default(10),
    wait_ms: duration(60_000, 'Longest wait for a connection').default(1_000),
    deadline_ms: duration(600_000, 'Longest call, waiting included').default(2_000),
    statement_timeout_ms: duration(600_000, 'After this the server itself stops a statement').default(5_000),
    session_settings: z
      .enum(['auto', 'startup', 'none'])
      .default('auto')
      .describe('How time-outs reach the server: startup parameters, none (a pooler refuses them), or found out.'),
  })

const redisSettings = () =>
  z.strictObject({
    url: address(parseRedisUrl)
      .optional()
      .meta(meta('Redis or Valkey; optional. rediss:// for TLS.', 'redis://:password@host:6379/0')),
    deadline_ms: duration(60_000, 'Longest call').default(250),
  })

const logSettings = () =>
  z.strictObject({
    level: z
      .enum(['debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('The least important level that is written.'),
    format: z
      .enum(['auto', 'json', 'text'])
      .default('auto')
      .describe('json for machines, text for people; auto is text on a terminal.'),
  })

const breakerSettings = () =>
  z.strictObject({
    failure_rate: number(0.01, 1, 'Opens at this share of failed calls, 0.01 to 1.').default(0.5),
    minimum_calls: whole(1, 1_000_000, 'Calls in the window below which it never opens.').default(20),
    window_ms: whole(100, 3_600_000, 'Length of the window, ms.').default(10_000),
    open_ms: duration(3_600_000, 'First pause; doubles while the upstream keeps failing').default(1_000),
    open_ms_max: duration(3_600_000, 'Longest pause').default(30_000),
  })

const guaranteeSettings = () => ({
  deadline_ms: duration(DAY_MS, 'Longest call, queueing and retries included').default(5_000),
  retry: z
    .strictObject({
      attempts: whole(1, 10, 'Attempts in all; 1 is no retry.').default(3),
      base_ms: whole(0, 60_000, 'The pause before retry n is random, up to this times 2^n, ms; default 25.').optional(),
      cap_ms: whole(0, 600_000, 'Longest such pause, ms; default 1000, or the deadline if that is shorter.').optional(),
    })
    .prefault({})
    .describe('Repeats failed calls that are safe to repeat.'),
  budget: z
    .strictObject({
      share: number(0, 1, 'Retries earned by a call, 0 to 1.').default(0.2),
      per_second: number(0.001, 1_000, 'Retries a second that need no traffic.').default(3),
    })
    .prefault({})
    .describe('What all retries together may spend.'),
  breaker: breakerSettings().prefault({}).describe('Stops calling an upstream that mostly fails.'),
  bulkhead: z
    .strictObject({
      concurrent: whole(1, 100_000, 'Calls under way at once.').default(256),
      queue: whole(0, 100_000, 'Calls that may wait for a place.').default(512),
    })
    .prefault({})
    .describe('Keeps one upstream from taking everything.'),
  rate: z
    .strictObject({
      per_second: number(0.001, 10_000_000, 'Calls a second.'),
      burst: whole(1, 10_000_000, 'Calls at once after a calm.'),
    })
    .optional()
    .describe('Most calls that the upstream may get; unlimited if left out.'),
})

const upstreamSettings = () =>
  z.strictObject({
    url: address(parseUpstreamUrl).meta(
      meta('http or https, host, optional port and path prefix.', 'http://127.0.0.1:4001'),
    ),
    probe: z
      .strictObject({
        path: plainPath('Answers 2xx when the upstream can work.', '/health').default('/health'),
        every_ms: whole(100, 3_600_000, 'Pause between probes, ms.').default(5_000),
        deadline_ms: duration(60_000, 'Longest probe').default(1_000),
      })
      .prefault({})
      .describe('How the upstream proves that it is there.'),
    ...guaranteeSettings(),
    connections: whole(1, 10_000, 'Most connections.').default(64),
    critical: z.boolean().default(false).describe('The mesh is not ready while this upstream is down.'),
    recover_within_ms: duration(DAY_MS, 'Back at work this long after the upstream is back').default(1_500),
  })

const plainPath = (description: string, example: string) =>
  z
    .string()
    .max(1_024)
    .superRefine((path, context) => {
      if (path.startsWith('/') && isPlainPath(path)) return
      context.addIssue({ code: 'custom', message: 'is not a plain path', params: { instead: PLAIN_PATH } })
    })
    .meta(meta(description, example))

const routeSettings = () =>
  z.strictObject({
    path: plainPath('Prefix, matched on whole segments; the longest wins.', '/orders'),
    upstream: z.string().max(63).meta(meta('A name from upstreams.', 'orders')),
    methods: z
      .array(z.enum(METHODS).describe('An HTTP method.'))
      .min(1)
      .max(METHODS.length)
      .optional()
      .describe('Methods that are let through; all if left out.'),
    strip_prefix: z.boolean().default(false).describe('Takes the path off before the upstream sees it.'),
    upstream_idempotent: z
      .boolean()
      .default(false)
      .describe('A POST that may have arrived is repeated only where the upstream keeps the Idempotency-Key.'),
    deadline_ms: duration(DAY_MS, "Longest call; at most the upstream's deadline").optional(),
    access: z.enum(['open', 'key']).optional().describe('Whether an API key is needed; default as access.mode says.'),
    scopes: z
      .array(
        z
          .string()
          .regex(/^[a-z][a-z0-9_.:*-]{0,63}$/, 'is not a scope')
          .meta(meta('A scope.', 'orders:read')),
      )
      .max(32)
      .default([])
      .describe('What the API key must be allowed, all of them.'),
    rate_limit: z
      .strictObject({
        per_minute: whole(1, 100_000_000, 'Requests a minute.').default(1_000),
        by: z
          .enum(['ip', 'key', 'both'])
          .default('both')
          .describe('Who is counted: the address, the API key, each of them.'),
      })
      .prefault({})
      .describe('Most requests of one client.'),
    websocket: z.boolean().default(false).describe('Passes WebSocket upgrades through.'),
    body_bytes_max: whole(1, 1_073_741_824, "Largest request body, bytes; default the server's.").optional(),
  })

/** The whole file. Builds it anew: keep it for one parse. */
export function createSettingsSchema() {
  return z.strictObject({
    server: serverSettings().prefault({}).describe('The one port of the mesh, and the process.'),
    access: accessSettings().prefault({}).describe('Who may call.'),
    postgres: postgresSettings().prefault({}).describe('The durable truth.'),
    redis: redisSettings().prefault({}).describe('Shared rate limits and fan-out; optional.'),
    log: logSettings().prefault({}).describe('What is written to stdout.'),
    secrets: secretsSettings().prefault({}).describe('What secrets are kept under.'),
    egress: egressSettings().prefault({}).describe("Requests to strangers' addresses."),
    events: eventsSettings().prefault({}).describe('What is published.'),
    delivery: deliverySettings().prefault({}).describe('The engine that sends, repeats and remembers.'),
    webhooks: webhooksSettings().prefault({}).describe('Endpoints and their secrets.'),
    deferred: deferredSettings().prefault({}).describe('Requests that are answered later (Prefer: respond-async).'),
    sessions: sessionsSettings().prefault({}).describe('Live sessions.'),
    session_limits: sessionLimitsSettings().prefault({}).describe("How much one caller may ask of the sessions' API."),
    upstreams: z
      .record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/), upstreamSettings())
      .default({})
      .describe('The services behind the gateway, by name.'),
    routes: z.array(routeSettings()).max(ROUTES_MAX).default([]).describe('Which paths go where.'),
  })
}

export type SettingsSchema = ReturnType<typeof createSettingsSchema>
/** What the schema makes of the file: still in the file's names. */
export type Settings = z.output<SettingsSchema>
