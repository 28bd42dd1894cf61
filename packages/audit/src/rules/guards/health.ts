// Routes and functions that say how a component is, and what can make them say that it is ill.
//   QJ25. The name of a status that says that all is well is no way to say no.

import type { Block, Call, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import { folderOf, nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Entry, entriesOf } from '../../system/entries.ts'
import { type Contents, contentsOf } from '../contents.ts'
import { servicesOf } from './deployed.ts'

export interface HealthRoute {
  readonly entry: Entry
  readonly kind: 'health' | 'ready'
  /** `/ready`, as asked for. */
  readonly address: string
  readonly path: string
  readonly file: IndexedFile
  readonly handler: BlockRef
  readonly contents: Contents
}

/** Whether it lives is no question of what it depends on: those routes may well be constant. */
const DOUBLE = /(?:^|[-_.])(?:mock|fake|stub|dummy)[-_.]/i
const LIVING = /^(?:live|livez|liveness|alive|ping|heartbeat)$/i
const HEALTH = /^_?(?:health|healthz|health[-_]?check|healthcheck)$/i
const READY = /^_?(?:ready|readyz|readiness|health[-_]ready)$/i

const KEPT = new WeakMap<Repository['facts'], readonly HealthRoute[]>()

export function healthRoutesOf(repository: Repository): readonly HealthRoute[] {
  const kept = KEPT.get(repository.facts)
  if (kept !== undefined) return kept
  const program = programOf(repository.facts)
  const found = new Map<string, HealthRoute>()
  for (const entry of entriesOf(repository)) {
    const route = entry.kind === 'route' ? routeOf(program, entry) : undefined
    // A handler that answers HEAD, GET and OPTIONS is one.
    if (route !== undefined)
      found.set(`${route.path}\n${route.handler.block}`, found.get(`${route.path}\n${route.handler.block}`) ?? route)
  }
  const routes = [...found.values()]
  KEPT.set(repository.facts, routes)
  return routes
}

function routeOf(program: Program, entry: Entry): HealthRoute | undefined {
  const { name, handler } = entry
  const [method = '', address = ''] = name.split(' ')
  if (handler === undefined || !/^(?:GET|ALL|HEAD)$/.test(method)) return undefined
  const parts = address.split('/').filter((part) => part !== '')
  const last = parts.at(-1) ?? ''
  const own = program.file(handler.file)
  if (own === undefined || LIVING.test(last) || DOUBLE.test(nameOf(handler.file))) return undefined
  const symbol = own.facts.blocks[handler.block]?.name ?? ''
  // `GET /` of a router of health, mounted where that is not seen.
  const isRoot = (last === '' || last === '*') && /^(?:health|readiness)_?(?:check|status)?$/i.test(symbol)
  const kind = READY.test(last) ? 'ready' : HEALTH.test(last) || isRoot ? 'health' : undefined
  if (kind === undefined) return undefined
  return {
    entry,
    kind,
    address,
    path: handler.file,
    file: own,
    handler,
    contents: contentsOf(own.facts, handler.block),
  }
}

const ANSWERING =
  /(?:^|\.)(?:json|send|status|end|type|header|set|code|writeHead|write|text|body|setHeader|sendStatus|Response|JSONResponse|PlainTextResponse|HttpResponse|JsonResponse|ORJSONResponse|jsonify|make_response|json_response|\w*(?:Response|Status|Health\w*|Result))$/
const PLAIN =
  /^(?:Date|Number|String|Boolean|Math\.\w+|JSON\.\w+|Object\.\w+|Date\.now|performance\.now|process\.(?:uptime|memoryUsage|hrtime|cwd|cpuUsage)|os\.\w+|str|int|float|round|len|dict|list|bool|max|min|datetime\.[\w.]+|time\.\w+|psutil\.[\w.]+|platform\.\w+|socket\.gethostname|uuid\.\w+|uuid4|get_settings|getSettings|asyncio\.get_event_loop|os\.environ\.get|timezone\.now)$/
const LOGGING = /(?:^|\.|_)(?:log(?:ger)?|console|print|logging)(?:\.|$)/i
const DEPTH_MAX = 2

/** It asks nobody and knows no way to say no: whatever happens, its answer is the same. */
export function isConstant(program: Program, { file, block }: BlockRef, depth = 0): boolean {
  const own = program.file(file)
  if (own === undefined) return false
  const { calls, exits, blocks } = contentsOf(own.facts, block)
  const isStraight = blocks.every((each) => each === block || !decides(own.facts.blocks[each]))
  if (!isStraight || exits.some(({ kind }) => kind === 'throw' || kind === 'yield')) return false
  return calls.every((call) => isHarmless(program, file, call, depth) && !saysNo(call))
}

function decides(block: Block | undefined): boolean {
  return block?.kind === 'branch' || block?.kind === 'loop' || block?.kind === 'handler' || block?.kind === 'with'
}

function isHarmless(program: Program, file: string, call: Call, depth: number): boolean {
  const { text, isOwn } = call.callee
  // What a service of its own is asked is judged by what that does, whatever it is called.
  const asked = isOwn && text.includes('.') ? program.target({ file, call }) : undefined
  if (asked !== undefined && !LOGGING.test(text)) return depth < DEPTH_MAX && isConstant(program, asked, depth + 1)
  if (ANSWERING.test(text) || PLAIN.test(text) || LOGGING.test(text) || text.startsWith('().')) return true
  const target = program.target({ file, call })
  return target !== undefined && depth < DEPTH_MAX && isConstant(program, target, depth + 1)
}

/** A status of the 500s, in whatever way: a number given, or a name that could be any. */
export function saysNo({ callee, args, named }: Call): boolean {
  const values = [...args, ...named.map(([, value]) => value)]
  if (values.some(mayBeFailing)) return true
  const [status] = args
  const isFine = status?.kind === 'path' && FINE.test(status.path.text)
  const setsStatus = /(?:^|\.)(?:status|code|sendStatus|writeHead|setStatus)$/.test(callee.text)
  return setsStatus && status?.kind !== 'number' && !isFine
}

/** QJ25. `StatusCodes.OK`. */
const FINE = /(?:^|[._])(?:OK|HTTP_200(?:_OK)?)$/

function mayBeFailing(value: Value): boolean {
  switch (value.kind) {
    case 'number':
      return value.value >= 500 && value.value < 600
    case 'path':
      return (
        !FINE.test(value.path.text) &&
        /(?:HTTP_5\d\d|status_?code|SERVICE_UNAVAILABLE|INTERNAL_SERVER_ERROR)/i.test(value.path.text)
      )
    case 'object':
      return value.entries.some(([, inner]) => mayBeFailing(inner))
    case 'list':
      return value.items.some(mayBeFailing)
    case 'operation':
      return mayBeFailing(value.left) || mayBeFailing(value.right)
    default:
      return false
  }
}

export interface Probe {
  /** It decides about traffic and nothing else. */
  readonly isReadiness: boolean
  readonly what: string
  readonly file: string
  readonly line: number
}

/** What of the file's own deployment asks it for health, and decides by the answer. */
export function probeOf(repository: Repository, { address, path }: HealthRoute): Probe | undefined {
  const asks = (text: string): boolean => {
    const at = text.indexOf(address)
    return address.length > 1 && at !== -1 && !/[\w/-]/.test(text[at + address.length] ?? ' ')
  }
  for (const { service } of servicesOf(repository, path)) {
    const { healthcheck, name } = service
    if (healthcheck !== undefined && !healthcheck.isDisabled && asks(healthcheck.test))
      return {
        isReadiness: false,
        what: `the health check of service ${name} asks it`,
        file: healthcheck.loc.file,
        line: healthcheck.loc.line,
      }
  }
  const { dockerfiles, kubernetes } = repository.configuration
  for (const { file, stages } of dockerfiles) {
    const folder = folderOf(file)
    if (folder === '' ? dockerfiles.length > 1 : !path.startsWith(`${folder}/`)) continue
    for (const { name, text, loc } of stages.flatMap(({ instructions }) => instructions))
      if (name === 'HEALTHCHECK' && asks(text))
        return { isReadiness: false, what: 'the image asks it for its health', file, line: loc.line }
  }
  const folders = new Set(path.split('/').slice(0, -1))
  for (const { file, body, loc, name } of kubernetes)
    if (folders.has(name))
      for (const asked of readinessPaths(body, 0))
        if (asked === address)
          return { isReadiness: true, what: `the readiness probe of ${name} asks it`, file, line: loc.line }
  return undefined
}

/** Of the program itself and not of a part of it: `/health`, `/api/v1/ready`. */
export function isMain({ address }: HealthRoute): boolean {
  const parts = address.split('/').filter((part) => part !== '' && part !== '*')
  return parts.every(
    (part) => /^(?:api|v\d+|internal|_?system|public|status)$/i.test(part) || HEALTH.test(part) || READY.test(part),
  )
}

function* readinessPaths(value: unknown, depth: number): Iterable<string> {
  if (typeof value !== 'object' || value === null || depth > 12) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'readinessProbe') {
      const path = (inner as { httpGet?: { path?: unknown } } | null)?.httpGet?.path
      if (typeof path === 'string') yield path
    } else yield* readinessPaths(inner, depth + 1)
  }
}

export function probed(probe: Probe | undefined): readonly Evidence[] {
  if (probe === undefined) return []
  const { file, line, what } = probe
  return [{ provenance: 'config', loc: { file, line, endLine: line }, what }]
}
