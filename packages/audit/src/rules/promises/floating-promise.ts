// Work that is started and let go of: a promise that nobody awaits, returns or gives a `catch`; in Python a coroutine that is made and never run, and a task
// that nobody holds. `void f()`, `.catch(…)` and `.then(a, b)` are decisions and silent, and so are functions whose own handlers let nothing through, the start
// of a program at the top of its file (a failure ends it, as it should) and pages in a browser.
//   PM1. Only a call of a function that is known to be asynchronous is found, and only one whose promise can come to reject.
//   QJ3. Of libraries the calls over HTTP that answer with a promise, and what is sent by a bot; with a callback they say by it how they went.
//   QK2. What only begins when it is awaited or subscribed to (queries of Prisma and Mongoose, `send` of Nest's clients, its HTTP) never runs where it is dropped.
//   QT14. So is a list of them: what `map` makes of an asynchronous function, where nobody keeps it.
//   PM2. In Python a coroutine that is dropped is found whatever it does: it never runs. Decorated functions are silent: what they answer is not told.

import type { Call, FileFacts } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { isByHand, isPage } from '../places.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { emitterOf } from './emitters.ts'
import { libraryPromise } from './library-promises.ts'
import { calledFunction, functionAt, isAsync, rejectsAt } from './rejections.ts'

const PLAIN = /^(staticmethod|classmethod|override|abstractmethod|abc\.abstractmethod|typing\.override)$/

export const floatingPromise: Rule = {
  meta: {
    id: 'floating-promise',
    category: 'error handling',
    severity: 'medium',
    title: 'Work is started and nobody waits for it or hears that it failed',
    why: 'The caller goes on as if it were done. When it fails, Node ends the process for an unhandled rejection, Python writes a warning at best; a coroutine that is not awaited never runs at all, and a task that nobody holds may be collected while it works.',
    remedies: [
      {
        priority: 'P1',
        text: 'Await it; where it is meant to run beside, keep it in a set that shutdown awaits, and give it a handler that logs and counts.',
        effort: 'S',
      },
    ],
    sources: [
      'https://nodejs.org/api/process.html#event-unhandledrejection',
      'https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined) continue
      for (const call of facts.calls)
        if (call.use === 'dropped')
          yield* facts.language === 'python' ? ofPython(program, file, call) : ofTypeScript(repository, file, call)
    }
  },
}

function* ofTypeScript(repository: Repository, file: IndexedFile, call: Call): Iterable<Discovery> {
  const program = programOf(repository.facts)
  const { facts, functionOf } = file
  const fn = functionOf(call.block)
  // What a generator yields stands there as if it were dropped.
  if (fn === -1 || call.isNew || isPage(facts) || isByHand(facts.file) || facts.blocks[fn]?.fn?.isGenerator === true)
    return
  const [each] = call.args
  if (lastName(call.callee) === 'map' && each?.kind === 'function') yield* ofList(program, facts, call, each.block)
  const meant = calledFunction(program, { file: facts.file, call })
  const promised = meant === undefined ? libraryPromise(program, file, call) : undefined
  if (promised?.isLazy === true) yield neverBegun(facts, call, promised.library)
  else if (meant === undefined) yield* ofLibrary(repository, program, file, call, promised?.library)
  if (meant === undefined || !isAsync(program, meant)) return
  const rejects = rejectsAt(program, meant)
  if (rejects === undefined) return
  const name = lastName(call.callee)
  yield {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    cause: `promises of ${name} dropped in ${facts.file}`,
    symptom: `A failure of ${name} ends the process as an unhandled rejection, and ${nameOf(facts, call.block)} has gone on without it.`,
    rootCause: `${nameOf(facts, call.block)} calls the asynchronous ${name} and drops its promise.`,
    evidence: [
      seenAt(facts.file, call, `the promise of ${name} is dropped; it can fail in ${meant.file}:${rejects.line}`),
    ],
  }
}

/** QT14. `items.map(async (item) => { … })`, and nothing else. */
function* ofList(program: Program, facts: FileFacts, call: Call, block: number): Iterable<Discovery> {
  const ref = { file: facts.file, block }
  const rejects = isAsync(program, ref) ? rejectsAt(program, ref) : undefined
  if (rejects === undefined) return
  yield {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    cause: `lists of promises dropped in ${facts.file}`,
    symptom: `A failure of one of them ends the process as an unhandled rejection, and ${nameOf(facts, call.block)} has gone on without it.`,
    rootCause: `${nameOf(facts, call.block)} maps a list to promises and drops them.`,
    evidence: [
      seenAt(
        facts.file,
        { line: call.line, endLine: call.line },
        `the promises that it makes are dropped; each can fail in line ${rejects.line}`,
      ),
    ],
  }
}

const PROMISING = /^(?:axios|fetch|node-fetch|got|undici|ky|@nestjs\/axios)$/
/** Of bots: what is sent, changed or answered. */
const BOTS = /^(?:node-telegram-bot-api|whatsapp-web\.js)$/
const SENDING = /^(?:send|edit|answer|delete|forward|copy|pin|reply|stop|start|set|ban|kick)[A-Z]?\w*$/

