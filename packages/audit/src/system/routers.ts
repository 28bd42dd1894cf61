// Routers and applications, and how they hang together: what is mounted under which prefix, and what each puts before its handlers. A router is known by the call
// that creates it, or as a parameter (`register(app)`), which the callers' routers are joined to.

import type { Call, Path, Value } from '../facts/facts.ts'
import type { CallSite } from '../program/index.ts'
import { creationOf, moduleOf, namedOf, type Surroundings, textOf } from './entry.ts'

export interface Router {
  readonly framework: string
  readonly isApplication: boolean
  prefix: string
  /** `name`: what may be said of it in other files. */
  readonly uses: { readonly file: string; readonly value: Value; readonly name: Value }[]
  readonly mounts: { readonly parent: Router; readonly prefix: string }[]
}

const JAVASCRIPT: Readonly<Record<string, string>> = {
  express: 'express',
  'express-promise-router': 'express',
  router: 'express',
  fastify: 'fastify',
  koa: 'koa',
  'koa-router': 'koa',
  '@koa/router': 'koa',
  hono: 'hono',
  '@hono/zod-openapi': 'hono',
  restify: 'restify',
  polka: 'polka',
}
const PYTHON: Readonly<Record<string, string>> = {
  fastapi: 'fastapi',
  starlette: 'starlette',
  flask: 'flask',
  quart: 'flask',
  flask_restful: 'flask',
  flask_restx: 'flask',
  aiohttp: 'aiohttp',
  sanic: 'sanic',
  rest_framework: 'django',
}
/** What a package of these creates that is no router. */
const OTHER =
  /(?:^|\.)(?:json|urlencoded|static|raw|text|Depends|HTTPException|Query|Body|jsonify|Response|ClientSession|\w*Response)$/
const APPLICATION =
  /(?:^|\.)(?:express|fastify|Fastify|Koa|Hono|OpenAPIHono|createServer|polka|FastAPI|Starlette|Flask|Quart|Application|Sanic|\(\)|Api)$/
const HOPS_MAX = 5
const DEPTH_MAX = 6
const CALLERS_MAX = 4

export function frameworkOf(path: Path): string | undefined {
  const module = moduleOf(path)
  if (module === undefined) return undefined
  if (Object.hasOwn(JAVASCRIPT, module)) return JAVASCRIPT[module]
  const top = module.split('.', 1)[0] as string
  return Object.hasOwn(PYTHON, top) ? PYTHON[top] : undefined
}

/** The framework whose name a file imports; for routers whose creation is not seen. */
function frameworkOfFile({ file }: Surroundings): string | undefined {
  for (const { module } of file.facts.imports) {
    const found = frameworkOf({ text: '', isOwn: false, root: `import:${module}` })
    if (found !== undefined) return found
  }
  return undefined
}

export class Routers {
  readonly #created = new Map<Call, Router>()
  readonly #params = new Map<string, Router>()
  /** Of a file's parameters: to be joined with what their callers give. */
  readonly params: {
    readonly around: Surroundings
    readonly fn: number
    readonly name: string
    readonly router: Router
  }[] = []

  /** The router that a path means at a place. */
  of(around: Surroundings, name: Path, block: number, hops = 0): Router | undefined {
    if (hops > HOPS_MAX) return undefined
    const text = name.text.replace(/\.(?:routes|callback|middleware|router|app)$/, '')
    const made =
      creationOf(around, { ...name, text }, block) ?? (text === name.text ? undefined : creationOf(around, name, block))
    if (made !== undefined) return this.ofCall(around, made, hops)
    return name.root === 'param' && !text.includes('.') ? this.#ofParam(around, text, block) : undefined
  }

  /** The router that a call gives: creates, or hands out from a function of the repository. */
  ofCall(around: Surroundings, { file: path, call }: CallSite, hops = 0): Router | undefined {
    const kept = this.#created.get(call)
    if (kept !== undefined) return kept
    const file = around.program.file(path)
    if (file === undefined || hops > HOPS_MAX) return undefined
    const own: Surroundings = { ...around, path, file }
    const before = file.facts.calls[call.on]
    if (before !== undefined && before !== call) {
      const chained = this.#ofChain(own, before, call, hops)
      if (chained !== undefined) return chained
    }
    const framework = frameworkOf(call.callee)
    if (framework !== undefined && !OTHER.test(call.callee.text)) return this.#create(call, framework)
    const target = around.program.target({ file: path, call })
    const inner = target === undefined ? undefined : around.program.file(target.file)
    if (target === undefined || inner === undefined) return undefined
    for (const { kind, value, block } of inner.facts.exits)
      if (kind === 'return' && value?.kind === 'path' && inner.functionOf(block) === target.block) {
        const found = this.of({ ...around, path: target.file, file: inner }, value.path, block, hops + 1)
        if (found !== undefined && found.framework !== '') return found
      }
    return undefined
  }

