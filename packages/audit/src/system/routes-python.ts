// Routes of FastAPI, Starlette, Flask, Django, aiohttp and their like: by decorators (`@router.get('/x')`), by tables (`path('x', view)`), and by calls
// (`app.add_url_rule`), with the prefixes of what includes them.
//   QU11. A middleware that is a class runs by its `dispatch` or `__call__`, for every request.

import type { Call, FunctionFacts, Path, Value } from '../facts/facts.ts'
import type { BlockRef } from '../program/index.ts'
import { functionOf, isOfModule, moduleOf, namedOf, type Surroundings, textOf } from './entry.ts'
import { type Router, useOn } from './routers.ts'
import type { Gathered } from './routes.ts'

const METHODS = new Set([
  'get',
  'post',
  'put',
  'patch',
  'delete',
  'head',
  'options',
  'route',
  'api_route',
  'websocket',
  'websocket_route',
])
const MIDDLEWARE =
  /\.(?:middleware|before_request|before_app_request|after_request|teardown_request|exception_handler|errorhandler)$/
const NAMED = /(?:^|\.)(?:app|application|api|bp|blueprint|routes|\w*router|\w*_(?:app|api|bp|blueprint|routes))$/
const VIEW_METHODS = [
  'get',
  'post',
  'put',
  'patch',
  'delete',
  'list',
  'create',
  'retrieve',
  'update',
  'partial_update',
  'destroy',
]

export const PYTHON_ROUTES: ReadonlyMap<string, (gathered: Gathered, around: Surroundings, call: Call) => void> =
  new Map([
    ['include_router', readInclude],
    ['register_blueprint', readInclude],
    ['mount', readInclude],
    ['add_middleware', readMiddleware],
    ['add_url_rule', readRule],
    ['add_api_route', readRule],
    ['add_route', readRule],
    ['add_resource', readResource],
    ['Route', readStarlette],
    ['path', readDjango],
    ['re_path', readDjango],
    ['url', readDjango],
    ['register', readViewSet],
    ...['get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'route'].flatMap((method) => [
      [`add_${method}`, readRule] as const,
      [method, readWebRoute] as const,
    ]),
  ])

function receiverOf({ callee }: Call): Path {
  return { ...callee, text: callee.text.slice(0, Math.max(0, callee.text.lastIndexOf('.'))) }
}

function nameOfCall({ callee }: Call): string {
  return callee.text.slice(callee.text.lastIndexOf('.') + 1)
}

/** `['GET', 'POST']` of `methods=`. */
function methodsOf(call: Call, otherwise: string): readonly string[] {
  const given = namedOf(call, 'methods')
  if (given?.kind !== 'list') return [otherwise]
  const names = given.items.flatMap((item) => textOf(item)?.toUpperCase() ?? [])
  return names.length === 0 ? [otherwise] : names
}

function dependenciesOf(call: Call): readonly Value[] {
  const given = namedOf(call, 'dependencies')
  return given?.kind === 'list' ? given.items : []
}

/** The decorators of a function that make it a route, or something that runs before routes. */
export function readDecorated(
  gathered: Gathered,
  around: Surroundings,
  block: number,
  { decorators }: FunctionFacts,
): void {
  for (const call of decorators) {
    const name = nameOfCall(call)
    const isMiddleware = MIDDLEWARE.test(call.callee.text)
    if (!METHODS.has(name) && !isMiddleware) continue
    const receiver = receiverOf(call)
    const router = gathered.routers.of(around, receiver, call.block)
    if ((router === undefined || router.framework === '') && !NAMED.test(receiver.text)) continue
    const handler: BlockRef = { file: around.path, block }
    const site = { file: around.path, call }
    const path = addressOf(around, call.args[0] ?? namedOf(call, 'path', 'rule'))
    if (isMiddleware) {
      if (router !== undefined && !/handler$/.test(name)) useOn(router, around, { kind: 'function', block })
      gathered.routes.push({
        kind: 'middleware',
        method: '',
        path: name,
        framework: '',
        site,
        handler,
        before: [],
        router,
      })
      continue
    }
    const otherwise =
      name === 'route' ? 'GET' : name.startsWith('websocket') ? 'WS' : name === 'api_route' ? 'GET' : name.toUpperCase()
    const before = [...dependenciesOf(call), ...guardsOf(around, block, decorators.filter(isNoRoute))]
    for (const method of methodsOf(call, otherwise))
      gathered.routes.push({ kind: 'route', method, path, framework: '', site, handler, before, router })
  }
}

