// What makes a client, and with which deadlines: by the call that made it, by what is set on it later, or, where it was given, by what its library can be told.
//   QT21. Of Sequelize what stands before its options are names, not options that are not seen.
//   QV2. A plugin of a framework that makes a pool of its options is that pool, unless it is given one.

import type { Call, Path, Place, Value } from '../facts/facts.ts'
import { UNWRITTEN } from '../facts/values.ts'
import { type Library, libraryNamed, makerNamed } from '../knowledge/index.ts'
import type { CallSite, IndexedFile, Program } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import type { Deadline, OutboundClient } from './contract.ts'
import { ofLibrary, saidAt } from './deadline.ts'
import { family, fullName, importsLibrary } from './names.ts'
import type { ProcessDefaults } from './process-defaults.ts'
import { targetOf } from './targets.ts'
import { declaredMajor } from './versions.ts'

export interface Making {
  readonly repository: Repository
  readonly program: Program
  readonly defaults: ProcessDefaults
  readonly file: IndexedFile
}

export function libraryOf(file: IndexedFile, call: Call): Library | undefined {
  const { callee, args } = call
  const language = family(file.facts.language)
  if ((callee.root.startsWith('import:') || callee.root === 'module') && importsLibrary(file.facts)) {
    const name = fullName(file, callee)
    const known = name === undefined ? undefined : makerNamed(language, name)
    if (known !== undefined && (call.isNew || !NEW_ONLY.test(known.name))) return known
    if (name !== undefined && /_pb2_grpc\.\w+Stub$/.test(name)) return libraryNamed('python', 'grpcio')
  }
  const plugged = pluggedBy(file, call)
  if (plugged !== undefined) return plugged
  if (call.isNew && args.length >= 2 && args.some((arg) => isCredentials(file, arg)))
    return libraryNamed('javascript', '@grpc/grpc-js')
  return undefined
}

/** Plugins of Fastify that make a pool of what they are given: the library whose pool it is. */
const PLUGINS: Readonly<Record<string, string>> = {
  '@fastify/postgres': 'pg',
  'fastify-postgres': 'pg',
  '@fastify/mysql': 'mysql2',
  'fastify-mysql': 'mysql2',
  '@fastify/redis': 'ioredis',
  'fastify-redis': 'ioredis',
}

/** `fastify.register(postgres, { connectionString })`, not where it is given a client that was made elsewhere. */
function pluggedBy(file: IndexedFile, { callee, args: [plugin, options] }: Call): Library | undefined {
  if (!callee.text.endsWith('.register') || plugin === undefined || options === undefined) return undefined
  const required = plugin.kind === 'call' ? file.facts.calls[plugin.call] : undefined
  const [name] = required?.callee.text === 'require' ? required.args : []
  const module =
    name?.kind === 'string'
      ? name.value
      : plugin.kind === 'path' && plugin.path.root.startsWith('import:')
        ? plugin.path.root.slice('import:'.length).split('#', 1)[0]
        : undefined
  const library = module === undefined ? undefined : PLUGINS[module]
  const isGiven = options.kind !== 'object' || options.entries.some(([key]) => key === 'client' || key === 'pool')
  return library === undefined || isGiven ? undefined : libraryNamed('javascript', library)
}

/** Whose default export makes a client with `new`, and is something else when it is called. */
const NEW_ONLY = /^(?:openai|sequelize|ioredis)$/

function isCredentials(file: IndexedFile, arg: Value): boolean {
  const text = arg.kind === 'call' ? (file.facts.calls[arg.call]?.callee.text ?? '') : ''
  return /(?:^|\.)(?:credentials|ChannelCredentials)\.create(?:Insecure|Ssl|FromSecureContext)$/.test(text)
}

export function makeClient(
  { repository, program, defaults, file }: Making,
  site: CallSite,
  library: Library,
): OutboundClient {
  const major = declaredMajor(repository, site.file, library.name)
  // An address comes first; with databases it may be options as well.
  const from =
    library.language === 'python'
      ? Number.POSITIVE_INFINITY
      : library.kind === 'amqp' || site.call.callee.text.endsWith('.register')
        ? 1
        : optionsAtEnd(site.call, library)
  const isSaid = hasText(site.call, library)
  const say = (wait: Library['answer']): Deadline =>
    library.kind === 'grpc'
      ? ofChannel(site.call, library)
      : isSaid
        ? { state: 'present', ms: undefined, site }
        : (setLater(file, site) ??
          saidAt({ program, site, library, major }, wait, from) ??
          defaults.of(library) ??
          ofLibrary(library, wait, major))
  return {
    site,
    library: library.name,
    kind: library.kind,
    deadline: say(library.answer),
    connect: say(library.connect),
    target: targetOf(program, site),
    knowledge: library,
  }
}