  /** `require('express')()`, `require('express').Router()`, `new Hono().basePath('/x')`, `router.routes()`. */
  #ofChain(own: Surroundings, before: Call, call: Call, hops: number): Router | undefined {
    const [module] = before.args
    if (before.callee.text === 'require' && module?.kind === 'string') {
      const framework = frameworkOf({ text: '', isOwn: false, root: `import:${module.value}` })
      return framework === undefined || OTHER.test(call.callee.text) ? undefined : this.#create(call, framework)
    }
    return this.ofCall(own, { file: own.path, call: before }, hops + 1)
  }

  #create(call: Call, framework: string): Router {
    const first = call.args[0]
    const options = first?.kind === 'object' ? first.entries.find(([key]) => key === 'prefix')?.[1] : undefined
    const prefix = textOf(namedOf(call, 'prefix', 'url_prefix') ?? options) ?? ''
    const router: Router = {
      framework,
      isApplication: APPLICATION.test(call.callee.text),
      prefix,
      uses: [],
      mounts: [],
    }
    this.#created.set(call, router)
    return router
  }

  #ofParam(around: Surroundings, name: string, block: number): Router | undefined {
    const { file, path } = around
    for (let fn = file.functionOf(block); fn !== -1; fn = file.functionOf(file.facts.blocks[fn]?.parent ?? 0)) {
      if (file.facts.blocks[fn]?.fn?.params.includes(name) !== true) continue
      const key = `${path}\n${fn}\n${name}`
      const kept = this.#params.get(key)
      if (kept !== undefined) return kept
      const framework = frameworkOfFile(around) ?? ''
      const router: Router = { framework, isApplication: false, prefix: '', uses: [], mounts: [] }
      this.#params.set(key, router)
      this.params.push({ around, fn, name, router })
      return router
    }
    return undefined
  }
}

function joined(outer: string, inner: string): string {
  const path = `${outer}/${inner}`.replace(/\/{2,}/g, '/')
  return path.length > 1 ? path.replace(/\/$/, '') : path
}

/** The whole path of a route, as far as mounts are known; the first way where there are several. */
export function pathUnder(router: Router | undefined, path: string): string {
  let whole = path
  let at = router
  for (let depth = 0; at !== undefined && depth < DEPTH_MAX; depth++) {
    const mount: Router['mounts'][number] | undefined = at.mounts[0]
    whole = joined(mount?.prefix ?? '', joined(at.prefix, whole))
    at = mount?.parent
  }
  return whole.startsWith('/') ? whole : `/${whole}`
}

/** What routers put before their handlers, outermost first. Values of other files are only names. */
export function usesOf(router: Router | undefined, path: string): readonly Value[] {
  const found: Value[] = []
  let at = router
  for (let depth = 0; at !== undefined && depth < DEPTH_MAX; depth++) {
    found.unshift(...at.uses.map(({ file, value, name }) => (file === path ? value : name)))
    at = at.mounts[0]?.parent
  }
  return found
}

/** Puts something before all handlers of a router. */
export function useOn(router: Router, { path, file }: Surroundings, value: Value): void {
  const call = value.kind === 'call' ? file.facts.calls[value.call] : undefined
  const isName = value.kind === 'path' || value.kind === 'string'
  const name: Value =
    call !== undefined ? { kind: 'path', path: call.callee } : isName ? value : { kind: 'other', text: '' }
  router.uses.push({ file: path, value, name })
}

/** Joins the routers that functions are given with those of their callers. */
export function joinParams(routers: Routers): void {
  // Joining finds further ones, which the loop then reaches: as many as there are parameters of functions.
  for (const { around, fn, name, router } of routers.params) {
    const { program, path, file } = around
    const index = file.facts.blocks[fn]?.fn?.params.indexOf(name) ?? -1
    for (const { file: from, call } of program.callers({ file: path, block: fn }).slice(0, CALLERS_MAX)) {
      const caller = program.file(from)
      const given = call.args[index] ?? namedOf(call, name)
      if (caller === undefined || given?.kind !== 'path') continue
      const parent = routers.of({ program, path: from, file: caller }, given.path, call.block)
      if (parent !== undefined && parent !== router) router.mounts.push({ parent, prefix: '' })
    }
  }
}
