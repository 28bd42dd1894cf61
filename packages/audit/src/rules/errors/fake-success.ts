// Work that is reported as done and was not: stubs that answer `completed`, and runs that are marked as completed whatever became of their steps.
//   ER4. A stub is found only where a comment in it says that the work is still to be written, it does nothing but log and wait, and what it answers says
//        that it succeeded.
//   QL11. Of what acts on somebody by its name, a bare `true` says so too, where it is its only answer.
//   QU7. Where the whole work is still to be written, telling others that it is done is no work; nor is a task of a queue that does nothing and ends well.
//   ER5. A run is found where a loop's handler only logs what failed, and what follows the loop marks the run as done in any case.

import type { Assignment, Block, Exit, FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { isPage } from '../places.ts'
import { catchesAny, handlersOf } from '../promises/rejections.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isLogging, onlyLogs } from './handlers.ts'

const UNWRITTEN =
  /\b(TODO|FIXME)\b|not (yet )?implemented|would (actually|normally|typically|be|call|execute|send|process)|implementation would|mock implementation|placeholder (implementation|for|until)|implementation (goes )?here|add your (\w+ )?(logic|code) here|\bstub\b|for now,? (just|we|it|return|simulate)|simulate[ds]? /i
const DONE = /^(completed?|success|succeeded|successful|done|delivered|sent|finished|processed|compensated|executed)$/i
const DONE_AT = /(^|_)(completed|finished|delivered|sent|processed|executed)_?at$/i
const STATUS = /^(status|state|result|outcome|success|ok)$/i
/** What takes no effect. */
const IDLE =
  /(^|\.)(now|Date|uuid4|uuid|randomUUID|time|utcnow|isoformat|toISOString|sleep|setTimeout|Promise|random|randint|uniform|choice|nanoid|timedelta|strftime|timestamp|get|len|str|String|dict|list|keys|values|items|append|push|round|range|int|float)$/

/** The work itself is missing, not a part of it. */
const NOTHING_YET = /\b(TODO|FIXME)\b\W{0,3}implement\b|implementation (goes )?here|add your (\w+ )?(logic|code) here/i
/** QU7. Tells others that it is done, which is no work. */
const ANNOUNCES = /(^|\.)(publish|emit)$/

/** Nobody believes these. What people start by hand to check something they do believe, so it is not left out. */
const UNBELIEVED = /(^|\/)(scripts?|mocks?|fakes?|stubs?)\//

export const fakeSuccess: Rule = {
  meta: {
    id: 'fake-success',
    category: 'error handling',
    severity: 'high',
    title: 'Work that was not done is reported as done',
    why: 'Everybody above believes it: nothing is retried, no alarm rings, and the books say that it happened.',
    remedies: [
      { priority: 'P1', text: 'Fail until it is written; mark a run by what became of its steps.', effort: 'M' },
    ],
    sources: ['CWE-393: return of wrong status code', 'CWE-544: missing standardized error handling mechanism'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const facts of repository.facts.values()) {
      if (isPage(facts) || UNBELIEVED.test(facts.file)) continue
      yield* stubs(facts)
      yield* runs(facts)
    }
  },
}

/** ER4. */
function* stubs(facts: FileFacts): Iterable<Discovery> {
  const unwritten = facts.comments.filter(({ text }) => UNWRITTEN.test(text))
  if (unwritten.length === 0) return
  for (const [fn, block] of facts.blocks.entries()) {
    if (block.kind !== 'function' || block.name === '') continue
    const comment = unwritten.find(
      ({ line }) => line >= block.line && line <= lastLine(facts, block) && innermost(facts, line) === fn,
    )
    if (comment === undefined) continue
    // A step of a loop may be unwritten while the rest is not.
    const isMissing = NOTHING_YET.test(comment.text) && isOnlyAnnounced(facts, fn)
    const part = isMissing || isIdle(facts, fn) ? fn : loopAround(facts, fn, comment.line)
    const success =
      part === undefined ? undefined : (successOf(facts, part) ?? (isMissing ? endOfTask(facts, fn) : undefined))
    if (success === undefined || (!isMissing && success.line < comment.line - LINES_BEFORE)) continue
    yield {
      tier: 'strong',
      symbol: symbolOf(facts, fn),
      symptom: `Callers of ${block.name} are told that it was done.`,
      rootCause: `${block.name} is not written yet, and answers as if it had done its work.`,
      evidence: [
        seenAt(facts.file, { line: success.line, endLine: success.line }, 'says that it succeeded'),
        seenAt(facts.file, { line: comment.line, endLine: comment.line }, 'says that the work is still to be written'),
      ],
    }
  }
}

/** What a comment is about stands near it. */
const LINES_BEFORE = 8

function loopAround(facts: FileFacts, fn: number, line: number): number | undefined {
  return contentsOf(facts, fn).blocks.find((each) => {
    const block = facts.blocks[each]
    return block?.kind === 'loop' && block.line <= line && line <= block.endLine && isIdle(facts, each)
  })
}

/** In Python nothing closes a function: a comment behind its last statement is its own. */
function lastLine({ language }: FileFacts, { endLine }: Block): number {
  return language === 'python' ? endLine + 1 : endLine
}

const FUNCTIONS = new WeakMap<FileFacts, readonly number[]>()

/** The function that a line is in. */
function innermost(facts: FileFacts, line: number): number {
  const kept =
    FUNCTIONS.get(facts) ??
    facts.blocks.flatMap(({ kind, name }, index) => (kind === 'function' && name !== '' ? [index] : []))
  FUNCTIONS.set(facts, kept)
  let found = -1
  for (const index of kept) {
    const block = facts.blocks[index]
    if (block !== undefined && block.line <= line && line <= lastLine(facts, block)) found = index
  }
  return found
}

/** What has an effect on somebody, by its name: its `true` means that it was done. */
const ACTS =
  /^_*(?:send|notify|deliver|publish|charge|pay|refund|capture|transfer|submit|upload|email|sms|push|dispatch|book|reserve|ship)(?:$|_|[A-Z])/

function successOf(facts: FileFacts, fn: number): { readonly line: number } | undefined {
  const { exits, assignments } = contentsOf(facts, fn)
  const { kind: of, name = '' } = facts.blocks[fn] ?? {}
  const isDoneBy = ({ value }: Exit): boolean =>
    value !== undefined && (saysDone(value) || (value.kind === 'boolean' && value.value && ACTS.test(name)))
  // QL11. One that may say no asks something first.
  const isOnly = of === 'function' && exits.length === 1
  const returned = exits.find(
    (exit) => exit.kind === 'return' && isDoneBy(exit) && (isOnly || exit.value?.kind !== 'boolean'),
  )
  return (
    returned ??
    assignments.find(({ value, target }) => saysDone(value) || (STATUS.test(lastName(target)) && isDone(value)))
  )
}

function saysDone(value: Value): boolean {
  return (
    value.kind === 'object' &&
    value.entries.some(([name, each]) => (STATUS.test(name) && isDone(each)) || DONE_AT.test(name))
  )
}

function isDone(value: Value): boolean {
  if (value.kind === 'boolean') return false
  if (value.kind === 'string') return DONE.test(value.value)
  return value.kind === 'path' && value.path.text.includes('.') && DONE.test(lastName(value.path))
}

/** What it does besides is to log, to wait and to shape its answer. */
function isIdle(facts: FileFacts, fn: number): boolean {
  return contentsOf(facts, fn).calls.every((call) => isLogging(facts, call) || IDLE.test(call.callee.text))
}

/** QU7. */
function isOnlyAnnounced(facts: FileFacts, fn: number): boolean {
  return contentsOf(facts, fn).calls.every((call) => {
    const isMade = call.args.length + call.named.length === 0 && /^[A-Z]\w*$/.test(call.callee.text)
    return isMade || isLogging(facts, call) || IDLE.test(call.callee.text) || ANNOUNCES.test(call.callee.text)
  })
}

/** QU7. A task of a queue that ends without an error was done, for all that its queue knows. */
function endOfTask(facts: FileFacts, fn: number): { readonly line: number } | undefined {
  const { fn: of, line = 0 } = facts.blocks[fn] ?? {}
  const isTask = of?.decorators.some(({ callee }) => /(^|\.)(shared_)?(task|actor)$/.test(callee.text)) === true
  return isTask && !contentsOf(facts, fn).exits.some(({ kind }) => kind === 'return') ? { line } : undefined
}

/** ER5. */
function* runs(facts: FileFacts): Iterable<Discovery> {
  for (const [loop, block] of facts.blocks.entries()) {
    if (block.kind !== 'loop' || block.binds === undefined) continue
    const handler = silentHandler(facts, loop)
    if (handler === undefined) continue
    const mark = markAfter(facts, block.parent, block.endLine)
    if (mark === undefined) continue
    const line = facts.blocks[handler]?.line ?? block.line
    yield {
      tier: 'strong',
      symbol: symbolOf(facts, loop),
      symptom: 'A run of which steps failed is marked as done, and nobody looks at it again.',
      rootCause: `${symbolOf(facts, loop)} logs the failure of a step and marks the whole as done in any case.`,
      evidence: [
        seenAt(facts.file, mark, 'marked as done, whatever happened'),
        seenAt(facts.file, { line, endLine: line }, 'the failure of a step is only logged'),
      ],
    }
  }
}

function silentHandler(facts: FileFacts, loop: number): number | undefined {
  for (const [tried, { kind, parent }] of facts.blocks.entries()) {
    if (kind !== 'try' || parent !== loop) continue
    return handlersOf(facts, tried).find((index) => {
      const block = facts.blocks[index]
      if (block === undefined || !catchesAny(block)) return false
      const contents = contentsOf(facts, index)
      return (
        onlyLogs(facts, { block, index, contents, tried }) &&
        contents.exits.every(({ kind: exit }) => exit === 'continue')
      )
    })
  }
  return undefined
}

function markAfter(facts: FileFacts, parent: number, line: number): Assignment | undefined {
  return facts.assignments.find(
    (each) =>
      each.block === parent &&
      each.line > line &&
      each.target.text.includes('.') &&
      STATUS.test(lastName(each.target)) &&
      isDone(each.value),
  )
}
