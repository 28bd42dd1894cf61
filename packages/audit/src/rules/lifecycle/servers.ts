// Servers of the source: what listens, and what a name means that a server is closed by. Only what is created by a framework that is known here counts.
//   QJ5. A server that a function of the repository makes and returns is one.

import type { Call, FileFacts, Path } from '../../facts/facts.ts'
import type { CallSite, Program } from '../../program/index.ts'
import { originOf } from '../promises/origins.ts'
import { lastName } from '../queries.ts'

/** node: `close` takes a callback and returns nothing to wait for. promise: it returns one. wsgi: Python, a loop that blocks. */
export type ServerKind = 'node' | 'promise' | 'nest' | 'python'

export interface Listening {
  readonly file: string
  readonly call: Call
  readonly kind: ServerKind
}

/** By the module that a constructor comes from, and its name. */
const MAKERS: readonly (readonly [module: RegExp, name: RegExp, kind: ServerKind])[] = [
  [/^express$/, /^(express|default)$/, 'node'],
  [/^(node:)?(http|https|http2|net|tls)$/, /^(create(Secure)?)?Server$/, 'node'],
  [/^(koa|connect|polka)$/, /^\w*$/, 'node'],
  [/^restify$/, /^createServer$/, 'node'],
  [/^fastify$/, /^(fastify|Fastify|default)$/, 'promise'],
  [/^@nestjs\/core$/, /^create(Microservice)?$/, 'nest'],
  [/^grpc$/, /^server$/, 'python'],
  [/^http\.server$/, /^(Threading)?HTTPServer$/, 'python'],
  [/^socketserver$/, /^\w*Server$/, 'python'],
]
/** Calls that listen by themselves. */
const SERVING: readonly (readonly [module: RegExp, name: RegExp])[] = [[/^@hono\/node-server$/, /^serve$/]]
const BLOCKING = /^(serve_forever|wait_for_termination)$/

/** Calls that listen for the world, of one file. */
export function* listensOf(program: Program, facts: FileFacts): Iterable<Listening> {
  const { file, calls, language } = facts
  for (const call of calls) {
    const name = lastName(call.callee)
    if (SERVING.some(([module, serve]) => isOf(call.callee, module, serve))) {
      yield { file, call, kind: 'node' }
      continue
    }
    if (language === 'python' ? !BLOCKING.test(name) : name !== 'listen') continue
    const kind = kindOfServer(program, { file, call })
    if (kind === undefined || (language === 'python') !== (kind === 'python')) continue
    // A microservice of Nest listens to its broker and names no port.
    if (kind === 'nest' || !isForMoments(call)) yield { file, call, kind }
  }
}

/** On a port that nobody knows beforehand: for a browser to come back to, or a test. */
function isForMoments({ args, callee }: Call): boolean {
  const [port] = args
  const given = port?.kind === 'object' ? port.entries.find(([name]) => name === 'port')?.[1] : port
  return lastName(callee) === 'listen' && (port === undefined || (given?.kind === 'number' && given.value === 0))
}

/** What a method is called on, as a server; undefined: it is none, or not known. */
export function kindOfServer(program: Program, { file, call }: CallSite): ServerKind | undefined {
  const { callee, block, on } = call
  if (callee.text.startsWith('().')) {
    const before = program.file(file)?.facts.calls[on]
    return before === undefined ? undefined : kindOfMade(program, { file, call: before })
  }
  const dot = callee.text.lastIndexOf('.')
  return dot === -1 ? undefined : kindOfName(program, file, { ...callee, text: callee.text.slice(0, dot) }, block)
}

function kindOfName(program: Program, file: string, name: Path, block: number): ServerKind | undefined {
  const made = program.created(file, name, block)
  return made === undefined ? undefined : kindOfMade(program, made)
}

const HOPS_MAX = 3

function kindOfMade(program: Program, { file, call }: CallSite, hops = 0): ServerKind | undefined {
  const { callee } = call
  const found = MAKERS.find(([module, name]) => isOf(callee, module, name))
  if (found !== undefined) return found[2]
  if (hops >= HOPS_MAX) return undefined
  // `require('http').createServer(…)`, `require('fastify')()`.
  const before = program.file(file)?.facts.calls[call.on]
  const [required] = before?.args ?? []
  if (before?.callee.text === 'require' && required?.kind === 'string') {
    const last = lastName(callee)
    const path = { text: last === '()' ? 'default' : last, isOwn: false, root: `import:${required.value}` }
    return MAKERS.find(([module, name]) => isOf(path, module, name))?.[2]
  }
  // `const server = app.listen(…)`.
  if (lastName(callee) === 'listen') return kindOfServer(program, { file, call })
  return kindOfReturned(program, { file, call }, hops)
}

/** QJ5. `const server = startServer(app)`: what a function of the repository makes and returns. */
function kindOfReturned(program: Program, site: CallSite, hops: number): ServerKind | undefined {
  const origin = originOf(program, site)
  return origin.call === site.call ? undefined : kindOfMade(program, origin, hops + 1)
}

/** Is it this name of this module, whether it was imported by name or with all of it? */
function isOf({ root, text }: Path, module: RegExp, name: RegExp): boolean {
  if (!root.startsWith('import:')) return false
  const [from = '', imported] = root.slice('import:'.length).split('#')
  const last = text.slice(text.lastIndexOf('.') + 1)
  return module.test(from) && (name.test(last) || (imported !== undefined && last === text && name.test(imported)))
}
