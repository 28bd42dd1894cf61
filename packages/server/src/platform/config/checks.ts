// Checks. What no single field shows: settings that contradict each other, routes that can't be reached, and what is
// unsafe to run. They see only the sound parts, so that they speak even while other fields are wrong.
// Invariants:
//   CG1. Production refuses open access, a wildcard origin and a default or weak database password.
//   CG2. In any environment, open access refuses a host that others can reach, and trust in every proxy is refused.
//   CG3. A route can't take a path of the control API.
//   CG4. Production refuses to seal secrets with a key that nobody gave it.

import { isLoopbackHost, MASTER_KEY_INSTEAD } from './addresses.ts'
import type { ProblemList } from './problems.ts'
import type { Sound } from './schema-reading.ts'
import { type Settings, UPSTREAMS_MAX } from './settings.ts'
import { closest } from './spelling.ts'

type SoundSettings = Sound<Settings>
type SoundUpstream = NonNullable<NonNullable<SoundSettings['upstreams']>[string]>
type SoundRoute = NonNullable<NonNullable<SoundSettings['routes']>[number]>

/** The control API's own paths, with everything below them. */
export const RESERVED_PATHS = [
  '/v1/mesh',
  '/v1/keys',
  '/v1/tenants',
  '/v1/audit',
  '/v1/events',
  '/v1/event-types',
  '/v1/deliveries',
  '/v1/delivery',
  '/v1/dead-letters',
  '/v1/webhooks',
  '/v1/endpoints',
  '/v1/hooks',
  '/v1/rejected-events',
  '/v1/replays',
  '/v1/deferred',
  '/v1/inbound',
  '/v1/inbound-sources',
  '/v1/sessions',
  '/v1/time',
  '/ws',
  '/livez',
  '/readyz',
  '/ready',
  '/health',
  '/metrics',
  '/openapi.json',
  '/docs',
] as const

/** Pages: these paths alone, and nothing below them. */
export const RESERVED_PAGES = ['/', '/webhooks'] as const

export interface Findings {
  readonly problems: ProblemList
  readonly warnings: ProblemList
}

/** Adds what is wrong between the settings. */
export function checkSettings(settings: SoundSettings, findings: Findings): void {
  checkAccess(settings, findings)
  checkOrigins(settings, findings)
  checkPostgres(settings, findings)
  checkSecrets(settings, findings)
  checkSessions(settings, findings)
  const upstreams = Object.entries(settings.upstreams ?? {})
  if (upstreams.length > UPSTREAMS_MAX) {
    findings.problems.add(['upstreams'], 'are too many', `write at most ${UPSTREAMS_MAX}`)
  }
  for (const [name, upstream] of upstreams)
    if (upstream !== undefined) checkUpstream(name, upstream, settings, findings)
  checkRoutes(settings, findings)
}

/** What `access.mode` means when it is left out. */
export function accessModeOf(settings: SoundSettings): 'open' | 'keys' {
  const local = isLoopbackHost(settings.server?.host ?? '') && settings.server?.environment === 'development'
  return settings.access?.mode ?? (local ? 'open' : 'keys')
}

function checkAccess(settings: SoundSettings, { problems }: Findings): void {
  if (accessModeOf(settings) !== 'open') return
  if (settings.server?.environment === 'production') {
    problems.add(
      ['access', 'mode'],
      'is open, which production refuses',
      'write keys, and open single routes with access: open',
    )
  }
  if (!isLoopbackHost(settings.server?.host ?? '')) {
    problems.add(
      ['access', 'mode'],
      'is open on an address that others can reach (an open bind)',
      'write keys, or listen on 127.0.0.1',
    )
  }
}

function checkOrigins(settings: SoundSettings, { problems, warnings }: Findings): void {
  const production = settings.server?.environment === 'production'
  for (const [index, origin] of (settings.server?.allowed_origins ?? []).entries()) {
    const path = ['server', 'allowed_origins', index]
    if (!production || origin === undefined) continue
    if (origin === '*') problems.add(path, 'is a wildcard, which production refuses', 'name each origin')
    else if (origin.startsWith('http://')) {
      warnings.add(path, 'is plain http in production: what it sends can be read and changed on the way', 'use https')
    }
  }
}

const WEAK_PASSWORDS: ReadonlySet<string> = new Set([
  ...['postgres', 'postgresql', 'password', 'passw0rd', 'changeme', 'change-me', 'change_me', 'changeit', 'default'],
  ...[
    'secret',
    'admin',
    'administrator',
    'root',
    'test',
    'testing',
    'example',
    'ripstop',
    'qwerty',
    'letmein',
    'welcome',
  ],
  ...['pgpassword', 'database', 'mysecretpassword', 'supersecret', 'development', 'localhost', 'placeholder'],
])
const PASSWORD_LENGTH_MIN = 8