function isNoRoute(call: Call): boolean {
  return !METHODS.has(nameOfCall(call))
}

/** `/x`, and of `scoped('/x')` what it is given. */
function addressOf({ file }: Surroundings, value: Value | undefined): string {
  const call = value?.kind === 'call' ? file.facts.calls[value.call] : undefined
  return textOf(call === undefined ? value : call.args[0]) ?? '*'
}

/** What a function asks for before it runs: other decorators, and `Depends(…)` of its parameters. */
export function guardsOf({ file }: Surroundings, block: number, decorators: readonly Call[]): readonly Value[] {
  const found: Value[] = decorators.map(({ callee }) => ({ kind: 'path', path: callee }))
  for (const { value, block: where, target, isDeclaration } of assignmentsOf(file, block)) {
    const call = value.kind === 'call' ? file.facts.calls[value.call] : undefined
    if (where !== block || !isDeclaration || target.root !== 'param' || call === undefined) continue
    if (/(?:^|\.)(?:Depends|Security)$/.test(call.callee.text)) found.push(...call.args.slice(0, 1))
  }
  return found
}

const PARAMS = new WeakMap<object, ReadonlyMap<number, Surroundings['file']['facts']['assignments']>>()

/** Assignments of a block: defaults of parameters are among its own. */
function assignmentsOf({ facts }: Surroundings['file'], block: number): Surroundings['file']['facts']['assignments'] {
  let byBlock = PARAMS.get(facts)
  if (byBlock === undefined) {
    const made = new Map<number, Surroundings['file']['facts']['assignments'][number][]>()
    for (const assignment of facts.assignments) {
      if (assignment.target.root !== 'param') continue
      const list = made.get(assignment.block)
      if (list === undefined) made.set(assignment.block, [assignment])
      else list.push(assignment)
    }
    PARAMS.set(facts, made)
    byBlock = made
  }
  return byBlock.get(block) ?? []
}

/** `app.include_router(users.router, prefix='/users')`, `register_blueprint`, `mount('/x', app)`. */
function readInclude(gathered: Gathered, around: Surroundings, call: Call): void {
  const parent = gathered.routers.of(around, receiverOf(call), call.block)
  if (parent === undefined) return
  const at =
    textOf(namedOf(call, 'prefix', 'url_prefix')) ?? (nameOfCall(call) === 'mount' ? textOf(call.args[0]) : '') ?? ''
  const given = nameOfCall(call) === 'mount' ? (call.args[1] ?? namedOf(call, 'app')) : call.args[0]
  const router = routerOfValue(gathered, around, given, call.block)
  if (router === undefined || router === parent) return
  router.mounts.push({ parent, prefix: at })
  for (const value of dependenciesOf(call)) useOn(router, around, value)
}

function routerOfValue(
  gathered: Gathered,
  around: Surroundings,
  value: Value | undefined,
  block: number,
): Router | undefined {
  if (value?.kind === 'path') return gathered.routers.of(around, value.path, block)
  const call = value?.kind === 'call' ? around.file.facts.calls[value.call] : undefined
  return call === undefined ? undefined : gathered.routers.ofCall(around, { file: around.path, call })
}

