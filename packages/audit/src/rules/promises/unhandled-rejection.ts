// Asynchronous functions given to what drops their promise: listeners of emitters, consumers of amqplib, timers, forEach, `new Promise(async …)`, and handlers of
// Express before version 5; also functions that hand on the promise of one. A failure in one rejects a promise that nobody holds; Node ends the process for it,
// and every request that is under way with it.
// Silent where the function's own handlers let nothing through, where the receiver is not known to be such an emitter, where express-async-errors is
// there, and in pages.
//   PM3. Only a function that can come to reject is found.
//   QJ2. A name instead of the event's text, and a socket that is handed on to a function, are followed to the emitter.
//   QK8. An emitter may also be what a class extends, and a listener a method of its own.
//   QT5. What a function of the repository returns and a router of Express is given, is such a handler: told once, where it is written.
//   PM4. Handlers of routes are found only under a version of Express that drops their promise.

import type { Call, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { isPage } from '../places.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { emitterOf } from './emitters.ts'
import { dropsRejections, isRouter } from './express.ts'
import { promisedBy, rejectsAt } from './rejections.ts'

export const unhandledRejection: Rule = {
  meta: {
    id: 'unhandled-rejection',
    category: 'error handling',
    severity: 'high',
    title: 'An asynchronous handler is given to something that drops its promise',
    why: 'What calls it does not look at the promise. A failure becomes an unhandled rejection: Node ends the process, and with it everything else that it was doing; a request gets no answer at all.',
    remedies: [
      {
        priority: 'P1',
        text: 'Catch inside of the handler, log and answer; for routes, Express 5 or a wrapper that hands the error to next; instead of forEach a loop that awaits.',
        effort: 'S',
      },
    ],
    sources: [
      'https://nodejs.org/api/events.html#capture-rejections-of-promises',
      'https://expressjs.com/en/guide/error-handling.html',
      'https://nodejs.org/api/process.html#event-unhandledrejection',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const returned = new Set<string>()
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || facts.language === 'python' || isPage(facts)) continue
      for (const call of facts.calls) {
        const given = takes(repository, program, file, call)
        if (given === undefined) continue
        for (const arg of given.args) {
          const found = discovery(
            program,
            file,
            call,
            functionOfValue(program, facts.file, arg, call.block),
            given.what,
          )
          if (found !== undefined) yield found
          const made = handlerMadeBy(program, facts.file, arg)
          const key = `${made?.file} ${made?.block}`
          const inner = made === undefined || returned.has(key) ? undefined : ofMade(program, made, given.what)
          if (inner !== undefined) yield inner
          returned.add(key)
        }
      }
    }
    yield* consumed(repository, program)
  },
}

/** What amqplib calls for each message; it looks at nothing that the callback answers. */
function* consumed(repository: Repository, program: Program): Iterable<Discovery> {
  for (const { kind, framework, site, handler } of entriesOf(repository)) {
    const file = kind === 'consumer' && framework === 'amqplib' ? program.file(site.file) : undefined
    const found = file === undefined ? undefined : discovery(program, file, site.call, handler, 'a consumer of amqplib')
    if (found !== undefined) yield found
  }
}

interface Taken {
  /** Among them the functions whose promise is dropped. */
  readonly args: readonly Value[]
  readonly what: string
}

const ROUTE = /\.(get|post|put|patch|delete|all|use|options|head)$/

function takes(repository: Repository, program: Program, file: IndexedFile, call: Call): Taken | undefined {
  const { callee, args, isNew } = call
  const [first] = args
  const name = lastName(callee)
  if (isNew)
    return callee.text === 'Promise' ? { args: args.slice(0, 1), what: 'the constructor of a promise' } : undefined
  if (/^set(Interval|Timeout|Immediate)$/.test(callee.text)) return { args: args.slice(0, 1), what: `${name}` }
  if (name === 'forEach' && call.use === 'dropped') return { args: args.slice(0, 1), what: 'forEach' }
  if (/^(on|once|addListener|prependListener|onText)$/.test(name) && isEvent(first)) {
    const library = emitterCalled(program, file, call)
    const event = first?.kind === 'string' ? ` ('${first.value}')` : ''
    return library === undefined ? undefined : { args: args.slice(1, 2), what: `an emitter of ${library}${event}` }
  }
  if (ROUTE.test(callee.text) && isRouter(program, file, call) && dropsRejections(repository, file.facts.file))
    return { args, what: 'a router of Express 4' }
  return undefined
}