function isWeak(password: string, user: string): boolean {
  const plain = password.toLowerCase()
  const withoutTail = plain.replace(/[0-9!@#$%^&*._-]+$/, '') // password123! is password
  return (
    password.length < PASSWORD_LENGTH_MIN ||
    plain === user ||
    WEAK_PASSWORDS.has(plain) ||
    WEAK_PASSWORDS.has(withoutTail)
  )
}

function checkPostgres(settings: SoundSettings, { problems, warnings }: Findings): void {
  const { url, wait_ms: waitMs = 0, deadline_ms: deadlineMs = Infinity } = settings.postgres ?? {}
  if (waitMs > deadlineMs) {
    problems.add(
      ['postgres', 'wait_ms'],
      'is longer than postgres.deadline_ms, which covers it',
      'make it the shorter of the two',
    )
  }
  if (url === undefined || settings.server?.environment !== 'production') return
  if (isWeak(url.password?.reveal() ?? '', url.user.toLowerCase())) {
    const instead = `set one of ${PASSWORD_LENGTH_MIN} characters or more that is not a common word`
    problems.add(['postgres', 'url'], 'has a missing, default or weak password, which production refuses', instead)
  }
  if (url.tls === 'off' && !url.hosts.every(({ host }) => isLoopbackHost(host))) {
    warnings.add(['postgres', 'url'], 'crosses a network without TLS in production', 'add ?sslmode=verify-full')
  }
}

function checkSecrets(settings: SoundSettings, { problems }: Findings): void {
  const path = ['secrets', 'master_key']
  const isMissing = (settings.secrets?.master_key ?? []).length === 0 && !problems.has(path)
  if (isMissing && settings.server?.environment === 'production') {
    problems.add(path, 'is missing, which production refuses', `${MASTER_KEY_INSTEAD}, into RIPSTOP_MASTER_KEY`)
  }
  const { secret_overlap_hours: overlapHours = 0, secret_max_age_days: maxAgeDays = Infinity } = settings.webhooks ?? {}
  if (overlapHours >= maxAgeDays * 24) {
    const instead = 'make it the shorter of the two'
    problems.add(['webhooks', 'secret_overlap_hours'], 'is not shorter than webhooks.secret_max_age_days', instead)
  }
}

function checkSessions({ sessions, redis }: SoundSettings, { problems }: Findings): void {
  if (sessions?.store !== 'redis' || redis?.url !== undefined || problems.has(['redis', 'url'])) return
  problems.add(['sessions', 'store'], 'is redis, but redis.url is not set', 'set it, or write auto')
}

function checkUpstream(name: string, upstream: SoundUpstream, settings: SoundSettings, { problems }: Findings): void {
  const at = (...rest: string[]) => ['upstreams', name, ...rest]
  const { deadline_ms: deadlineMs = Infinity, retry = {}, breaker = {}, url } = upstream
  if ((retry.cap_ms ?? 0) >= deadlineMs) {
    problems.add(
      at('retry', 'cap_ms'),
      'is not shorter than deadline_ms: one pause would use all the time',
      'make it shorter',
    )
  }
  if (retry.base_ms !== undefined && retry.cap_ms !== undefined && retry.base_ms > retry.cap_ms) {
    problems.add(at('retry', 'base_ms'), 'is longer than retry.cap_ms', 'make it the shorter of the two')
  }
  if ((breaker.open_ms ?? 0) > (breaker.open_ms_max ?? Infinity)) {
    problems.add(at('breaker', 'open_ms'), 'is longer than breaker.open_ms_max', 'make it the shorter of the two')
  }
  if (url === undefined) return
  const { host, port } = settings.server ?? {}
  const ownHost = url.host === host || (isLoopbackHost(url.host) && isLoopbackHost(host ?? ''))
  if (ownHost && url.port === port) {
    problems.add(
      at('url'),
      'is the address of the mesh itself: calls would go round for ever',
      'write where the service listens',
    )
  }
}

function checkRoutes(settings: SoundSettings, findings: Findings): void {
  const firstWith = new Map<string, number>()
  for (const [index, route] of (settings.routes ?? []).entries()) {
    if (route === undefined) continue
    checkRoutePath(index, route.path, firstWith, findings)
    checkRoute(index, route, settings, findings)
  }
}

function checkRoutePath(
  index: number,
  path: string | undefined,
  firstWith: Map<string, number>,
  { problems }: Findings,
): void {
  if (path === undefined) return
  const at = ['routes', index, 'path']
  const plain = path.replace(/\/$/, '')
  const page = RESERVED_PAGES.find((own) => own === (plain === '' ? '/' : plain))
  const reserved = page ?? RESERVED_PATHS.find((own) => plain === own || plain.startsWith(`${own}/`))
  if (reserved !== undefined) {
    problems.add(at, `belongs to the mesh's own ${reserved}`, 'choose a path outside it, /api for example')
  }
  const first = firstWith.get(plain)
  if (first === undefined) firstWith.set(plain, index)
  else problems.add(at, `is the path of routes[${first}] too, so that this route is never reached`, 'leave one of them')
}

function checkRoute(index: number, route: SoundRoute, settings: SoundSettings, { problems }: Findings): void {
  const at = (setting: string) => ['routes', index, setting]
  const names = Object.keys(settings.upstreams ?? {})
  if (route.upstream !== undefined && !names.includes(route.upstream)) {
    const meant = closest(route.upstream, names)
    const choices = names.length === 0 ? 'add it under upstreams' : `write one of ${names.slice(0, 20).join(', ')}`
    problems.add(
      at('upstream'),
      'names no upstream of this file',
      meant === undefined ? choices : `did you mean ${meant}?`,
    )
  }
  const upstreamMs = settings.upstreams?.[route.upstream ?? '']?.deadline_ms ?? Infinity
  if ((route.deadline_ms ?? 0) > upstreamMs) {
    problems.add(at('deadline_ms'), "is longer than its upstream's deadline_ms", 'make it shorter, or the other longer')
  }
  if (route.access === 'open' && (route.scopes ?? []).length > 0) {
    problems.add(at('scopes'), 'need an API key, but access is open', 'write access: key, or leave the scopes out')
  }
  if (route.websocket === true && route.methods !== undefined && !route.methods.includes('GET')) {
    problems.add(at('methods'), 'lack GET, with which every WebSocket begins', 'add GET, or write websocket: false')
  }
}