function readMiddleware(gathered: Gathered, around: Surroundings, call: Call): void {
  const router = gathered.routers.of(around, receiverOf(call), call.block)
  const [middleware] = call.args
  if (router === undefined || middleware === undefined) return
  useOn(router, around, middleware)
  const path = middleware.kind === 'path' ? middleware.path.text : ''
  const site = { file: around.path, call }
  gathered.routes.push({
    kind: 'middleware',
    method: '',
    path,
    framework: '',
    site,
    handler: answeringMethod(around, middleware, call) ?? functionOf(around, middleware, call.block),
    before: [],
    router,
  })
}

/** QU11. Of a class that is a middleware: what runs for a request, which its constructor does not. */
function answeringMethod({ program, path }: Surroundings, given: Value, call: Call): BlockRef | undefined {
  if (given.kind !== 'path' || program.classNamed(path, given.path) === undefined) return undefined
  for (const method of ['dispatch', '__call__']) {
    const callee = { ...given.path, text: `${given.path.text}.${method}` }
    const found = program.target({ file: path, call: { ...call, callee } })
    if (found !== undefined) return found
  }
  return undefined
}

/** `app.add_url_rule('/x', view_func=f)`, `app.router.add_get('/x', f)`. */
function readRule(gathered: Gathered, around: Surroundings, call: Call): void {
  const name = nameOfCall(call)
  const receiver = receiverOf(call)
  const router = gathered.routers.of(around, receiver, call.block)
  if ((router === undefined || router.framework === '') && !NAMED.test(receiver.text)) return
  const isVerbFirst = name === 'add_route' && call.args.length > 2
  const path = textOf(isVerbFirst ? call.args[1] : (call.args[0] ?? namedOf(call, 'rule', 'path')))
  const given =
    namedOf(call, 'view_func', 'endpoint', 'handler') ??
    call.args.slice(1).findLast(({ kind }) => kind === 'path' || kind === 'call')
  if (path === undefined || given === undefined || given.kind === 'string') return
  const verb = name.slice('add_'.length).toUpperCase()
  const otherwise = isVerbFirst
    ? (textOf(call.args[0])?.toUpperCase() ?? 'GET')
    : /RULE|ROUTE/.test(verb)
      ? 'GET'
      : verb
  add(gathered, around, call, methodsOf(call, otherwise), path, given, router)
}

function add(
  gathered: Gathered,
  around: Surroundings,
  call: Call,
  methods: readonly string[],
  path: string,
  given: Value,
  router: Router | undefined,
  framework = '',
): void {
  const site = { file: around.path, call }
  const handler = functionOf(around, given, call.block)
  if (handler !== undefined || given.kind !== 'path') {
    for (const method of methods)
      gathered.routes.push({
        kind: 'route',
        method,
        path,
        framework,
        site,
        handler,
        before: dependenciesOf(call),
        router,
      })
    return
  }
  // A view that is a class: its methods are handlers.
  const views = viewsOf(around, given.path)
  for (const [method, each] of views)
    gathered.routes.push({ kind: 'route', method, path, framework, site, handler: each, before: [], router })
  if (views.length === 0)
    for (const method of methods)
      gathered.routes.push({ kind: 'route', method, path, framework, site, handler: undefined, before: [], router })
}

const VERBS: Readonly<Record<string, string>> = {
  list: 'GET',
  retrieve: 'GET',
  create: 'POST',
  update: 'PUT',
  partial_update: 'PATCH',
  destroy: 'DELETE',
}

function viewsOf(
  { program, path, file }: Surroundings,
  name: Path,
): readonly (readonly [method: string, handler: BlockRef])[] {
  const found = VIEW_METHODS.flatMap((method) => {
    const callee: Path = { ...name, text: `${name.text}.${method}` }
    const [call] = file.facts.calls
    const handler = call === undefined ? undefined : program.target({ file: path, call: { ...call, callee } })
    return handler === undefined ? [] : [[VERBS[method] ?? method.toUpperCase(), handler] as const]
  })
  return found
}

