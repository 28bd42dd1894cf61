// The environment. Which variable sets which setting; each wins over the file. The values stay text here: what the
// schema wants in their place is found out when it is parsed.

import { closest } from './spelling.ts'

export type Variables = Readonly<Record<string, string | undefined>>

type Section = 'server' | 'postgres' | 'redis' | 'log' | 'secrets'

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
]

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
