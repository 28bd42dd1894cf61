// Failures whose work is lost although nothing returns them: the message that a handler took, the row that a constraint refused, what start-up loads. These are for
// review: what the caller does with the silence is not seen. What a task of a queue was given is lost for sure.
//   ER14. Found only where the handler does nothing but log (of a refusal: where other failures are thrown on), and no comment in it says why.
//   QR6. A result that says so is heard by nobody where those who send the task drop what they get for it.
//   QL13. Of a task, found where it was given something, and its outermost handler of any error does nothing but log; a round of a clock has nothing to lose.

import type { FileFacts, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { sentTasks } from '../messages/tasks.ts'
import { catchesAny } from '../promises/rejections.ts'
import { type Handled, isExplained, isLogging, onlyLogs } from './handlers.ts'

export interface Told {
  readonly rank: 'strong' | 'review' | 'beside'
  readonly line: number
  readonly endLine: number
  readonly block: number
  readonly what: string
  readonly symptom: string
}

export interface Around {
  readonly repository: Repository
  readonly program: Program
  readonly file: IndexedFile
  /** Kinds of entries, by `file\nblock` of their handler. */
  readonly entries: ReadonlyMap<string, string>
}

export function lostIn(around: Around, handled: Handled, fn: number): Told | undefined {
  return (
    ofTask(around, handled, fn) ??
    ofMessage(around, handled, fn) ??
    ofRefusal(around.file.facts, handled) ??
    ofLoading(around, handled, fn)
  )
}

const TASK = /(?:^|\.)(?:task|shared_task|actor)$/

function isTask({ facts }: IndexedFile, fn: number): boolean {
  return facts.blocks[fn]?.fn?.decorators.some(({ callee }) => TASK.test(callee.text)) === true
}

/** QR6. Whoever sends the task keeps nothing to ask for its result with. */
function isUnheard(program: Program, { facts }: IndexedFile, fn: number): boolean {
  const { name = '' } = facts.blocks[fn] ?? {}
  const sent = sentTasks(program).filter(({ call }) => call.callee.text.split('.').at(-2) === name)
  return sent.length > 0 && !MEASURES.test(name) && sent.every(({ call }) => call.use === 'dropped')
}

/** Losing it is no failure of the work. */
const MEASURES = /metric|telemetr|analytic|track|stats|heartbeat/i

/** QL13. What a task was given to do failed, and the queue is told that it was done: nothing tries again. */
function ofTask({ program, file }: Around, handled: Handled, fn: number): Told | undefined {
  const { facts } = file
  const params = (facts.blocks[fn]?.fn?.params ?? []).filter((each) => !/^(?:self|cls|ctx|_+\w*)$/.test(each))
  const isOutermost = facts.blocks[handled.tried]?.parent === fn && facts.blocks[handled.index]?.parent === fn
  if (params.length === 0 || !isOutermost || !catchesAny(handled.block) || !onlyLogs(facts, handled)) return undefined
  const tells = handled.contents.exits.some(({ value }) => value !== undefined)
  if (isExplained(facts, handled.block) || (tells && !isUnheard(program, file, fn))) return undefined
  const callers = isTask(file, fn) ? [] : program.callers({ file: facts.file, block: fn })
  const isOfTasks =
    callers.length > 0 &&
    callers.every(({ file: path, call }) => {
      const own = program.file(path)
      return own !== undefined && call.use !== 'tested' && isTask(own, own.functionOf(call.block))
    })
  const works = contentsOf(facts, handled.tried).calls.some((call) => !isLogging(facts, call))
  if (!works || !(isTask(file, fn) || isOfTasks)) return undefined
  return {
    rank: 'strong',
    line: handled.block.line,
    endLine: handled.block.endLine,
    block: handled.index,
    what: `any failure of the task is ${tells ? 'a result that nobody asks for' : 'only logged'}, and the queue takes it for done`,
    symptom: 'What the task was given to do is lost: it is acknowledged, and nothing tries it again.',
  }
}

const MESSAGE = /^_?(event|message|msg|job|evt|record|payload|delivery)$/
const SUBSCRIBING = /subscribe|consume|add_?handler|add_?listener|register_?handler|on_?message|process$/i

/** The handler of a message that logs all failures: whoever gave it the message takes it for done. */
function ofMessage({ file, entries }: Around, handled: Handled, fn: number): Told | undefined {
  const { facts } = file
  const { name = '', parent, fn: of } = facts.blocks[fn] ?? {}
  const isOutermost = facts.blocks[handled.index]?.parent === fn
  if (!isOutermost || !catchesAny(handled.block) || !onlyLogs(facts, handled) || handled.contents.exits.length > 0)
    return undefined
  if (isExplained(facts, handled.block) || entries.get(`${facts.file}\n${fn}`) === 'consumer') return undefined
  const params = (of?.params ?? []).filter((each) => each !== 'self')
  if (params.length !== 1 || !MESSAGE.test(params[0] ?? '') || !/handle|process|consume|^_?on_?/i.test(name))
    return undefined
  const isSubscribed = facts.calls.some(
    ({ callee, args, named }) =>
      SUBSCRIBING.test(callee.text) &&
      [...args, ...named.map(([, value]) => value)].some((value) => value.kind === 'path' && value.path.text === name),
  )
  if (!isSubscribed || parent === undefined) return undefined
  return {
    rank: 'review',
    line: handled.block.line,
    endLine: handled.block.endLine,
    block: handled.index,
    what: 'the handler of a message logs its failure and returns',
    symptom: 'Where what calls it acknowledges by its return, a message whose work failed is lost.',
  }
}

const REFUSED = /duplicate|violates|constraint|integrity|unique/i

/** One kind of failure is logged and told as done, while others are thrown on. */
function ofRefusal(facts: FileFacts, { index, contents }: Handled): Told | undefined {
  if (!contents.exits.some(({ kind }) => kind === 'throw')) return undefined
  const exit = contents.exits.find(({ kind, value, block }) => {
    const test = facts.blocks[block]?.test
    return (
      kind === 'return' &&
      value === undefined &&
      block !== index &&
      test !== undefined &&
      mentions(facts, test, REFUSED)
    )
  })
  const branch = exit === undefined ? undefined : facts.blocks[exit.block]
  if (exit === undefined || branch === undefined) return undefined
  // One that is not even logged is expected: the row is there already.
  if (!contentsOf(facts, exit.block).calls.some((call) => isLogging(facts, call))) return undefined
  return {
    rank: 'review',
    line: branch.line,
    endLine: branch.endLine,
    block: exit.block,
    what: 'a write that was refused is logged and told as done',
    symptom: 'What a constraint refused is lost; the caller takes the work for done.',
  }
}

/** A text or a name of it, also in what its calls are given. */
function mentions(facts: FileFacts, value: Value, word: RegExp): boolean {
  switch (value.kind) {
    case 'string':
      return word.test(value.value)
    case 'path':
      return word.test(value.path.text)
    case 'not':
    case 'await':
      return mentions(facts, value.value, word)
    case 'operation':
      return mentions(facts, value.left, word) || mentions(facts, value.right, word)
    case 'call': {
      const call = facts.calls[value.call]
      return call !== undefined && (word.test(call.callee.text) || call.args.some((arg) => mentions(facts, arg, word)))
    }
    default:
      return false
  }
}

const READING = /(^|\.)(readFile|readFileSync|load|safe_load|loads|parse|open|read_text|import)$/

/** What the process needs is loaded once, at the module's own call; a failure leaves it empty. */
function ofLoading({ file, program }: Around, handled: Handled, fn: number): Told | undefined {
  const { facts } = file
  if (!catchesAny(handled.block) || !onlyLogs(facts, handled) || handled.contents.exits.length > 0) return undefined
  if (isExplained(facts, handled.block) || facts.blocks[handled.index]?.parent !== fn) return undefined
  const { calls } = contentsOf(facts, handled.tried)
  if (!calls.some(({ callee }) => READING.test(callee.text)) || !/load|read|init/i.test(facts.blocks[fn]?.name ?? ''))
    return undefined
  // What answers has something else to answer.
  if (contentsOf(facts, fn).exits.some(({ kind, value }) => kind === 'return' && value !== undefined)) return undefined
  const callers = program.callers({ file: facts.file, block: fn })
  const isOfModule =
    callers.length > 0 && callers.every((site) => program.file(site.file)?.functionOf(site.call.block) === -1)
  if (!isOfModule) return undefined
  return {
    rank: 'review',
    line: handled.block.line,
    endLine: handled.block.endLine,
    block: handled.index,
    what: 'what is loaded at start is missing, and that is only logged',
    symptom: 'The process starts empty and looks healthy.',
  }
}
