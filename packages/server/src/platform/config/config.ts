// Config. Everything that is set, parsed once from ripstop.yaml and the environment: expand ${…}, lay the environment
// over the file, turn its texts into what the schema wants, parse, check what no field shows alone. What comes out is
// domain data; nothing after this reads a file or a variable.
// Invariants:
//   CF1. Every problem is reported, together, each with its place and what to write instead.
//   CF2. No value is ever shown: not in a problem, not in a warning; secrets not even in the description.
//   CF3. Whatever the input, nothing but CONFIG_INVALID is thrown.
//   CF4. The result is frozen, all the way down.

import { dirname, isAbsolute, join, normalize } from 'node:path'
import type { PostgresUrl, RedisUrl, UpstreamUrl } from './addresses.ts'
import { accessModeOf, checkSettings } from './checks.ts'
import { foreignVariables, listOf, unknownVariables, type Variables, variablesOf } from './environment.ts'
import { expandTree } from './interpolation.ts'
import { addIssues, type Locate, ProblemList, valueAt, writeOrigin, writePath, writeProblem } from './problems.ts'
import { expectation, isMapping, type Path, settingNames, soundParts } from './schema-reading.ts'
import type { Secret } from './secret.ts'
import { createSettingsSchema, type Settings, type SettingsSchema } from './settings.ts'

type Camel<Name> = Name extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : Name

/** The same data under the names of the domain: `deadline_ms` is `deadlineMs`. */
type Camelized<T> = T extends Secret
  ? T
  : T extends readonly (infer Entry)[]
    ? readonly Camelized<Entry>[]
    : T extends object
      ? { readonly [Key in keyof T as Camel<Key>]: Camelized<T[Key]> }
      : T

type UpstreamSettings = Settings['upstreams'][string]

/** A service behind the gateway. `breaker`, `budget`, `bulkhead`, `rate` and `retry` fit the kernel's guarantees. */
export interface UpstreamConfig extends Omit<Camelized<UpstreamSettings>, 'url' | 'retry'> {
  readonly name: string
  readonly url: UpstreamUrl
  readonly retry: { readonly attempts: number; readonly baseMs: number; readonly capMs: number }
}

/** A path and where it goes; what the file leaves out is filled in from the upstream and the server. */
export interface RouteConfig
  extends Omit<Camelized<Settings['routes'][number]>, 'deadlineMs' | 'access' | 'bodyBytesMax'> {
  /** No closing slash. */
  readonly path: string
  readonly deadlineMs: number
  readonly access: 'open' | 'key'
  readonly bodyBytesMax: number
}

export interface Config {
  readonly server: Omit<Camelized<Settings['server']>, 'stateDir'> & { readonly stateDir: string }
  readonly access: { readonly mode: 'open' | 'keys' }
  /** Without `url` the mesh runs its own Postgres. */
  readonly postgres: Omit<Camelized<Settings['postgres']>, 'url'> & { readonly url: PostgresUrl | undefined }
  /** Without `url` there is no Redis. */
  readonly redis: Omit<Camelized<Settings['redis']>, 'url'> & { readonly url: RedisUrl | undefined }
  readonly log: Camelized<Settings['log']>
  readonly secrets: {
    /** Base64 of 32 bytes each; the first one seals. Empty only in development. */
    readonly masterKey: readonly Secret[]
  }
  readonly egress: Camelized<Settings['egress']>
  readonly events: Camelized<Settings['events']>
  readonly delivery: Camelized<Settings['delivery']>
  readonly webhooks: Camelized<Settings['webhooks']>
  readonly deferred: Camelized<Settings['deferred']>
  readonly sessions: Camelized<Settings['sessions']>
  readonly sessionLimits: Camelized<Settings['session_limits']>
  readonly upstreams: readonly UpstreamConfig[]
  readonly routes: readonly RouteConfig[]
  /** The file that was read. */
  readonly file: string | undefined
  /** What is allowed but unwise: to be logged at start. */
  readonly warnings: readonly string[]
  /** Where each setting that is not a default was written, by its path in the file. */
  readonly sources: Readonly<Record<string, string>>
}