/** QT21. `new Sequelize(database, user, password, { … })`: the options are what is written out at the end. */
function optionsAtEnd({ args }: Call, { name }: Library): number {
  return name === 'sequelize' && args.length > 1 && args.at(-1)?.kind === 'object' ? args.length - 1 : 0
}

/** Only calls have deadlines; an interceptor may give them one. */
function ofChannel({ args }: Call, library: Library): Deadline {
  const isIntercepted = args.some(
    (arg) => arg.kind === 'object' && arg.entries.some(([name]) => /interceptor/.test(name)),
  )
  return isIntercepted ? { state: 'unknown' } : ofLibrary(library, library.answer, undefined)
}

/** `postgres://…?connect_timeout=5`. */
function hasText({ args, named }: Call, library: Library): boolean {
  if (library.kind === 'http') return false
  return [...args, ...named.map(([, value]) => value)].some((value) => {
    const text = value.kind === 'string' ? value.value : value.kind === 'template' ? value.parts.join('') : ''
    return /timeout/i.test(text)
  })
}

/** `api.defaults.timeout = 5000`, `session.request = partial(…)`, an interceptor or an adapter that sets it. */
function setLater(file: IndexedFile, { call }: CallSite): Deadline | undefined {
  const { target } = call
  if (target === undefined) return undefined
  const { assignments, calls } = file.facts
  const own = (path: Path): boolean => path.isOwn === target.isOwn && path.text.startsWith(`${target.text}.`)
  const site = { file: file.facts.file, call }
  for (const assignment of assignments)
    if (own(assignment.target) && /\.(?:timeout|request|send)$/.test(assignment.target.text))
      return { state: 'present', ms: undefined, site }
  for (const { callee, args } of calls) {
    if (!own(callee)) continue
    if (callee.text.endsWith('.mount') && args.some((arg) => namesTimeout(file, arg)))
      return { state: 'present', ms: undefined, site }
    if (callee.text.endsWith('.interceptors.request.use') && args.some((arg) => setsTimeout(file, arg)))
      return { state: 'present', ms: undefined, site }
  }
  return undefined
}

function namesTimeout(file: IndexedFile, value: Value): boolean {
  const call = value.kind === 'call' ? file.facts.calls[value.call] : undefined
  return call !== undefined && /timeout/i.test(`${call.callee.text} ${call.named.map(([name]) => name).join(' ')}`)
}

function setsTimeout(file: IndexedFile, value: Value): boolean {
  if (value.kind !== 'function') return value.kind === 'path'
  return file.facts.assignments.some(
    ({ target, block }) => /\.(?:timeout|signal)$/.test(target.text) && file.within(block, value.block),
  )
}

/** Of Nest: what it injects is as its module was told, or has no deadline at all. */
export function givenClient(
  { repository, program, defaults }: Making,
  file: string,
  place: Place,
  type: Path,
  library: Library,
): OutboundClient {
  const site: CallSite = { file, call: { ...UNWRITTEN, ...place, callee: type } }
  const isBare =
    library.name === '@nestjs/microservices' ||
    library.kind === 'grpc' ||
    (library.name === '@nestjs/axios' && !isModuleTold(program))
  const deadline: Deadline = isBare
    ? (defaults.of(library) ?? ofLibrary(library, library.answer, declaredMajor(repository, site.file, library.name)))
    : { state: 'unknown' }
  return {
    site,
    library: library.name,
    kind: library.kind,
    deadline,
    connect: deadline,
    target: undefined,
    knowledge: library,
  }
}

const TELLS = /(?:^|\.)HttpModule\.register(?:Async)?$|\.axiosRef\.(?:interceptors|defaults)\b/
const TOLD = new WeakMap<Program, boolean>()

/** `HttpModule.register({ … })` anywhere, or an interceptor on what is inside of it. */
function isModuleTold(program: Program): boolean {
  const kept = TOLD.get(program)
  if (kept !== undefined) return kept
  const told = program.callsLike(TELLS).length > 0
  TOLD.set(program, told)
  return told
}