/** Flask-RESTful: `api.add_resource(View, '/x')`. */
function readResource(gathered: Gathered, around: Surroundings, call: Call): void {
  const [view, at] = call.args
  const path = textOf(at)
  if (view?.kind === 'path' && path !== undefined)
    add(gathered, around, call, ['GET'], path, view, gathered.routers.of(around, receiverOf(call), call.block), 'flask')
}

/** Starlette's tables: `Route('/x', endpoint=f, methods=[…])`. */
function readStarlette(gathered: Gathered, around: Surroundings, call: Call): void {
  if (!isOfModule(call.callee, /^(?:starlette|fastapi)\b/)) return
  const path = textOf(call.args[0] ?? namedOf(call, 'path'))
  const given = call.args[1] ?? namedOf(call, 'endpoint')
  if (path !== undefined && given !== undefined)
    add(gathered, around, call, methodsOf(call, 'GET'), path, given, undefined, 'starlette')
}

/** aiohttp's tables: `web.get('/x', handler)`. */
function readWebRoute(gathered: Gathered, around: Surroundings, call: Call): void {
  if (!isOfModule(call.callee, /^aiohttp(?:\.web)?$/) || !/^(?:web\.)?\w+$/.test(call.callee.text)) return
  const path = textOf(call.args[0])
  const given = call.args[1]
  if (path?.startsWith('/') === true && given !== undefined)
    add(gathered, around, call, [nameOfCall(call).toUpperCase()], path, given, undefined, 'aiohttp')
}

/** `path('x/', view)`; what `include('module.urls')` brings in is read where it stands, under no prefix. */
function readDjango(gathered: Gathered, around: Surroundings, call: Call): void {
  if (!isOfModule(call.callee, /^django\b/)) return
  const [at, view] = call.args
  const path = textOf(at) ?? (at?.kind === 'other' ? at.text.replace(/^[rbu]*["']\^?|\$?["']$/g, '') : undefined)
  if (path === undefined || view === undefined) return
  const inner = view.kind === 'call' ? around.file.facts.calls[view.call] : undefined
  if (inner !== undefined && /(?:^|\.)include$|\.urls$/.test(inner.callee.text)) return
  const viewClass = inner?.callee.text.endsWith('.as_view') ? receiverOf(inner) : undefined
  const given: Value = viewClass === undefined ? view : { kind: 'path', path: viewClass }
  add(gathered, around, call, ['ALL'], prefixOfUrls(around) + path, given, undefined, 'django')
}

const URLS = new WeakMap<object, Map<string, string>>()

/** The prefix that a module of addresses is included under, by whoever includes it. */
function prefixOfUrls({ program, path }: Surroundings): string {
  let prefixes = URLS.get(program)
  if (prefixes === undefined) {
    prefixes = new Map()
    URLS.set(program, prefixes)
    for (const from of program.files) {
      if (!from.endsWith('.py')) continue
      const file = program.file(from)
      for (const { callee, args } of file?.facts.calls ?? []) {
        const [at, view] = args
        const inner =
          view?.kind === 'call' && isOfModule(callee, /^django\b/) ? file?.facts.calls[view.call] : undefined
        const [module] = inner !== undefined && /(?:^|\.)include$/.test(inner.callee.text) ? inner.args : []
        const found = module?.kind === 'string' ? program.module(from, module.value) : undefined
        if (found !== undefined && found !== from) prefixes.set(found, textOf(at) ?? '')
      }
    }
  }
  return prefixes.get(path) ?? ''
}

/** Django REST framework: `router.register('x', ViewSet)`. */
function readViewSet(gathered: Gathered, around: Surroundings, call: Call): void {
  const router = gathered.routers.of(around, receiverOf(call), call.block)
  const [at, view] = call.args
  const path = textOf(at) ?? (at?.kind === 'other' ? at.text.replace(/^[rbu]*["']|["']$/g, '') : undefined)
  if (router?.framework === 'django' && path !== undefined && view?.kind === 'path' && moduleOf(call.callee) !== 'abc')
    add(gathered, around, call, ['ALL'], path, view, router, 'django')
}