export interface ConfigInput {
  /** What the file holds, or undefined. */
  readonly tree: unknown
  readonly env: Variables
  /** What relative paths in the environment start from. */
  readonly cwd: string
  readonly file?: string
  readonly locate?: Locate
  /** What was found before, such as YAML that can't be read. */
  readonly addFaults?: (problems: ProblemList) => void
}

/** zod compiles a parser at the first use; for one use that costs 5 ms more than it saves (2026-11, Node 24). */
const ONCE = { jitless: true }

/** What `raw` (the content of a file) and the environment set. Throws CONFIG_INVALID with every problem. */
export function parseConfig(raw: unknown, env: Variables): Config {
  return createConfig({ tree: raw, env, cwd: '.' })
}

/** Throws CONFIG_INVALID with every problem, and nothing else (CF1, CF3). */
export function createConfig(input: ConfigInput): Config {
  const variables = variablesOf(input.env)
  const locate = locateBoth(variables, input.locate)
  const problems = new ProblemList(locate)
  const warnings = new ProblemList(locate)
  input.addFaults?.(problems)
  for (const { variable, meant } of unknownVariables(input.env)) {
    warnings.addAt({ kind: 'named', name: variable }, 'is no variable of the mesh', `did you mean ${meant}?`)
  }
  for (const { variable, isRefused, wrong, instead } of foreignVariables(input.env)) {
    ;(isRefused ? problems : warnings).addAt({ kind: 'named', name: variable }, wrong, instead)
  }

  const schema = createSettingsSchema()
  const expanded = expandTree(input.tree ?? {}, input.env, problems)
  const tree = overlay(schema, expanded.tree, variables, problems)
  convertTexts(schema, tree, new Set([...expanded.texts, ...variables.keys()]))
  const parsed = schema.safeParse(tree, ONCE)
  if (!parsed.success) addIssues(problems, schema, tree, parsed.error.issues)
  checkSettings(soundParts(schema, tree), { problems, warnings })
  problems.throwIfAny()
  if (!parsed.success) throw new TypeError('zod refused the settings and named no issue') // no such case is known
  return freeze(
    toConfig(parsed.data, input, {
      warnings: warnings.sorted().map(writeProblem),
      sources: sourcesOf(tree, locate),
    }),
  )
}

/** The environment's paths belong to their variable, entries of lists included; the rest to the file. */
function locateBoth(variables: ReturnType<typeof variablesOf>, inFile: Locate | undefined): Locate {
  return (path, part) => {
    const set = variables.get(JSON.stringify(path.slice(0, 2)))
    if (set !== undefined) return { kind: 'named', name: set.variable }
    return inFile?.(path, part) ?? { kind: 'unknown' }
  }
}

type Tree = Record<string, unknown>

/** The tree with the environment's texts in place; empty sections are left out. */
function overlay(
  schema: SettingsSchema,
  tree: unknown,
  variables: ReturnType<typeof variablesOf>,
  problems: ProblemList,
): Tree {
  if (!isMapping(tree) && !problems.has([]))
    problems.add([], 'is not a mapping', `write settings under ${settingNames(schema, []).join(', ')}`)
  const laid: Tree = Object.fromEntries(
    Object.entries(isMapping(tree) ? tree : {}).filter(([, section]) => section !== null),
  )
  for (const {
    path: [section, setting],
    text,
  } of variables.values()) {
    const given = laid[section] ?? {}
    if (!isMapping(given))
      problems.add([section], 'is the wrong kind of value', `write ${expectation(schema.shape[section])}`)
    laid[section] = { ...(isMapping(given) ? given : {}), [setting]: text }
  }
  return laid
}

