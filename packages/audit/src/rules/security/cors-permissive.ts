// Cross-origin sharing with everybody: any web site may call this from the browser of whoever visits it, and read what comes back.
// The line is that of the origin, or of the call that leaves it to its default. In compose: a variable of origins that is, or falls back to, *.
//   SU3. A list of origins, a function that decides, what is shared on one route or below one path only, and development's files are silent or for review; with
//        credentials it is high.
//   QT32. A method of one's own class that is called `enableCors` is none of Nest's: what it does is read where it does it.
//   QJ19. So are the sockets of socket.io, and a header that a middleware sets by hand.
//   QR8. Origins may be a field of settings; what counts is its default.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { type Program, programOf } from '../../program/index.ts'
import { variableUses } from '../../readers/interpolation.ts'
import type { Repository } from '../../repository/repository.ts'
import { oncePerPlace, seen, servicesOf, tierIn } from '../configuration/projects.ts'
import { constantOf, lastName, mayHide, optionOf, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { locOf } from './literals.ts'
import { isAside } from './places.ts'

export const corsPermissive: Rule = {
  meta: {
    id: 'cors-permissive',
    category: 'security',
    severity: 'medium',
    title: 'Every web site may read what this answers',
    why: 'Any page that somebody of your network or your users visits can call the service from their browser and read the answers. Where credentials are allowed too, with their rights.',
    remedies: [
      {
        priority: 'P1',
        text: 'Name the origins, from configuration without a default; refuse to start without them.',
        effort: 'XS',
      },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/942.html', 'https://fetch.spec.whatwg.org/#http-cors-protocol'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      if (isAside(facts.file)) continue
      for (const call of facts.calls) {
        const found = judge(program, facts, call)
        if (found !== undefined) yield discovery(repository, facts, call, found)
      }
      yield* inSettings(repository, facts)
    }
    yield* inCompose(repository)
  },
}

interface Open {
  readonly why: string
  /** The option that opens it; undefined: none is given. */
  readonly option: string | undefined
  readonly shown: string
  readonly hasCredentials: boolean
  readonly reflects: boolean
}

function judge(program: Program, facts: FileFacts, call: Call): Open | undefined {
  const { callee } = call
  const name = lastName(callee)
  if (facts.language === 'python') {
    if (name === 'add_middleware') return ofStarlette(program, facts, call)
    return /^import:flask_cors/.test(callee.root) && name === 'CORS' ? ofFlask(program, facts, call) : undefined
  }
  if (name === 'enableCors' && !(callee.isOwn && callee.text === name))
    return ofOptions(program, facts, call, call.args[0], 'star')
  if (callee.root === 'import:cors' || /^import:cors#/.test(callee.root))
    return isForAll(facts, call) ? ofOptions(program, facts, call, call.args[0], 'star') : undefined
  if (/^import:(@koa\/cors|hono\/cors)/.test(callee.root))
    return isForAll(facts, call)
      ? ofOptions(program, facts, call, call.args[0], callee.root.includes('koa') ? 'reflect' : 'star')
      : undefined
  if (isOfSockets(call)) return ofSockets(program, facts, call)
  if (/^(setHeader|header|set)$/.test(name)) return ofHeader(facts, call)
  const [plugin] = call.args
  if (name === 'register' && plugin?.kind === 'path' && /^import:(@fastify\/cors|fastify-cors)/.test(plugin.path.root))
    return ofOptions(program, facts, call, call.args[1], 'star')
  return undefined
}

function isOfSockets({ callee }: Call): boolean {
  return /^import:socket\.io(#|$)/.test(callee.root)
}

/** QJ19. `new Server(http, { cors: { origin: '*' } })`: without `cors` it shares with nobody. */
function ofSockets(program: Program, facts: FileFacts, call: Call): Open | undefined {
  const options = call.args.find(({ kind }) => kind === 'object')
  const cors = options?.kind === 'object' ? options.entries.find(([key]) => key === 'cors')?.[1] : undefined
  return cors === undefined ? undefined : ofOptions(program, facts, call, cors, 'star')
}

/** QJ19. `res.setHeader('Access-Control-Allow-Origin', '*')` in what handles every request and hands it on. */
function ofHeader(facts: FileFacts, { args: [header, origin], block, callee }: Call): Open | undefined {
  const isOrigin = header?.kind === 'string' && /^access-control-allow-origin$/i.test(header.value)
  if (!isOrigin || origin === undefined || !isStar(origin)) return undefined
  for (let at = block; at > 0; at = facts.blocks[at]?.parent ?? -1) {
    const params = facts.blocks[at]?.fn?.params
    if (params === undefined) continue
    const [, response, next] = params
    if (response === undefined || next === undefined || !callee.text.startsWith(`${response}.`)) return undefined
    return { why: 'Every origin is allowed.', option: undefined, shown: '', hasCredentials: false, reflects: false }
  }
  return undefined
}

/** Given to the whole application: `app.use(cors())`, not to one of its routes or paths. */
function isForAll({ calls }: FileFacts, call: Call): boolean {
  const index = calls.indexOf(call)
  const user = calls.find(({ args }) => args.some((arg) => arg.kind === 'call' && arg.call === index))
  const [first] = user?.args ?? []
  if (user === undefined) return call.use === 'assigned'
  if (lastName(user.callee) !== 'use') return false
  return (
    user.args.length === 1 || (first?.kind === 'string' && /^(\*|\/|\/\*)$/.test(first.value)) || first?.kind === 'call'
  )
}

function ofOptions(
  program: Program,
  { file }: FileFacts,
  call: Call,
  given: Value | undefined,
  byDefault: 'star' | 'reflect',
): Open | undefined {
  const options = given === undefined ? undefined : constantOf(program, file, given)
  const nothing: Open = {
    why:
      byDefault === 'star'
        ? 'Nothing is said of origins, which allows all of them.'
        : 'Nothing is said of origins, so each caller is told that it is allowed.',
    option: undefined,
    shown: '',
    hasCredentials: false,
    reflects: byDefault === 'reflect',
  }
  if (options === undefined) return nothing
  if (options.kind !== 'object' || options.hasSpread) return undefined
  const origin = options.entries.find(([name]) => name === 'origin')?.[1]
  const credentials = options.entries.find(([name]) => name === 'credentials')?.[1]
  const hasCredentials = credentials?.kind === 'boolean' && credentials.value
  if (origin === undefined) return { ...nothing, hasCredentials }
  return open(program, file, call, origin, 'origin', hasCredentials)
}

function open(
  program: Program,
  file: string,
  call: Call,
  origin: Value,
  option: string,
  hasCredentials: boolean,
): Open | undefined {
  const setting = settingOf(program, file, call, origin)
  const value = setting ?? constantOf(program, file, origin)
  const last = fallbackOf(value)
  if (isStar(last)) {
    const why =
      last === value && setting === undefined
        ? 'Every origin is allowed.'
        : 'Every origin is allowed where none is configured.'
    return { why, option, shown: '*', hasCredentials, reflects: false }
  }
  if (last.kind === 'boolean' && last.value)
    return {
      why: 'Whatever origin asks is told that it is allowed.',
      option,
      shown: 'true',
      hasCredentials,
      reflects: true,
    }
  return undefined
}

/** QR8. What a field of settings is where nothing is configured: `settings.CORS_ORIGINS`. */
function settingOf(program: Program, file: string, { block }: Call, value: Value): Value | undefined {
  if (value.kind !== 'path') return undefined
  const { text } = value.path
  const dot = text.lastIndexOf('.')
  const owner = dot === -1 ? undefined : program.classOf(file, { ...value.path, text: text.slice(0, dot) }, block)
  const own = owner === undefined ? undefined : program.file(owner.file)
  if (owner === undefined || own === undefined || !own.bases(owner.block).some((base) => /BaseSettings$/.test(base)))
    return undefined
  const [only, ...more] = own.writes(owner.block, text.slice(dot + 1))
  const made = only?.value.kind === 'call' ? own.facts.calls[only.value.call] : undefined
  if (more.length > 0 || only === undefined) return undefined
  return made === undefined ? only.value : (optionOf(made, 'default') ?? made.args[0])
}

/** What is left where nothing is configured: the last of `a || b || '*'`. */
function fallbackOf(value: Value): Value {
  return value.kind === 'operation' && (value.operator === '||' || value.operator === '??' || value.operator === 'or')
    ? fallbackOf(value.right)
    : value
}

function isStar(value: Value): boolean {
  if (value.kind === 'string') return value.value.trim() === '*'
  return value.kind === 'list' && value.items.some((item) => item.kind === 'string' && item.value === '*')
}

function ofStarlette(program: Program, facts: FileFacts, call: Call): Open | undefined {
  const [plugin] = call.args
  if (plugin?.kind !== 'path' || !/CORSMiddleware$/.test(plugin.path.text) || mayHide(call)) return undefined
  const origins = optionOf(call, 'allow_origins')
  const pattern = optionOf(call, 'allow_origin_regex')
  const credentials = optionOf(call, 'allow_credentials')
  const hasCredentials = credentials?.kind === 'boolean' && credentials.value
  if (pattern?.kind === 'string' && /^\^?\.\*\$?$/.test(pattern.value))
    return {
      why: 'Its pattern matches every origin.',
      option: 'allow_origin_regex',
      shown: '.*',
      hasCredentials,
      reflects: true,
    }
  const found =
    origins === undefined ? undefined : open(program, facts.file, call, origins, 'allow_origins', hasCredentials)
  // Starlette answers with the caller's own origin where a cookie comes with the request.
  return found === undefined ? undefined : { ...found, reflects: hasCredentials }
}

function ofFlask(program: Program, facts: FileFacts, call: Call): Open | undefined {
  if (mayHide(call) || optionOf(call, 'resources') !== undefined) return undefined
  const origins = optionOf(call, 'origins')
  const credentials = optionOf(call, 'supports_credentials')
  const hasCredentials = credentials?.kind === 'boolean' && credentials.value
  if (origins !== undefined) return open(program, facts.file, call, origins, 'origins', hasCredentials)
  const why = 'Nothing is said of origins, which allows all of them.'
  return { why, option: undefined, shown: '', hasCredentials, reflects: hasCredentials }
}

function discovery(repository: Repository, facts: FileFacts, call: Call, found: Open): Discovery {
  const { why, option, shown, hasCredentials, reflects } = found
  const { line, endLine } = call
  const loc =
    option === undefined
      ? { file: facts.file, line, endLine: line }
      : locOf(repository, facts.file, { line, endLine, block: call.block }, option, shown)
  const isOpen = hasCredentials && reflects
  return {
    // Kept for later: which routes it is for is not seen here.
    tier: call.use === 'assigned' && !isOpen && !isOfSockets(call) ? 'review' : 'strong',
    ...(isOpen ? { severity: 'high' as const } : {}),
    symbol: symbolOf(facts, call.block),
    symptom: isOpen
      ? 'Any web site can act and read with the rights of whoever visits it.'
      : 'Any web site can call this from a visitor of yours, and read the answers that need no credentials.',
    rootCause:
      hasCredentials && !reflects
        ? `${why} Credentials are allowed too, which browsers refuse together with *: those calls fail.`
        : why,
    evidence: [{ provenance: 'static', loc, what: why }],
  }
}

/** Django's. */
function* inSettings({ files }: Repository, facts: FileFacts): Iterable<Discovery> {
  for (const { target, value, line, block } of facts.assignments) {
    if (block !== 0 || !/^CORS_(ALLOW_ALL_ORIGINS|ORIGIN_ALLOW_ALL)$/.test(target.text)) continue
    if (value.kind !== 'boolean' || !value.value || files.role(facts.file) !== 'source') continue
    const credentials = facts.assignments.find((other) => other.target.text === 'CORS_ALLOW_CREDENTIALS')?.value
    const isOpen = credentials?.kind === 'boolean' && credentials.value
    yield {
      tier: 'strong',
      ...(isOpen ? { severity: 'high' as const } : {}),
      symbol: target.text,
      symptom: 'Any web site can call this from a visitor of yours, and read the answers.',
      rootCause: 'Every origin is allowed.',
      evidence: [
        { provenance: 'static', loc: { file: facts.file, line, endLine: line }, what: 'Every origin is allowed.' },
      ],
    }
  }
}

const ORIGINS = /CORS|ALLOWED_ORIGINS?$/i

function* inCompose(repository: Repository): Iterable<Discovery> {
  const found = servicesOf(repository).flatMap(({ project, service }) =>
    [...service.environment].flatMap(([name, { raw, loc }]): readonly Discovery[] => {
      const why = ORIGINS.test(name) && !/HEADERS|METHODS/i.test(name) ? whyOpen(raw) : undefined
      return why === undefined
        ? []
        : [
            {
              tier: tierIn(project, loc),
              symbol: `${service.name} ${name}`,
              component: service.name,
              cause: `origins of ${loc.file}`,
              symptom: `Any web site can call ${service.name} from a visitor of yours, and read the answers.`,
              rootCause: why,
              evidence: [seen(loc, why)],
            },
          ]
    }),
  )
  yield* oncePerPlace(found)
}

function whyOpen(raw: string): string | undefined {
  const text = raw.replace(/^["']|["']$/g, '').trim()
  if (/^(\[\s*["']?)?\*(["']?\s*\])?$/.test(text)) return 'Every origin is allowed.'
  const [use] = variableUses(text)
  const isDefault = use !== undefined && (use.operator === ':-' || use.operator === '-') && use.word === '*'
  return isDefault ? `Every origin is allowed where ${use.name} is unset.` : undefined
}
