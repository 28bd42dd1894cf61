// Errors that are logged and then turned into something that looks like an answer, or like success: the log knows of the outage, the caller does not.
//   ER1. Found only where what was tried leaves the process, the handler does nothing but log, and its caller is given what it could have been given
//        without a failure: an empty list, or the `nothing` that a missing row is. What tells the caller (a result of its own, a flag) is silent, and so are
//        probes, work that nobody waits for and what is by its name only tried.
//   QK10. A write may be done by a function of the repository that is waited for, through two layers below it.
//   QJ9. What was read may be returned by its name.
//   RW12. A durable write's `false` that no caller looks at is strong; what is sent beside the work (a notice, a report) is for review, what only measures is silent.
//   RW13. A compensation that is tried in a handler, and whose failure is only logged, is found: nobody tries it again.
//   RW15. Where the client throws at 404, too, nothing as the answer of any error is also the answer for what is not there.
//   ER2. A cache that answers `nothing` may be meant to: for review. Any other `false` of a write, and a guard of a missing connection, are told only beside such a place.

import type { Call, Exit, FileFacts, Value } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { outboundOf } from '../../system/outbound.ts'
import { usesOf } from '../concurrency/uses.ts'
import { contentsOf } from '../contents.ts'
import { isByHand, isPage } from '../places.ts'
import { catchesAny } from '../promises/rejections.ts'
import { symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import {
  emptinessOf,
  type Handled,
  handlersIn,
  isExplained,
  isLogging,
  isMeant,
  isTentative,
  onlyExit,
  onlyLogs,
} from './handlers.ts'
import { type Around, lostIn, type Told } from './lost.ts'
import { type Reached, reachedIn } from './reached.ts'

/** What only measures: losing it is no failure of the work. */
const BESIDE = /metric|telemetr|analytic|track|trace|log(?!in|out)|stats|statistic|monitor|cache|heartbeat/i
/** What is told of the work to others: that it is lost may be meant. */
const TOLD_OF = /audit|notify|notification|alert|report|usage|event|broadcast/i
/** Loops of workers, jobs and starts: there is nobody above them. */
const TOPMOST =
  /(^|[._])_*(run|main|start|loop|worker|work|poll|tick|cron|job|task|schedule|sync|init|setup|bootstrap|seed|migrate|lifespan|startup|process)(_|[A-Z]|$)|(_loop|_worker|_task|_job|Loop|Worker|Task|Job)$/
const STORES = new Set(['postgres', 'mysql', 'mongodb'])
const DURABLE = new Set([...STORES, 'amqp', 'kafka', 'http', 'grpc'])

export function* pretended(repository: Repository): Iterable<Discovery> {
  const program = programOf(repository.facts)
  const entries = new Map<string, string>()
  for (const { handler, kind } of entriesOf(repository))
    if (handler !== undefined) entries.set(`${handler.file}\n${handler.block}`, kind)
  for (const facts of repository.facts.values()) {
    const file = program.file(facts.file)
    if (file === undefined || isByHand(facts.file) || isPage(facts)) continue
    const around = { repository, program, file, entries }
    const told = [...handlersIn(facts)].flatMap((handled) => judge(around, handled) ?? [])
    const own = told.filter(({ rank }) => rank !== 'beside')
    if (own.length === 0) continue
    const tier = own.some(({ rank }) => rank === 'strong') ? 'strong' : 'review'
    const beside = [...told.filter(({ rank }) => rank === 'beside'), ...absences(around)]
    for (const each of own) yield discovery(facts, each, tier)
    for (const each of beside) yield discovery(facts, each, 'review')
  }
}

function discovery(
  facts: FileFacts,
  { line, endLine, block, what, symptom }: Told,
  tier: 'strong' | 'review',
): Discovery {
  const symbol = symbolOf(facts, block)
  return {
    tier,
    evidence: [{ provenance: 'static', loc: { file: facts.file, line, endLine }, what }],
    symbol,
    cause: `failures told as answers in ${facts.file}`,
    title: 'A failure is told as an answer',
    symptom,
    rootCause: `The handler in ${symbol === '' ? 'a function without a name' : symbol} logs the error and tells its caller nothing of it.`,
  }
}

function judge(around: Around, handled: Handled): Told | undefined {
  const { file, program } = around
  const { facts } = file
  const fn = file.functionOf(handled.index)
  if (fn === -1) return undefined
  const lost = lostIn(around, handled, fn)
  if (lost !== undefined) return lost
  if (!catchesAny(handled.block) || !onlyLogs(facts, handled) || isExplained(facts, handled.block)) return undefined
  const name = facts.blocks[fn]?.name ?? ''
  if (isNested(facts, handled.index, fn)) return compensation(around, handled)
  if (isTentative(name) || isMeant(facts, fn, handled.block)) return undefined
  const reached = reachedIn(program, outboundOf(around.repository), file, handled.tried)
  const saysMore = handled.contents.calls.length > 0
  if (reached.length === 0 && !(saysMore && !answersElse(facts, fn) && writesBelow(around, handled.tried, fn)))
    return undefined
  const exit = onlyExit(handled)
  if (exit === undefined)
    return handled.contents.exits.length === 0 ? goesOn(around, handled, fn, name, reached) : undefined
  return exit.kind === 'return' ? answers(around, handled, fn, exit, reached) : undefined
}

const COMPENSATING = /(?:^|[._/])(?:refund|release|compensat\w*|revert|undo|unreserve|restore)(?![a-z])/i

/** RW13. */
function compensation({ repository, program, file }: Around, { block, index, tried }: Handled): Told | undefined {
  if (file.facts.blocks[block.parent]?.kind !== 'handler') return undefined
  const undoing = reachedIn(program, outboundOf(repository), file, tried).find(({ call, effect, kind }) => {
    const [first] = call.args
    const words = first?.kind === 'string' ? first.value : first?.kind === 'template' ? first.parts.join('') : ''
    return effect === 'write' && DURABLE.has(kind) && COMPENSATING.test(`${call.callee.text} ${words}`)
  })
  if (undoing === undefined) return undefined
  return {
    line: block.line,
    endLine: block.endLine,
    block: index,
    rank: 'strong',
    what: 'a compensation that failed is only logged',
    symptom: 'What was done before the failure stays done: it is never taken back, and only the log knows.',
  }
}

/** In a loop, one of many fails: the rest goes on, which is meant. */
function isNested({ blocks }: FileFacts, block: number, fn: number): boolean {
  for (let at = blocks[block]?.parent ?? -1; at > 0 && at !== fn; at = blocks[at]?.parent ?? -1)
    if (blocks[at]?.kind === 'loop' || blocks[at]?.kind === 'handler' || blocks[at]?.kind === 'finally') return true
  return false
}

/** Where all went well its caller is given something that tells: not what the write answered. */
function answersElse(facts: FileFacts, fn: number): boolean {
  return contentsOf(facts, fn).exits.some(({ kind, value }) => {
    const inner = value?.kind === 'await' ? value.value : value
    return kind === 'return' && inner !== undefined && inner.kind !== 'call' && inner.kind !== 'null'
  })
}

/** QK10. A row is made or changed by a function that is waited for, in the layers below it. */
function writesBelow({ program, file }: Around, tried: number, fn: number): boolean {
  return usesOf(program, file, fn).rows.some(({ op, call: index }) => {
    const call = file.facts.calls[index]
    return (
      call !== undefined &&
      (op === 'create' || op === 'update' || op === 'upsert') &&
      (call.use === 'awaited' || call.use === 'returned') &&
      file.within(call.block, tried) &&
      program.target({ file: file.facts.file, call }) !== undefined
    )
  })
}

/** ER1: a read whose failure looks like "there is nothing". */
function answers(
  around: Around,
  handled: Handled,
  fn: number,
  exit: Exit,
  reached: readonly Reached[],
): Told | undefined {
  const empty = emptinessOf(exit.value)
  if (empty === undefined) return undefined
  const at = { line: exit.line, endLine: exit.endLine, block: handled.index }
  const line = Math.min(handled.block.line, exit.line)
  const kinds = new Set(reached.map(({ kind }) => kind))
  if (empty === 'false') {
    if (!reached.some(({ effect }) => effect === 'write')) return undefined
    const isDurable = [...kinds].some((kind) => DURABLE.has(kind))
    const isIgnored = isDurable && nobodyLooks(around, fn)
    const isSame = [...kinds].some((kind) => STORES.has(kind)) && isAlsoNotFound(around, handled, fn)
    const why = isIgnored ? ', and does not look at it' : isSame ? ', as if there were nothing to change' : ''
    const what = `a write that failed is only logged; the caller gets false${why}`
    return { ...at, line, rank: isIgnored || isSame ? 'strong' : 'beside', what, symptom: LOST }
  }
  // Taking out of a list is a write that answers, and so is one whose answer is given on.
  const isRead = reached.some(
    ({ call, effect, method }) => effect !== 'write' || TAKING.test(method) || call.use === 'returned',
  )
  if (!isRead || !isAlsoAnswer(around, handled, fn, empty, reached)) return undefined
  const isCache = kinds.size === 1 && kinds.has('redis')
  return {
    ...at,
    line,
    rank: isCache ? 'review' : 'strong',
    what: `any error is logged and becomes ${empty === 'no items' ? 'an empty answer' : 'the answer for "not there"'}`,
    symptom:
      'An outage looks like an empty answer: callers go on as if there were nothing, and may create, delete or show the wrong thing.',
  }
}

/** RW12. */
function nobodyLooks({ program, file }: Around, fn: number): boolean {
  const callers = program.callers({ file: file.facts.file, block: fn })
  return (
    callers.length > 0 &&
    callers.every(({ call: { use, target } }) => target === undefined && (use === 'dropped' || use === 'awaited'))
  )
}

const TAKING = /^(?:[lrs]pop|b[lr]pop|zpopmin|zpopmax|getdel|lmove|rpoplpush)$/i
const LOST = 'A write that failed is lost, and the work goes on as if it were done.'

/** Whether callers are also given this where nothing failed. */
function isAlsoAnswer(
  around: Around,
  { tried, index }: Handled,
  fn: number,
  empty: string,
  reached: readonly Reached[],
): boolean {
  const { facts, within } = around.file
  if (empty === 'no items' || (empty === 'nothing' && reached.some(({ throwsAtMissing }) => throwsAtMissing)))
    return true
  const calls = new Set(reached.map(({ call }) => call))
  return contentsOf(facts, fn).exits.some((exit) => {
    if (exit.kind !== 'return' || within(exit.block, index)) return false
    if (within(exit.block, tried) && exit.value !== undefined) {
      const inner = exit.value.kind === 'await' ? exit.value.value : exit.value
      const call = inner.kind === 'call' ? facts.calls[inner.call] : boundTo(facts, inner, tried, within)
      if (call !== undefined && calls.has(call)) return true
    }
    return emptinessOf(exit.value) === empty && !isOfFailure(facts, exit.block)
  })
}

/** QJ9. What the name that is returned was given in the same `try`. */
function boundTo(facts: FileFacts, value: Value, tried: number, within: IndexedFile['within']): Call | undefined {
  if (value.kind !== 'path' || value.path.root !== 'local') return undefined
  const given = facts.assignments.filter(
    ({ target, block }) => target.text === value.path.text && !target.isOwn && within(block, tried),
  )
  const [only] = given
  const made = only?.value.kind === 'await' ? only.value.value : only?.value
  return given.length === 1 && made?.kind === 'call' ? facts.calls[made.call] : undefined
}

/** RW12. It answers false elsewhere, too, and not because something failed. */
function isAlsoNotFound({ file: { facts, within } }: Around, { index }: Handled, fn: number): boolean {
  return contentsOf(facts, fn).exits.some(
    ({ kind, value, block }) =>
      kind === 'return' && emptinessOf(value) === 'false' && !within(block, index) && !isOfFailure(facts, block),
  )
}

/** In a handler, or behind a word about it in the log. */
function isOfFailure(facts: FileFacts, block: number): boolean {
  return (
    isOfHandler(facts, block) ||
    (facts.blocks[block]?.kind === 'branch' &&
      facts.calls.some((call) => call.block === block && isLogging(facts, call)))
  )
}

function isOfHandler({ blocks }: FileFacts, block: number): boolean {
  for (let at = block; at > 0; at = blocks[at]?.parent ?? -1) {
    if (blocks[at]?.kind === 'handler') return true
    if (blocks[at]?.kind === 'function') return false
  }
  return false
}

/** A write that failed, a log, and on it goes. */
function goesOn(
  around: Around,
  handled: Handled,
  fn: number,
  name: string,
  reached: readonly Reached[],
): Told | undefined {
  const { facts } = around.file
  const isWritten = reached.some(({ effect, kind }) => effect === 'write' && (DURABLE.has(kind) || kind === 'redis'))
  if (!isWritten && reached.length > 0) return undefined
  const entry = around.entries.get(`${facts.file}\n${fn}`)
  const at = { line: handled.block.line, endLine: handled.block.endLine, block: handled.index }
  const told: Omit<Told, 'rank'> = {
    ...at,
    what: 'a write that failed is only logged, and the caller is told nothing',
    symptom: LOST,
  }
  if (entry === 'consumer')
    return { ...told, rank: 'strong', symptom: 'The message is acknowledged although its work failed: it is lost.' }
  const symbol = symbolOf(facts, fn)
  if (entry !== undefined || BESIDE.test(symbol) || BESIDE.test(facts.file) || TOPMOST.test(name)) return undefined
  // A notice in the middle of other work.
  const written = reached.filter(({ effect }) => effect === 'write')
  if (written.length > 0 && written.every(({ call }) => TOLD_OF.test(call.callee.text))) return undefined
  // Who waits for it is told that it was done.
  const callers = around.program.callers({ file: facts.file, block: fn })
  if (callers.length === 0) return undefined
  const isKept = reached.length === 0 || reached.some(({ kind }) => DURABLE.has(kind) && kind !== 'http')
  return { ...told, rank: isKept && !TOLD_OF.test(symbol) ? 'strong' : 'review' }
}

/** `if not connected: return None`, where the client is then used. */
function* absences(around: Around): Iterable<Told> {
  const { facts } = around.file
  for (const [block, { kind, test, line, endLine }] of facts.blocks.entries()) {
    if (kind !== 'branch' || test === undefined || !isAbsence(test)) continue
    const fn = around.file.functionOf(block)
    if (
      fn === -1 ||
      facts.blocks[block]?.parent !== fn ||
      isTentative(facts.blocks[fn]?.name ?? '') ||
      TOPMOST.test(facts.blocks[fn]?.name ?? '')
    )
      continue
    const exit = contentsOf(facts, block).exits.find((each) => each.kind === 'return')
    if (
      exit === undefined ||
      emptinessOf(exit.value) !== 'nothing' ||
      reachedIn(around.program, outboundOf(around.repository), around.file, fn).length === 0
    )
      continue
    yield {
      rank: 'beside',
      line,
      endLine,
      block,
      what: 'without a connection the answer is the one for "not there"',
      symptom: 'While it is not connected, everything looks empty.',
    }
  }
}

function isAbsence(test: NonNullable<FileFacts['blocks'][number]['test']>): boolean {
  if (test.kind === 'not')
    return test.value.kind === 'path' && /connected|client|conn|redis|pool|ready|available/i.test(test.value.path.text)
  return (
    test.kind === 'operation' && /^(or|\|\|)$/.test(test.operator) && (isAbsence(test.left) || isAbsence(test.right))
  )
}
