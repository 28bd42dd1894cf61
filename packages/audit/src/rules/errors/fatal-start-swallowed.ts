// Starts that fail and go on: the database, the broker or the migration that a process can't do without is tried once at start, the failure is logged, and the
// process stays up without it. What watches it sees a healthy process; every request fails.
//   ER7. Found only where start-up (an entry, or the module's own code) connects, migrates or listens, a handler for any error only logs, and nothing ends the
//        process or remembers the failure. A comment that says that it may be missing, and clients that connect again by themselves, keep it silent.
//   QM11. A script that lets go of its connections, or ends, whatever came of it does not go on without what it needs: it is silent.
//   QJ6. A `.catch` that only logs is such a handler, also of a function of the same file that connects, where a server or a timer keeps the process up.
//   QW9. A port that can't be taken is such a failure where `listen` is a promise.
//   QJ7. A comment that wonders whether to exit says nothing of that.

import type { Block, Call, FileFacts, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { contentsOf } from '../contents.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand, isPage } from '../places.ts'
import { catchesAny, isCaught } from '../promises/rejections.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type Handled, handlersIn, isExplained, isLogging, onlyLogs } from './handlers.ts'

/** One attempt, and nobody makes another. */
const NEEDED: readonly (readonly [root: RegExp, name: RegExp, what: string])[] = [
  [/^import:mongoose(#|$)/, /(^|\.)connect$/, 'the connection to MongoDB'],
  [/^import:mysql2?(\/promise)?(#|$)/, /(^|\.)createConnection$/, 'the connection to MySQL'],
  [/^import:amqplib(#|$)/, /(^|\.)connect$/, 'the connection to the broker'],
  [/^import:(aio_pika)(#|$)/, /(^|\.)connect(_robust)?$/, 'the connection to the broker'],
  [/^import:asyncpg(#|$)/, /(^|\.)(connect|create_pool)$/, 'the connection to Postgres'],
  [/^import:alembic/, /(^|\.)(upgrade)$/, 'the migration'],
]
const OWN =
  /(^|\.)_*(run_?migrations?|migrate|connect_?(to_?)?(db|database|mongo(db)?|postgres|mysql|rabbit(mq)?|kafka|broker)|init_?(db|database)|initialize_?(db|database)|connectDB|initDb|dbConnect|create_all|sync_?database)$/i

export const fatalStartSwallowed: Rule = {
  meta: {
    id: 'fatal-start-swallowed',
    category: 'error handling',
    severity: 'high',
    title: 'A failed start is logged, and the process goes on without what it needs',
    why: 'Whoever watches the process sees it up; nothing restarts it, and it never tries again. Every request that needs what is missing fails until somebody restarts it by hand.',
    remedies: [
      {
        priority: 'P1',
        text: 'End the process with an error, or keep trying with a growing pause and stay unready meanwhile.',
        effort: 'S',
        guarantee: GUARANTEES.reconnect,
      },
    ],
    sources: ['https://12factor.net/disposability', 'https://mongoosejs.com/docs/connections.html#error-handling'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const starts = new Set<string>()
    for (const { kind, handler } of entriesOf(repository))
      if (kind === 'startup' && handler !== undefined) starts.add(`${handler.file}\n${handler.block}`)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || isPage(facts) || isByHand(facts.file)) continue
      for (const handled of handlersIn(facts)) {
        const found = startIn(program, file, handled, starts)
        if (found !== undefined) yield discovery(facts, found.call, found.what, handled.block.line)
      }
      yield* caught(program, file, starts)
    }
  },
}

interface Start {
  readonly call: Call
  readonly what: string
}

/** ER7. */
function startIn(
  program: Program,
  file: IndexedFile,
  handled: Handled,
  starts: ReadonlySet<string>,
): Start | undefined {
  const { facts, functionOf } = file
  if (!catchesAny(handled.block) || !onlyLogs(facts, handled) || handled.contents.exits.length > 0) return undefined
  if (isMeant(facts, handled.block) || isRepeated(facts, handled.index)) return undefined
  const found = contentsOf(facts, handled.tried).calls.flatMap((call) => {
    const what = neededBy(call) ?? portOf(facts, call)
    return what === undefined ? [] : [{ call, what }]
  })[0]
  if (found === undefined) return undefined
  if (facts.blocks.some(({ kind, of }, at) => kind === 'finally' && of === handled.tried && endsIn(facts, at)))
    return undefined
  const fn = functionOf(handled.index)
  const name = facts.blocks[fn]?.name
  if (facts.calls.some((call) => call.callee.text === name && isEnded(facts, call))) return undefined
  return fn === -1 || isStart(program, file, fn, starts, 0) ? found : undefined
}

const ENDING = /(^|\.)\$?(disconnect|close\w*|end|quit|destroy|dispose|aclose|exit)$/i

/** QM11. */
function endsIn(facts: FileFacts, block: number): boolean {
  return contentsOf(facts, block).calls.some(({ callee }) => ENDING.test(callee.text))
}

/** QM11. `….catch(log).finally(() => client.disconnect())` */
function isEnded(facts: FileFacts, before: Call): boolean {
  return facts.calls.some(
    ({ callee, on, args: [last] }) =>
      /(^|\.)finally$/.test(callee.text) &&
      facts.calls[on] === before &&
      ((last?.kind === 'function' && endsIn(facts, last.block)) ||
        (last?.kind === 'path' && ENDING.test(last.path.text))),
  )
}

/** In a loop it is tried again. */
function isRepeated({ blocks }: FileFacts, from: number): boolean {
  for (let at = from; at > 0; at = blocks[at]?.parent ?? -1) {
    if (blocks[at]?.kind === 'loop') return true
    if (blocks[at]?.kind === 'function') return false
  }
  return false
}

function neededBy({ callee }: Call): string | undefined {
  const known = NEEDED.find(([root, name]) => root.test(callee.root) && name.test(callee.text))
  if (known !== undefined) return known[2]
  return OWN.test(callee.text) ? callee.text : undefined
}

/** QW9. Of frameworks whose `listen` is a promise; the callbacks of others throw nowhere. */
function portOf({ imports }: FileFacts, { callee, use }: Call): string | undefined {
  const isPromise = imports.some(({ module }) => /^(?:@nestjs\/core|fastify|@fastify\/.+)$/.test(module))
  return isPromise && (use === 'awaited' || use === 'chained') && /\.listen$/.test(callee.text) ? 'the port' : undefined
}

/** Called by start-up, or by the module's own code, and by nothing else. */
function isStart(program: Program, file: IndexedFile, fn: number, starts: ReadonlySet<string>, depth: number): boolean {
  const path = file.facts.file
  if (starts.has(`${path}\n${fn}`)) return true
  const callers = depth > 2 ? [] : program.callers({ file: path, block: fn })
  return (
    callers.length > 0 &&
    callers.every((site) => {
      const of = program.file(site.file)
      const around = of?.functionOf(site.call.block) ?? -1
      return (
        of !== undefined &&
        !isPage(of.facts) &&
        !isByHand(of.facts.file) &&
        (around === -1 || isStart(program, of, around, starts, depth + 1))
      )
    })
  )
}

/** QJ6. `connect(…).then(…).catch((error) => console.error(error))` in the module's own code, or where start-up leads. */
function* caught(program: Program, file: IndexedFile, starts: ReadonlySet<string>): Iterable<Discovery> {
  const { facts } = file
  for (const call of facts.calls) {
    if (!/(^|\.)catch$/.test(call.callee.text)) continue
    const [handler] = call.args
    const before = firstOf(facts, call)
    if (before === undefined || handler === undefined || !isLoggingOnly(facts, handler) || isEnded(facts, call))
      continue
    const what = neededBy(before) ?? portOf(facts, before) ?? neededWithin(program, file, before)
    const fn = file.functionOf(call.block)
    if (what === undefined || (fn !== -1 && !isStart(program, file, fn, starts, 0))) continue
    const line = handler.kind === 'function' ? facts.blocks[handler.block]?.line : undefined
    yield discovery(facts, before, what, line ?? call.endLine)
  }
}

function isLoggingOnly(facts: FileFacts, handler: Value): boolean {
  if (handler.kind === 'path') return /^console\./.test(handler.path.text)
  return handler.kind === 'function' && isOnlyLogging(facts, handler.block)
}

/** QJ6. Of `start().catch(console.error)`: what start does, where something keeps the process up all the same. */
function neededWithin(program: Program, file: IndexedFile, call: Call): string | undefined {
  const fn = program.target({ file: file.facts.file, call })
  const own = fn === undefined ? undefined : program.file(fn.file)
  if (fn === undefined || own === undefined || fn.file !== file.facts.file || !keepsUp(program, file)) return undefined
  for (const inner of contentsOf(own.facts, fn.block).calls) {
    const what = isCaught(own.facts, inner.block, fn.block) ? undefined : neededBy(inner)
    if (what !== undefined) return what
  }
  return undefined
}

const KEEPING = /(^|\.)(listen|serve|setInterval)$/

function keepsUp(program: Program, { facts, functionOf }: IndexedFile): boolean {
  return facts.calls.some((call) => {
    if (KEEPING.test(call.callee.text)) return true
    const fn = functionOf(call.block) === -1 ? program.target({ file: facts.file, call }) : undefined
    const own = fn === undefined ? undefined : program.file(fn.file)?.facts
    return (
      fn !== undefined &&
      own !== undefined &&
      contentsOf(own, fn.block).calls.some(({ callee }) => KEEPING.test(callee.text))
    )
  })
}

function isOnlyLogging(facts: FileFacts, fn: number): boolean {
  const { calls, assignments, exits } = contentsOf(facts, fn)
  const block = facts.blocks[fn]
  if (block === undefined || isMeant(facts, block)) return false
  return (
    assignments.length === 0 &&
    calls.every((call) => isLogging(facts, call)) &&
    exits.every(({ kind }) => kind !== 'throw')
  )
}

/** QJ7. A comment says why; one that only wonders about an exit does not. */
function isMeant(facts: FileFacts, block: Block): boolean {
  const wonders = /process\.exit|\bexit\b|TODO|FIXME/i
  const comments = facts.comments.filter(({ text }) => !wonders.test(text))
  return isExplained({ ...facts, comments }, block)
}

function firstOf(facts: FileFacts, call: Call): Call | undefined {
  let at: Call | undefined = facts.calls[call.on]
  for (let hops = 0; hops < 6 && at !== undefined && at.on !== -1; hops++) at = facts.calls[at.on]
  return at
}

function discovery(facts: FileFacts, call: Call, what: string, line: number): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    symptom: 'The process is up and can do nothing; nothing restarts it.',
    rootCause: `When ${what} fails at start, that is logged and the process goes on.`,
    // One place: a second would look like a second fault.
    evidence: [
      seenAt(
        facts.file,
        { line, endLine: line },
        `the failure is only logged; tried once, at start, in line ${call.line}`,
      ),
    ],
  }
}
