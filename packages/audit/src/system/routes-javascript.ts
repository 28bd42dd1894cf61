// Routes of Express, Fastify, Koa, Hono and their like: `app.get('/x', guard, handler)`, `app.use('/x', router)`, `app.route('/x').get(…)`, `fastify.route({…})`.
//   QT8. Of Fastify the handler may stand among the options: `app.get('/x', { schema, preHandler, handler })`.
// A receiver whose creation is not seen is taken for a router only by its name and by what it is given, since clients are called alike: `api.get('/x', {…})`.

import type { Call, Path, Value } from '../facts/facts.ts'
import { constantValue, entryOf, functionOf, type Surroundings, textOf } from './entry.ts'
import { type Router, useOn } from './routers.ts'
import type { Gathered } from './routes.ts'

const METHODS = new Set(['get', 'post', 'put', 'patch', 'delete', 'del', 'head', 'options', 'all'])
const NAMED = /(?:^|\.)(?:app|application|router|server|fastify|\w*[rR]outer)$/
const DEPTH_MAX = 12

export const JAVASCRIPT_ROUTES: ReadonlyMap<string, (gathered: Gathered, around: Surroundings, call: Call) => void> =
  new Map([
    ...[...METHODS].map((method) => [method, readRoute] as const),
    ['use', readUse],
    ['register', readRegister],
    ['route', readRouteCall],
    ['addHook', readHook],
    ['query', readProcedure],
    ['mutation', readProcedure],
  ])

function receiverOf({ callee }: Call): Path {
  return { ...callee, text: callee.text.slice(0, callee.text.lastIndexOf('.')) }
}

/** The router that a method is called on: by its name, or through a chain of calls. */
function routerOf({ routers }: Gathered, around: Surroundings, call: Call): Router | undefined {
  const receiver = receiverOf(call)
  let on = call.on
  for (let depth = 0; on !== -1 && depth < DEPTH_MAX; depth++) {
    const before = around.file.facts.calls[on]
    if (before === undefined) return undefined
    const made = routers.ofCall(around, { file: around.path, call: before })
    if (made !== undefined) return made
    if (before.on === -1 && before.callee.text.includes('.'))
      return routers.of(around, receiverOf(before), before.block)
    on = before.on
  }
  return receiver.text === '' || receiver.text.startsWith('()') ? undefined : routers.of(around, receiver, call.block)
}

/** `/x` of `app.route('/x').get(…).post(…)`. */
function pathOfChain({ file }: Surroundings, call: Call): Value | undefined {
  let on = call.on
  for (let depth = 0; on !== -1 && depth < DEPTH_MAX; depth++) {
    const before = file.facts.calls[on]
    if (before === undefined) return undefined
    if (/\.route$/.test(before.callee.text) && before.args.length === 1) return before.args[0]
    on = before.on
  }
  return undefined
}

function isHandler(value: Value | undefined): boolean {
  return value?.kind === 'function' || value?.kind === 'path' || value?.kind === 'call' || value?.kind === 'list'
}