/** QJ2. */
function isEvent(value: Value | undefined): boolean {
  return value !== undefined && (value.kind !== 'string' || value.value !== 'unhandledRejection')
}

/** The library of the emitter that `on` is called of. */
function emitterCalled(program: Program, file: IndexedFile, call: Call): string | undefined {
  const { facts } = file
  const { callee } = call
  const before = facts.calls[call.on]
  if (before !== undefined) return emitterOf(before)?.library ?? chained(facts.calls, before)
  const receiver = callee.text.slice(0, Math.max(0, callee.text.lastIndexOf('.')))
  // A signal ends the process anyway.
  if (receiver === '' && callee.isOwn) return extendsEmitter(file, call.block) ? 'events' : undefined
  if (receiver === '' || receiver === 'process') return undefined
  const made = program.created(facts.file, { ...callee, text: receiver }, call.block)
  const known = made === undefined ? undefined : emitterOf(made.call)?.library
  return known ?? ofConnection(program, file, call, receiver)
}

/** QK8. `this.on(…)` in a class that extends an emitter. */
function extendsEmitter(file: IndexedFile, block: number): boolean {
  return file.bases(file.classOf(block)).some((base) => /(?:^|\.)\w*EventEmitter\d?$/.test(base))
}

function chained(calls: readonly Call[], from: Call): string | undefined {
  let at: Call | undefined = from
  for (let hops = 0; hops < 10 && at !== undefined; hops++) {
    const library = emitterOf(at)?.library
    if (library !== undefined) return library
    at = calls[at.on]
  }
  return undefined
}

/** `server.on('connection', (socket) => socket.on('message', async …))`. */
function ofConnection(program: Program, file: IndexedFile, call: Call, receiver: string): string | undefined {
  const fn = file.functionOf(call.block)
  const index = file.facts.blocks[fn]?.fn?.params.indexOf(receiver) ?? -1
  if (call.callee.root !== 'param' || index === -1) return undefined
  const own = index === 0 ? serverGiving(program, file, fn) : undefined
  return own ?? ofHandedOn(program, { file: file.facts.file, block: fn }, index)
}

/** QJ2. `io.on('connection', (socket) => listen(io, socket))`. */
function ofHandedOn(program: Program, fn: BlockRef, index: number): string | undefined {
  for (const { file: path, call } of program.callers(fn)) {
    const file = program.file(path)
    const given = call.args[index]
    if (file === undefined || given?.kind !== 'path' || given.path.root !== 'param') continue
    const around = file.functionOf(call.block)
    const isSocket = file.facts.blocks[around]?.fn?.params[0] === given.path.text
    const library = isSocket ? serverGiving(program, file, around) : undefined
    if (library !== undefined) return library
  }
  return undefined
}

/** The library of the server that gives its connections to a function. */
function serverGiving(program: Program, { facts }: IndexedFile, fn: number): string | undefined {
  const giver = facts.calls.find(
    ({ args, callee }) =>
      /\.(on|once)$/.test(callee.text) &&
      isConnecting(args[0]) &&
      args.some((arg) => arg.kind === 'function' && arg.block === fn),
  )
  if (giver === undefined) return undefined
  const { callee } = giver
  const of = callee.text.slice(0, callee.text.lastIndexOf('.'))
  const made = program.created(facts.file, { ...callee, text: of }, giver.block)
  return made === undefined ? undefined : serverOf(made.call)
}

