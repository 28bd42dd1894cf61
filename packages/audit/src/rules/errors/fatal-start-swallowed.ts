// Starts that fail and go on: the database, the broker or the migration that a process can't do without is tried once at start, the failure is logged, and the
// process stays up without it. What watches it sees a healthy process; every request fails.
//   ER7. Found only where start-up (an entry, or the module's own code) connects, migrates or listens, a handler for any error only logs, and nothing ends the
//        process or remembers the failure. A comment that says that it may be missing, and clients that connect again by themselves, keep it silent.

import type { Call, FileFacts } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { contentsOf } from '../contents.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand, isPage } from '../places.ts'
import { catchesAny } from '../promises/rejections.ts'
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
      yield* caught(facts)
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
  if (isExplained(facts, handled.block) || isRepeated(facts, handled.index)) return undefined
  const found = contentsOf(facts, handled.tried).calls.flatMap((call) => {
    const what = neededBy(call)
    return what === undefined ? [] : [{ call, what }]
  })[0]
  if (found === undefined) return undefined
  const fn = functionOf(handled.index)
  return fn === -1 || isStart(program, file, fn, starts, 0) ? found : undefined
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

/** `connect(…).then(…).catch((error) => console.error(error))` in the module's own code. */
function* caught(facts: FileFacts): Iterable<Discovery> {
  for (const call of facts.calls) {
    if (!/(^|\.)catch$/.test(call.callee.text) || facts.blocks[call.block]?.kind === 'function') continue
    const [handler] = call.args
    const before = firstOf(facts, call)
    const what = before === undefined ? undefined : neededBy(before)
    if (before === undefined || what === undefined || handler === undefined) continue
    const isLogged =
      handler.kind === 'path'
        ? /^console\./.test(handler.path.text)
        : handler.kind === 'function' && isOnlyLogging(facts, handler.block)
    if (isLogged) yield discovery(facts, before, what, call.line)
  }
}

function isOnlyLogging(facts: FileFacts, fn: number): boolean {
  const { calls, assignments, exits } = contentsOf(facts, fn)
  const block = facts.blocks[fn]
  if (block === undefined || isExplained(facts, block)) return false
  return (
    assignments.length === 0 &&
    calls.every((call) => isLogging(facts, call)) &&
    exits.every(({ kind }) => kind !== 'throw')
  )
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
    evidence: [
      seenAt(facts.file, { line, endLine: line }, 'the failure is only logged'),
      seenAt(facts.file, call, 'tried once, at start'),
    ],
  }
}
