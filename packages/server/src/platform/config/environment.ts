// The environment. Which variable sets which setting; each wins over the file. The values stay text here: what the
// schema wants in their place is found out when it is parsed.

import { closest } from './spelling.ts'

export type Variables = Readonly<Record<string, string | undefined>>

type Section = 'server' | 'postgres' | 'redis' | 'log' | 'secrets' | 'sessions' | 'session_limits'

/** Earlier rows win. */
const SETTINGS_OF_VARIABLES: readonly (readonly [variable: string, section: Section, setting: string])[] = [
  ['HOST', 'server', 'host'],
  ['PORT', 'server', 'port'],
  ['ALLOWED_ORIGINS', 'server', 'allowed_origins'],
  ['TRUST_PROXY', 'server', 'trust_proxy'],
  ['RIPSTOP_ENV', 'server', 'environment'],
  ['NODE_ENV', 'server', 'environment'],
  ['RIPSTOP_ROLES', 'server', 'roles'],
  ['RIPSTOP_STATE_DIR', 'server', 'state_dir'],
  ['DATABASE_URL', 'postgres', 'url'],
  ['REDIS_URL', 'redis', 'url'],
  ['LOG_LEVEL', 'log', 'level'],
  ['LOG_FORMAT', 'log', 'format'],
  ['RIPSTOP_MASTER_KEY', 'secrets', 'master_key'],
  // As deployments of SyncKairos have them.
  ['SESSION_TTL', 'sessions', 'ended_ttl_s'],
  ['RATE_LIMIT_ENABLED', 'session_limits', 'enabled'],
  ['RATE_LIMIT_WINDOW_MS', 'session_limits', 'window_ms'],
  ['RATE_LIMIT_MAX_REQUESTS', 'session_limits', 'reads'],
]

export interface ForeignVariable {
  readonly variable: string
  /** It asks for what would be missed; else it is only said that it does nothing. */
  readonly isRefused: boolean
  readonly wrong: string
  readonly instead: string
}

const MANY_REDIS = {
  wrong: 'asks for Redis Sentinel or Cluster, which sessions can not be kept in yet',
  instead: 'name a single server in REDIS_URL',
}
const NO_SENTRY = { wrong: 'is not taken: failures are told in the log', instead: 'collect stdout' }

/** Variables of SyncKairos's deployments that set nothing here. `when`: the values that are spoken of; any, if left out. */
const FOREIGN_VARIABLES: readonly (Omit<ForeignVariable, 'isRefused'> & {
  readonly isRefused?: true
  readonly when?: (text: string, env: Variables) => boolean
})[] = [
  { variable: 'REDIS_SENTINEL_HOSTS', isRefused: true, ...MANY_REDIS },
  { variable: 'REDIS_SENTINEL_NAME', isRefused: true, ...MANY_REDIS },
  { variable: 'REDIS_CLUSTER_NODES', isRefused: true, ...MANY_REDIS },
  {
    variable: 'ENABLE_CORS',
    isRefused: true,
    when: (text, env) => text === 'false' && variableText(env, 'ALLOWED_ORIGINS') !== undefined,
    wrong: 'contradicts ALLOWED_ORIGINS, which names who may call',
    instead: 'leave one of them out',
  },
  {
    variable: 'ENABLE_CORS',
    when: (text, env) => text !== 'false' && variableText(env, 'ALLOWED_ORIGINS') === undefined,
    wrong: 'is not taken: origins are allowed one by one',
    instead: 'name them in ALLOWED_ORIGINS',
  },
  {
    variable: 'METRICS_PORT',
    wrong: 'is not taken: metrics have no port of their own',
    instead: 'scrape /metrics of the one port',
  },
  {
    variable: 'ENABLE_METRICS',
    when: (text) => text !== 'true',
    wrong: 'is not taken: metrics are always on',
    instead: 'leave it out',
  },
  { variable: 'SENTRY_DSN', ...NO_SENTRY },
  { variable: 'SENTRY_ENVIRONMENT', ...NO_SENTRY },
]

export function foreignVariables(env: Variables): readonly ForeignVariable[] {
  return FOREIGN_VARIABLES.flatMap(({ variable, isRefused = false, when, wrong, instead }) => {
    const text = variableText(env, variable)
    if (text === undefined || when?.(text, env) === false) return []
    return [{ variable, isRefused, wrong, instead }]
  })
}

/** Names the file to read. */
export const FILE_VARIABLE = 'RIPSTOP_CONFIG'

export interface VariableText {
  readonly path: readonly [section: Section, setting: string]
  readonly variable: string
  readonly text: string
}

/** The variables that are set, by the JSON of the path that they set. An empty variable counts as not set. */
export function variablesOf(env: Variables): ReadonlyMap<string, VariableText> {
  const set = new Map<string, VariableText>()
  for (const [variable, section, setting] of SETTINGS_OF_VARIABLES) {
    const text = variableText(env, variable)
    const path = [section, setting] as const
    const key = JSON.stringify(path)
    if (text === undefined || set.has(key)) continue
    // Test runners set NODE_ENV=test: that is no third environment.
    set.set(key, { path, variable, text: variable === 'NODE_ENV' && text === 'test' ? 'development' : text })
  }
  return set
}

/** What a variable holds; undefined if it is not set or empty. */
export function variableText(env: Variables, variable: string): string | undefined {
  const text = Object.hasOwn(env, variable) ? env[variable]?.trim() : undefined
  return text === '' ? undefined : text
}

/** Variables that look like one of ours, written wrongly. */
export function unknownVariables(env: Variables): readonly { readonly variable: string; readonly meant: string }[] {
  const own = [FILE_VARIABLE, ...SETTINGS_OF_VARIABLES.map(([variable]) => variable)].filter((name) =>
    name.startsWith('RIPSTOP_'),
  )
  return Object.keys(env)
    .filter(
      (variable) =>
        variable.startsWith('RIPSTOP_') && !own.includes(variable) && variableText(env, variable) !== undefined,
    )
    .flatMap((variable) => {
      const meant = closest(variable, own)
      return meant === undefined ? [] : [{ variable, meant }]
    })
}

/** A list in a variable: `a, b`. */
export function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}
