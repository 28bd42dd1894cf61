// Emitters that nobody listens to for `error`, of libraries where that ends the process: a connection that breaks at night takes the whole service down. What is
// listened for anywhere in the files that can see the emitter counts; one that goes where it can't be followed is silent, and so are pages and what people start
// by hand.
//   PM5. Only what a library emits without a listener by itself, and that then ends the process, is found: ioredis and bullmq catch it, and are silent.
//   QJ12. What a function only returns as it was made is followed to what calls it.
//   QJ13. `duplicate()` of a client of node-redis makes one without listeners.
//   PM6. A listener counts wherever the emitter's name is seen: in its file, in files that import it, and on each connection that a server hands out.

import type { Call, FileFacts, Path } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand, isPage } from '../places.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type EmitterKind, emitterOf } from './emitters.ts'
import { originOf } from './origins.ts'

export const unhandledErrorEvent: Rule = {
  meta: {
    id: 'unhandled-error-event',
    category: 'error handling',
    severity: 'high',
    title: 'An emitter has no listener for error: one error ends the process',
    why: 'Node throws an `error` event that nobody listens for. A connection that breaks while nobody uses it then ends the process, although the library would have reconnected.',
    remedies: [
      {
        priority: 'P1',
        text: "Listen for 'error' right where the client is made, log and count it; the library goes on from there.",
        effort: 'XS',
        guarantee: GUARANTEES.reconnect,
      },
    ],
    sources: ['https://nodejs.org/api/events.html#error-events', 'CWE-248: uncaught exception'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      if (facts.language === 'python' || isPage(facts) || isByHand(facts.file)) continue
      const file = program.file(facts.file)
      if (file === undefined) continue
      for (const [index, call] of facts.calls.entries()) {
        const kind = emitterOf(call, file) ?? duplicated(program, file, call)
        if (kind?.fatal !== undefined && !isHeard(repository, file, index, kind)) yield unheard(facts, call, kind)
      }
      yield* connections(program, file)
    }
  },
}

function unheard(facts: FileFacts, call: Call, { library, fatal }: EmitterKind): Discovery {
  const name = call.target?.text ?? lastName(call.callee)
  return {
    tier: 'strong',
    symbol: `${symbolOf(facts, call.block)} ${name}`,
    cause: `emitters of ${library} without a listener for error in ${facts.file}`,
    symptom: `The process ends when ${fatal}.`,
    rootCause: `Nobody listens for 'error' of what ${call.callee.text} of ${library} makes.`,
    evidence: [seenAt(facts.file, call, `${name} is made here, and no listener for error is added to it`)],
  }
}

/** QJ13. A client of node-redis made like another one has none of its listeners. */
function duplicated(program: Program, { facts }: IndexedFile, call: Call): EmitterKind | undefined {
  const { callee, block } = call
  const dot = callee.text.lastIndexOf('.')
  if (dot === -1 || lastName(callee) !== 'duplicate') return undefined
  const made = program.created(facts.file, { ...callee, text: callee.text.slice(0, dot) }, block)
  const origin = made === undefined ? undefined : originOf(program, made)
  const kind = origin === undefined ? undefined : emitterOf(origin.call)
  return kind?.library === 'redis' ? kind : undefined
}

/** QJ12. Whether what a function returns as it was made is listened to by each that calls it, or by nobody. */
function isHeardByCallers(repository: Repository, file: IndexedFile, index: number, block: number): boolean {
  const program = programOf(repository.facts)
  const isReturned = file.facts.exits.some(({ kind, value }) => {
    const inner = value?.kind === 'await' ? value.value : value
    return kind === 'return' && inner?.kind === 'call' && inner.call === index
  })
  const fn = file.functionOf(block)
  const callers = isReturned && fn !== -1 ? program.callers({ file: file.facts.file, block: fn }) : []
  if (callers.length === 0) return true
  return callers.some(({ file: path, call }) => {
    const own = program.file(path)
    return call.target === undefined || own === undefined || isNameHeard(repository, own, call.target, call.block)
  })
}

/** Whether an emitter has a listener, or goes where it is not followed. */
function isHeard(repository: Repository, file: IndexedFile, index: number, kind: EmitterKind): boolean {
  const { facts } = file
  const call = facts.calls[index] as Call
  const chain = chainOf(facts, index)
  if (chain.some(isListener)) return true
  const last = chain.at(-1) ?? call
  const target = last.target ?? call.target
  if (target !== undefined) return isNameHeard(repository, file, target, call.block)
  // One that is handed on at once, to a call, an object or a caller, is listened to there, or not: nobody knows.
  if (last === call && (last.use === 'returned' || last.use === 'awaited') && kind.library === 'amqplib')
    return isHeardByCallers(repository, file, index, call.block)
  if (last.use !== 'dropped' && last.use !== 'awaited' && last.use !== 'chained') return true
  // What is chained to something else than calls (a field of it) is not followed; a request whose answer is ignored is.
  return !(kind.library === 'http' || kind.library === 'https')
}

/** The calls that are made on the result of a call, one after the other. */
function chainOf(facts: FileFacts, index: number): readonly Call[] {
  const chain: Call[] = []
  let at = index
  for (let next = 0; next < 20; next++) {
    const following = facts.calls.findIndex(({ on }, each) => on === at && each !== at)
    if (following === -1) break
    chain.push(facts.calls[following] as Call)
    at = following
  }
  return chain
}

function isListener({ callee, args }: Call): boolean {
  return /^(on|once|addListener|prependListener)$/.test(lastName(callee)) && isError(args[0])
}