function readRoute(gathered: Gathered, around: Surroundings, call: Call): void {
  const chained = pathOfChain(around, call)
  const [first] = call.args
  const given = chained ?? first
  const rest = chained === undefined ? call.args.slice(1) : call.args
  const options = rest.at(-1)
  // QT8.
  const last = options?.kind === 'object' ? entryOf(options, 'handler') : options
  if (given === undefined || options === undefined || last === undefined || !isHandler(last)) return
  const router = routerOf(gathered, around, call)
  const path = textOf(constantValue(around, given))
  const isPath = path === undefined ? given.kind === 'list' || given.kind === 'other' : /^[/*]|^$/.test(path)
  const handler = functionOf(around, last, call.block)
  const isKnown = router !== undefined && router.framework !== ''
  // A parameter that could be anything, or nothing that is known: by its name and by what it is given.
  const isLike = NAMED.test(receiverOf(call).text) || (router !== undefined && last.kind === 'function')
  if (!(isKnown && (isPath || handler !== undefined)) && !(isLike && isPath && path !== undefined)) return
  const method = call.callee.text.slice(call.callee.text.lastIndexOf('.') + 1)
  gathered.routes.push({
    kind: 'route',
    method: method === 'del' ? 'DELETE' : method.toUpperCase(),
    path: path ?? '*',
    framework: '',
    site: { file: around.path, call },
    handler,
    before: (last === options ? rest.slice(0, -1) : rest).flatMap(hooksOf),
    router,
  })
}

/** What stands before a handler: itself, or the hooks among Fastify's options. */
function hooksOf(value: Value): readonly Value[] {
  if (value.kind === 'list') return value.items
  if (value.kind !== 'object') return [value]
  return ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'config'].flatMap((name) => {
    const hook = entryOf(value, name)
    return hook === undefined ? [] : hook.kind === 'list' ? hook.items : [hook]
  })
}

function readUse(gathered: Gathered, around: Surroundings, call: Call): void {
  const parent = routerOf(gathered, around, call)
  if (parent === undefined) return
  const [first] = call.args
  const at = first === undefined ? undefined : textOf(constantValue(around, first))
  const values = (at === undefined ? call.args : call.args.slice(1)).flatMap((arg) =>
    arg.kind === 'list' ? arg.items : [arg],
  )
  const mounted: Router[] = []
  const between: Value[] = []
  for (const value of values) {
    const router = mountedBy(gathered, around, value, call.block)
    if (router === undefined || router === parent) between.push(value)
    else mounted.push(router)
  }
  for (const router of mounted) {
    router.mounts.push({ parent, prefix: at ?? '' })
    for (const value of between) useOn(router, around, value)
  }
  if (mounted.length > 0) return
  for (const value of between) {
    if (at === undefined || at === '/' || at === '*') useOn(parent, around, value)
    gathered.routes.push({
      kind: 'middleware',
      method: '',
      path: at ?? '',
      framework: '',
      site: { file: around.path, call },
      handler: functionOf(around, value, call.block),
      before: [],
      router: parent,
    })
  }
}

/** The router that is mounted: by name, `router.routes()`, `createRouter(deps)`, `require('./routes')`. */
function mountedBy({ routers }: Gathered, around: Surroundings, value: Value, block: number): Router | undefined {
  if (value.kind === 'path') return routers.of(around, value.path, block)
  const call = value.kind === 'call' ? around.file.facts.calls[value.call] : undefined
  if (call === undefined) return undefined
  const [module] = call.args
  if (call.callee.text === 'require' && module?.kind === 'string')
    return routers.of(around, { text: '', isOwn: false, root: `import:${module.value}` }, block)
  const made = routers.ofCall(around, { file: around.path, call })
  if (made !== undefined) return made
  return /\.(?:routes|callback|middleware)$/.test(call.callee.text) && call.on === -1
    ? routers.of(around, receiverOf(call), call.block)
    : undefined
}

/** Fastify: `app.register(routes, { prefix: '/x' })`, where `routes` gets the application. */
function readRegister(gathered: Gathered, around: Surroundings, call: Call): void {
  const parent = routerOf(gathered, around, call)
  if (parent?.framework !== 'fastify') return
  const [plugin, options] = call.args
  const fn = functionOf(around, plugin, call.block)
  const inner = fn === undefined ? undefined : around.program.file(fn.file)
  const name = inner?.facts.blocks[fn?.block ?? -1]?.fn?.params[0]
  if (fn === undefined || inner === undefined || name === undefined) {
    if (plugin !== undefined) useOn(parent, around, plugin)
    return
  }
  const own: Surroundings = { program: around.program, path: fn.file, file: inner }
  const router = gathered.routers.of(own, { text: name, isOwn: false, root: 'param' }, fn.block)
  if (router !== undefined && router !== parent)
    router.mounts.push({ parent, prefix: textOf(entryOf(options, 'prefix')) ?? '' })
}

/** `fastify.route({ method, url, handler })`; Hono's `app.route('/x', router)`. */
function readRouteCall(gathered: Gathered, around: Surroundings, call: Call): void {
  const [first, second] = call.args
  if (first?.kind === 'string' && second !== undefined) {
    const parent = routerOf(gathered, around, call)
    const router = parent === undefined ? undefined : mountedBy(gathered, around, second, call.block)
    if (router !== undefined && parent !== undefined && router !== parent)
      router.mounts.push({ parent, prefix: first.value })
    return
  }
  const url = textOf(entryOf(first, 'url', 'path'))
  const handler = entryOf(first, 'handler')
  if (url === undefined || handler === undefined || first === undefined) return
  const method = entryOf(first, 'method')
  const methods =
    method?.kind === 'list' ? method.items.flatMap((item) => textOf(item) ?? []) : [textOf(method) ?? 'ALL']
  for (const each of methods)
    gathered.routes.push({
      kind: 'route',
      method: each.toUpperCase(),
      path: url,
      framework: 'fastify',
      site: { file: around.path, call },
      handler: functionOf(around, handler, call.block),
      before: hooksOf(first),
      router: routerOf(gathered, around, call),
    })
}

/** Fastify's hooks: before every handler, or at an end of the server's life. */
function readHook(gathered: Gathered, around: Surroundings, call: Call): void {
  const [event, value] = call.args
  const router = routerOf(gathered, around, call)
  if (event?.kind !== 'string' || value === undefined || router === undefined) return
  const handler = functionOf(around, value, call.block)
  const site = { file: around.path, call }
  const isEnd = event.value === 'onClose' || event.value === 'preClose'
  if (isEnd || event.value === 'onReady' || event.value === 'onListen') {
    const kind = isEnd ? 'shutdown' : 'startup'
    gathered.others.push({ kind, name: event.value, framework: 'fastify', site, handler, before: [] })
    return
  }
  useOn(router, around, value)
  gathered.routes.push({
    kind: 'middleware',
    method: '',
    path: event.value,
    framework: 'fastify',
    site,
    handler,
    before: [],
    router,
  })
}

/** tRPC: `procedure.input(…).query(fn)`. */
function readProcedure(gathered: Gathered, around: Surroundings, call: Call): void {
  const handler = call.args.find(({ kind }) => kind === 'function')
  if (handler === undefined) return
  let first = call
  for (let depth = 0; first.on !== -1 && depth < DEPTH_MAX; depth++) first = around.file.facts.calls[first.on] ?? first
  if (!/[pP]rocedure(?:\.|$)/.test(first.callee.text)) return
  const method = call.callee.text.slice(call.callee.text.lastIndexOf('.') + 1).toUpperCase()
  const before: Value[] = [
    { kind: 'path', path: { ...first.callee, text: first.callee.text.split('.', 1)[0] as string } },
  ]
  gathered.others.push({
    kind: 'route',
    name: `${method} ${nameInRouter(around, call)}`,
    framework: 'trpc',
    site: { file: around.path, call },
    handler: functionOf(around, handler, call.block),
    before,
  })
}

const PROCEDURES = new WeakMap<object, ReadonlyMap<Call, string>>()

/** The key that a procedure stands under in its router. */
function nameInRouter({ file }: Surroundings, call: Call): string {
  const { calls } = file.facts
  const kept = PROCEDURES.get(calls)
  if (kept !== undefined) return kept.get(call) ?? ''
  const names = new Map<Call, string>()
  for (const { args } of calls)
    for (const arg of args)
      if (arg.kind === 'object')
        for (const [name, value] of arg.entries) {
          const given = value.kind === 'call' ? calls[value.call] : undefined
          if (given !== undefined) names.set(given, name)
        }
  PROCEDURES.set(calls, names)
  return names.get(call) ?? ''
}