function isConnecting(event: Value | undefined): boolean {
  if (event?.kind === 'string') return /^(connection|connect|secureConnection)$/.test(event.value)
  return event?.kind === 'path' && /(^|\.)(on)?connect(ion|ed)?$/i.test(event.path.text)
}

function serverOf(call: Call): string | undefined {
  if (/import:ws(#|$)/.test(call.callee.root)) return 'ws'
  if (/import:(node:)?(net|tls|http|https)(#|$)/.test(call.callee.root)) return 'node'
  return emitterOf(call)?.library
}

function discovery(
  program: Program,
  { facts }: IndexedFile,
  call: Call,
  handler: BlockRef | undefined,
  what: string,
): Discovery | undefined {
  const given = handler === undefined ? undefined : promisedBy(program, handler)
  const rejects = given === undefined ? undefined : rejectsAt(program, given)
  if (given === undefined || rejects === undefined) return undefined
  const symbol = symbolOf(facts, call.block)
  return {
    tier: 'strong',
    symbol,
    cause: `asynchronous functions given to ${what.replace(/ \('.*/, '')} in ${facts.file}`,
    symptom: 'A failure of the handler ends the process, or leaves who waits for it without an answer.',
    rootCause: `An asynchronous function is given to ${what}, which drops its promise.`,
    evidence: givenAndFailing(facts.file, call, what, given.file, rejects.line),
  }
}

/** One place where both are in one file: the other one is no second fault. */
function givenAndFailing(file: string, { line }: Call, what: string, of: string, at: number): readonly Evidence[] {
  const place = { line, endLine: line }
  if (of === file) return [seenAt(file, place, `given to ${what}; what fails in line ${at} is caught by nobody`)]
  return [
    seenAt(file, place, `given to ${what}`),
    seenAt(of, { line: at, endLine: at }, 'what fails here is caught by nobody'),
  ]
}

/** QT5. `guard('admin')` of `router.get('/x', guard('admin'), …)`: the function that guard returns. */
function handlerMadeBy(program: Program, file: string, value: Value): BlockRef | undefined {
  const call = value.kind === 'call' ? program.file(file)?.facts.calls[value.call] : undefined
  const maker = call === undefined ? undefined : program.target({ file, call })
  const own = maker === undefined ? undefined : program.file(maker.file)
  if (maker === undefined || own === undefined) return undefined
  for (const { kind, value: made, block } of own.facts.exits)
    if (kind === 'return' && made?.kind === 'function' && own.functionOf(block) === maker.block)
      return { file: maker.file, block: made.block }
  return undefined
}

function ofMade(program: Program, { file: path, block }: BlockRef, what: string): Discovery | undefined {
  const file = program.file(path)
  const made = file?.facts.blocks[block]
  const given = promisedBy(program, { file: path, block })
  const rejects = given === undefined ? undefined : rejectsAt(program, given)
  if (file === undefined || made === undefined || rejects === undefined) return undefined
  const line = { line: made.line, endLine: made.line }
  return {
    tier: 'strong',
    symbol: symbolOf(file.facts, block),
    cause: `asynchronous functions given to ${what} in ${path}`,
    symptom: 'A failure of the handler ends the process, or leaves who waits for it without an answer.',
    rootCause: `An asynchronous function is given to ${what}, which drops its promise.`,
    evidence: [
      seenAt(path, line, `returned here and given to ${what}; what fails in line ${rejects.line} is caught by nobody`),
    ],
  }
}

function functionOfValue(program: Program, file: string, value: Value, block: number): BlockRef | undefined {
  if (value.kind === 'function') return { file, block: value.block }
  if (value.kind !== 'path') return undefined
  const { path } = value
  // Whatever a name means as a callee it means as a value.
  const call: Call = {
    line: 0,
    endLine: 0,
    block,
    callee: path,
    args: [],
    named: [],
    hasSpread: false,
    isNew: false,
    use: 'argument',
    on: -1,
    target: undefined,
  }
  return program.target({ file, call })
}