/** QJ3. */
function* ofLibrary(
  repository: Repository,
  program: Program,
  { facts }: IndexedFile,
  call: Call,
  known: string | undefined,
): Iterable<Discovery> {
  if (call.args.some(({ kind }) => kind === 'function')) return
  const name = lastName(call.callee)
  const library = known ?? promisingLibrary(repository, program, facts, call)
  if (library === undefined) return
  yield {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    cause: `promises of ${library} dropped in ${facts.file}`,
    symptom: `When ${name} of ${library} fails, nobody hears of it: an unhandled rejection, which ends the process.`,
    rootCause: `${nameOf(facts, call.block)} drops the promise of ${name}.`,
    evidence: [seenAt(facts.file, call, `the promise of ${name} is dropped`)],
  }
}

function promisingLibrary(
  repository: Repository,
  program: Program,
  { file }: FileFacts,
  call: Call,
): string | undefined {
  const outbound = outboundOf(repository).at({ file, call })
  if (outbound !== undefined) return PROMISING.test(outbound.library) ? outbound.library : undefined
  const dot = call.callee.text.lastIndexOf('.')
  if (dot <= 0 || !SENDING.test(lastName(call.callee))) return undefined
  const made = program.created(file, { ...call.callee, text: call.callee.text.slice(0, dot) }, call.block)
  const library = made === undefined ? undefined : emitterOf(made.call)?.library
  return library !== undefined && BOTS.test(library) ? library : undefined
}

/** QK2. */
function neverBegun(facts: FileFacts, call: Call, library: string): Discovery {
  const name = lastName(call.callee)
  return {
    tier: 'strong',
    severity: 'high',
    symbol: symbolOf(facts, call.block),
    cause: `${name} of ${library} that nobody waits for in ${facts.file}`,
    title: 'Work is asked for and never begins',
    symptom: `Nothing of ${name} happens when ${nameOf(facts, call.block)} calls it, and no error says so.`,
    rootCause: `What ${name} of ${library} answers begins only when it is awaited or subscribed to, and it is dropped.`,
    evidence: [seenAt(facts.file, call, `the answer of ${name} is dropped`)],
  }
}

const TASK = /^(asyncio\.)?(create_task|ensure_future)$/

function* ofPython(program: Program, file: IndexedFile, call: Call): Iterable<Discovery> {
  const { facts } = file
  if (TASK.test(call.callee.text) && call.callee.root.startsWith('import:asyncio')) {
    const isAccepted = facts.comments.some(({ line, text }) => line === call.endLine && text.includes('RUF006'))
    if (!isAccepted) yield unheldTask(facts, call)
    return
  }
  const name = lastName(call.callee)
  if (isForeignCoroutine(facts, call)) yield neverRun(facts, call, [])
  const meant = calledFunction(program, { file: facts.file, call })
  if (meant === undefined || call.isNew || !isCoroutine(program, meant)) return
  yield neverRun(facts, call, [seenAt(meant.file, lineOf(program, meant), `${name} is a coroutine function`)])
}

/** What is a coroutine of a library by its name, where the file knows no other broker: `message.ack()` of aio_pika. */
function isForeignCoroutine({ imports }: FileFacts, { callee }: Call): boolean {
  return (
    /(?:^|\.)(?:\w*message|msg)\.(?:ack|nack|reject)$/i.test(callee.text) &&
    imports.some(({ module }) => /^aio_pika\b/.test(module)) &&
    !imports.some(({ module }) => /^(?:pika|kombu|amqp)\b/.test(module))
  )
}

function neverRun(facts: FileFacts, call: Call, more: readonly Evidence[]): Discovery {
  const name = lastName(call.callee)
  return {
    tier: 'strong',
    severity: 'high',
    symbol: symbolOf(facts, call.block),
    cause: `coroutine ${name} dropped in ${facts.file}`,
    title: 'A coroutine is made and never run',
    symptom: `Nothing of ${name} happens when ${nameOf(facts, call.block)} calls it.`,
    rootCause: `${name} is a coroutine function; without await or a task its body never runs.`,
    evidence: [seenAt(facts.file, call, `${name} is called without await`), ...more],
  }
}

/** PM2. */
function isCoroutine(program: Program, meant: BlockRef): boolean {
  const block = functionAt(program, meant)
  if (block?.fn === undefined || !isAsync(program, meant)) return false
  const file = program.file(meant.file)
  const owner = file?.classOf(meant.block)
  // Another one of its name, where something is missing, may be what is called.
  const isOnlyOne = file?.facts.blocks.every(
    ({ kind, name, fn }, index) =>
      kind !== 'function' || name !== block.name || fn?.isAsync === true || file.classOf(index) !== owner,
  )
  return isOnlyOne === true && block.fn.decorators.every(({ callee }) => PLAIN.test(callee.text))
}

function unheldTask(facts: FileFacts, call: Call): Discovery {
  return {
    tier: 'strong',
    severity: 'low',
    symbol: symbolOf(facts, call.block),
    cause: `tasks that nobody holds in ${facts.file.split('/', 1)[0]}`,
    title: 'A task that nobody holds',
    symptom:
      'The task may end half-way, when it is collected; an exception of it is seen by nobody, and shutdown does not wait for it.',
    rootCause: `${nameOf(facts, call.block)} drops the task: the event loop keeps only a weak reference to it.`,
    evidence: [seenAt(facts.file, call, 'the task is dropped')],
  }
}

function lineOf(program: Program, ref: BlockRef): { readonly line: number; readonly endLine: number } {
  const line = functionAt(program, ref)?.line ?? 1
  return { line, endLine: line }
}

function nameOf(facts: FileFacts, block: number): string {
  const symbol = symbolOf(facts, block)
  return symbol === '' ? 'a function without a name' : symbol
}