/** A text from the environment becomes a number, a boolean or a list where the schema wants one. Changes `tree`. */
function convertTexts(schema: SettingsSchema, tree: Tree, texts: ReadonlySet<string>): void {
  if (texts.size === 0) return
  for (const issue of schema.safeParse(tree, ONCE).error?.issues ?? []) {
    const path = issue.path.filter((key) => typeof key !== 'symbol')
    const key = path.at(-1)
    if (issue.code !== 'invalid_type' || key === undefined || !texts.has(JSON.stringify(path))) continue
    const parent = valueAt(tree, path.slice(0, -1)) as Tree // of the path that zod followed
    const text = parent[key]
    if (typeof text === 'string') parent[key] = convertText(text.trim(), issue.expected)
  }
}

function convertText(text: string, expected: string): unknown {
  if ((expected === 'number' || expected === 'int') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  if (expected === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  if (expected === 'array') return listOf(text)
  return text
}

function toConfig(settings: Settings, input: ConfigInput, rest: Pick<Config, 'warnings' | 'sources'>): Config {
  const mode = accessModeOf(settings)
  const { server, postgres, redis, log, secrets, egress, events, delivery, webhooks, deferred } = settings
  const upstreams = Object.entries(settings.upstreams).map(([name, upstream]) => toUpstream(name, upstream))
  return {
    server: { ...camelized(server), stateDir: stateDirOf(server.state_dir, input) },
    access: { mode },
    postgres: { ...camelized(postgres), url: postgres.url },
    redis: { ...camelized(redis), url: redis.url },
    log: camelized(log),
    secrets: camelized(secrets),
    egress: camelized(egress),
    events: camelized(events),
    delivery: camelized(delivery),
    webhooks: camelized(webhooks),
    deferred: camelized(deferred),
    sessions: camelized(settings.sessions),
    sessionLimits: camelized(settings.session_limits),
    upstreams,
    routes: settings.routes.map((route): RouteConfig => {
      const upstream = settings.upstreams[route.upstream] as UpstreamSettings // checked above
      return {
        ...camelized(route),
        path: route.path.replace(/\/$/, ''),
        deadlineMs: route.deadline_ms ?? upstream.deadline_ms,
        access: route.access ?? (mode === 'open' ? 'open' : 'key'),
        bodyBytesMax: route.body_bytes_max ?? server.body_bytes_max,
      }
    }),
    file: input.file,
    ...rest,
  }
}

function toUpstream(name: string, settings: UpstreamSettings): UpstreamConfig {
  const { attempts, base_ms: baseMs, cap_ms: capMs } = settings.retry
  const cap = capMs ?? Math.max(baseMs ?? 0, Math.min(1_000, settings.deadline_ms))
  return {
    ...camelized(settings),
    name,
    url: settings.url,
    retry: { attempts, baseMs: baseMs ?? Math.min(25, cap), capMs: cap },
  }
}

/** `.ripstop` beside the file, unless it is set: there relative to the file, in the environment to the cwd. */
function stateDirOf(stateDir: string | undefined, { cwd, file, env }: ConfigInput): string {
  const besideFile = file === undefined ? cwd : dirname(file)
  if (stateDir === undefined) return join(besideFile, '.ripstop')
  if (isAbsolute(stateDir)) return normalize(stateDir)
  return join(variablesOf(env).has(JSON.stringify(['server', 'state_dir'])) ? cwd : besideFile, stateDir)
}

/** A copy with the domain's names. Only plain data is gone into: a Secret stays what it is. */
function camelized<T>(value: T): Camelized<T> {
  return camelizedData(value) as Camelized<T> // what the type says, said in code
}

function camelizedData(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelizedData)
  if (!isMapping(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [toCamel(key), camelizedData(entry)]))
}

function toCamel(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** Where every leaf of the tree was written. */
function sourcesOf(tree: unknown, locate: Locate): Readonly<Record<string, string>> {
  const sources: Record<string, string> = {}
  const visit = (value: unknown, path: Path): void => {
    if (isMapping(value)) for (const [key, entry] of Object.entries(value)) visit(entry, [...path, key])
    else sources[writePath(path)] = writeOrigin(locate(path, 'value'))
    if (Array.isArray(value)) for (const [index, entry] of value.entries()) visit(entry, [...path, index])
  }
  visit(tree, [])
  return sources
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const entry of Object.values(value)) freeze(entry)
  return Object.freeze(value)
}
