// Asynchronous functions given to what drops their promise: listeners of emitters, timers, forEach, `new Promise(async …)`, and handlers of Express before
// version 5. A failure in one rejects a promise that nobody holds; Node ends the process for it, and every request that is under way with it.
// Silent where the function's own handlers let nothing through, where the receiver is not known to be such an emitter, where express-async-errors is
// there, and in pages.
//   PM3. Only a function that can come to reject is found.
//   PM4. Handlers of routes are found only under a version of Express that drops their promise.

import type { Call, Value } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { isPage } from '../places.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { emitterOf } from './emitters.ts'
import { dropsRejections, isRouter } from './express.ts'
import { isAsync, rejectsAt } from './rejections.ts'

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
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || facts.language === 'python' || isPage(facts)) continue
      for (const call of facts.calls) {
        const given = takes(repository, program, file, call)
        if (given === undefined) continue
        for (const arg of given.args) {
          const found = discovery(program, file, call, arg, given.what)
          if (found !== undefined) yield found
        }
      }
    }
  },
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
  if (
    /^(on|once|addListener|prependListener)$/.test(name) &&
    first?.kind === 'string' &&
    first.value !== 'unhandledRejection'
  ) {
    const library = emitterCalled(program, file, call)
    return library === undefined
      ? undefined
      : { args: args.slice(1, 2), what: `an emitter of ${library} ('${first.value}')` }
  }
  if (ROUTE.test(callee.text) && isRouter(program, file, call) && dropsRejections(repository, file.facts.file))
    return { args, what: 'a router of Express 4' }
  return undefined
}

/** The library of the emitter that `on` is called of. */
function emitterCalled(program: Program, file: IndexedFile, call: Call): string | undefined {
  const { facts } = file
  const { callee } = call
  const before = facts.calls[call.on]
  if (before !== undefined) return emitterOf(before)?.library ?? chained(facts.calls, before)
  const receiver = callee.text.slice(0, callee.text.lastIndexOf('.'))
  // A signal ends the process anyway.
  if (receiver === '' || receiver === 'process') return undefined
  const made = program.created(facts.file, { ...callee, text: receiver }, call.block)
  const known = made === undefined ? undefined : emitterOf(made.call)?.library
  return known ?? ofConnection(program, file, call, receiver)
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
  const { facts, functionOf } = file
  const fn = functionOf(call.block)
  if (call.callee.root !== 'param' || facts.blocks[fn]?.fn?.params.includes(receiver) !== true) return undefined
  const giver = facts.calls.find(
    ({ args, callee }) =>
      /\.(on|once)$/.test(callee.text) &&
      args[0]?.kind === 'string' &&
      /^(connection|connect|secureConnection)$/.test(args[0].value) &&
      args.some((arg) => arg.kind === 'function' && arg.block === fn),
  )
  if (giver === undefined) return undefined
  const { callee } = giver
  const of = callee.text.slice(0, callee.text.lastIndexOf('.'))
  const made = program.created(facts.file, { ...callee, text: of }, giver.block)
  return made === undefined ? undefined : serverOf(made.call)
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
  arg: Value,
  what: string,
): Discovery | undefined {
  const given = functionOfValue(program, facts.file, arg)
  if (given === undefined || !isAsync(program, given)) return undefined
  const rejects = rejectsAt(program, given)
  if (rejects === undefined) return undefined
  const symbol = symbolOf(facts, call.block)
  return {
    tier: 'strong',
    symbol,
    cause: `asynchronous functions given to ${what.replace(/ \('.*/, '')} in ${facts.file}`,
    symptom: 'A failure of the handler ends the process, or leaves who waits for it without an answer.',
    rootCause: `An asynchronous function is given to ${what}, which drops its promise.`,
    evidence: [
      seenAt(facts.file, { line: call.line, endLine: call.line }, `given to ${what}`),
      seenAt(given.file, { line: rejects.line, endLine: rejects.line }, 'what fails here is caught by nobody'),
    ],
  }
}

function functionOfValue(program: Program, file: string, value: Value): BlockRef | undefined {
  if (value.kind === 'function') return { file, block: value.block }
  if (value.kind !== 'path' || value.path.isOwn) return undefined
  const { path } = value
  // Whatever a name means as a callee it means as a value.
  const call: Call = {
    line: 0,
    endLine: 0,
    block: 0,
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