function isError(value: Call['args'][number] | undefined): boolean {
  // A name instead of a text may be any event.
  return value === undefined || value.kind !== 'string' || value.value === 'error'
}

/** PM6. */
function isNameHeard(repository: Repository, file: IndexedFile, target: Path, block: number): boolean {
  const { facts, functionOf } = file
  const name = lastName(target)
  if (hears(facts, name)) return true
  const fn = functionOf(block)
  const isLocal = target.root === 'local' && fn !== -1
  if (isLocal) return leaves(facts, fn, target.text)
  const isShared =
    target.isOwn || facts.exports.includes(name) || facts.exports.includes('default') || hasModuleExports(facts)
  if (!isShared) return false
  for (const other of repository.facts.values())
    if (other !== facts && other.language !== 'python' && hears(other, name) && !makesItsOwn(other, name)) return true
  return false
}

function hasModuleExports({ assignments }: FileFacts): boolean {
  return assignments.some(({ target }) => /^(module\.)?exports(\.|$)/.test(target.text))
}

/** Services that are made alike have one of the same name each. */
function makesItsOwn({ calls }: FileFacts, name: string): boolean {
  return calls.some(({ isNew, target }) => isNew && target?.root === 'module' && target.text === name)
}

const HEARD = new WeakMap<FileFacts, ReadonlySet<string>>()

/** Whether a file listens for errors of something of this name, or gives all of it to something that does. */
function hears(facts: FileFacts, name: string): boolean {
  let kept = HEARD.get(facts)
  if (kept === undefined) {
    const names = new Set<string>()
    for (const call of facts.calls) {
      const parts = call.callee.text.split('.')
      if (isListener(call)) names.add(parts.at(-2) ?? '')
      if (/^(pipeline|finished|eos|pump|attachErrorHandlers?|addErrorListeners?)$/.test(parts.at(-1) ?? ''))
        for (const arg of call.args) if (arg.kind === 'path') names.add(lastName(arg.path))
    }
    for (const { target } of facts.assignments) {
      const parts = target.text.split('.')
      if (parts.at(-1) === 'onerror') names.add(parts.at(-2) ?? '')
    }
    kept = names
    HEARD.set(facts, kept)
  }
  return kept.has(name)
}

/** Whether a local name is returned, kept, or given to a call: then somebody else may listen. */
function leaves(facts: FileFacts, fn: number, name: string): boolean {
  const isIt = (value: Call['args'][number] | undefined): boolean =>
    value !== undefined &&
    ((value.kind === 'path' && value.path.text === name) ||
      (value.kind === 'object' && value.entries.some(([, each]) => isIt(each))) ||
      (value.kind === 'list' && value.items.some(isIt)))
  const inner = facts.blocks.flatMap(({ kind }, block) =>
    kind === 'function' && isWithin(facts, block, fn) ? [block] : [],
  )
  return inner.some((block) => {
    const { calls, exits, assignments } = contentsOf(facts, block)
    return (
      calls.some(({ args }) => args.some(isIt)) ||
      exits.some(({ value }) => isIt(value)) ||
      assignments.some(({ value, target }) => target.text !== name && isIt(value))
    )
  })
}

function isWithin({ blocks }: FileFacts, inner: number, outer: number): boolean {
  for (let at = inner; at !== -1; at = blocks[at]?.parent ?? -1) if (at === outer) return true
  return false
}

/** Servers that hand out connections, each an emitter of its own. */
const SERVERS: readonly (readonly [root: RegExp, callee: RegExp, library: string, fatal: string])[] = [
  [
    /^import:ws(#|$)/,
    /(^|\.)(WebSocketServer|Server)$/,
    'ws',
    'a client sends a frame that is not valid, or one that is too large',
  ],
  [/^import:(node:)?(net|tls)(#|$)/, /(^|\.)createServer$/, 'net', 'a client resets its connection'],
]

function* connections(program: Program, file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  for (const call of facts.calls) {
    const server = serverOf(program, facts, call)
    if (server === undefined) continue
    const given = call.args.find((arg) => arg.kind === 'function')
    const fn = given?.kind === 'function' ? facts.blocks[given.block] : undefined
    const [socket] = fn?.fn?.params ?? []
    if (given?.kind !== 'function' || socket === undefined || hears(facts, socket)) continue
    if (leaves(facts, given.block, socket)) continue
    const [, , library, fatal] = server
    yield {
      tier: 'strong',
      symbol: symbolOf(facts, given.block),
      cause: `connections of ${library} without a listener for error in ${facts.file}`,
      symptom: `The process ends when ${fatal}: any client can do it.`,
      rootCause: `The connections that the server hands out have no listener for 'error'.`,
      evidence: [seenAt(facts.file, { line: call.line, endLine: call.line }, `${socket} gets no listener for error`)],
    }
  }
}

function serverOf(program: Program, facts: FileFacts, call: Call): (typeof SERVERS)[number] | undefined {
  const { callee, args, block } = call
  const made = SERVERS.find(([root, name]) => root.test(callee.root) && name.test(callee.text))
  if (made !== undefined) return made[2] === 'net' ? made : undefined
  const [event] = args
  if (!/\.on$/.test(callee.text) || event?.kind !== 'string' || event.value !== 'connection') return undefined
  const receiver = { ...callee, text: callee.text.slice(0, callee.text.lastIndexOf('.')) }
  const site = program.created(facts.file, receiver, block)
  return site === undefined
    ? undefined
    : SERVERS.find(([root, name]) => root.test(site.call.callee.root) && name.test(site.call.callee.text))
}
