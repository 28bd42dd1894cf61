// Messages that are deleted while they are collected, and of which only a part is used; and lists that are read and then deleted in two steps, with what came in
// between.
//   MF9. Found where a function gives only the first of what another collected, and that other deletes what it collects.
//   MF10. Reading and deleting one key in two steps is found where nothing (MULTI, a script) makes them one.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { mentions } from './acknowledging.ts'

const DELETING =
  /^(?:delete|del|unlink|remove|zrem|zRem|hdel|hDel|lpop|rpop|lPop|rPop|delete_message|deleteMessage|delete_one|deleteOne)$/
const STORE = /redis|store|storage|queue|cache|db|database|collection|client|conn|repo/i
const READING = ['lrange', 'lRange', 'hgetall', 'hGetAll', 'smembers', 'sMembers', 'zrange', 'zRange']
/** What is kept for later work, not what may be thrown away. */
const WORK =
  /queue|job|task|message|event|inbox|outbox|pending|buffer|batch|backlog|flush|drain|collect|counter|views|stats|log/i
const REMOVING = /^(?:del|delete|unlink)$/
const DEPTH_MAX = 4

export const messageLoss: Rule = {
  meta: {
    id: 'message-loss',
    category: 'messages and effects',
    severity: 'critical',
    title: 'Messages are deleted that nobody worked on',
    why: 'What is deleted before it is used, and then not used, is lost without an error: the more there is to do, the more of it disappears.',
    remedies: [
      {
        priority: 'P0',
        text: 'Take only what will be worked on, and delete it afterwards; read and delete in one step (a script, LMPOP, MULTI, RENAME first).',
        effort: 'S',
      },
    ],
    sources: [
      'CWE-362: concurrent execution using shared resource with improper synchronization',
      'Redis documentation: transactions',
    ],
  },
  *run({ facts: all }: Repository): Iterable<Discovery> {
    const program = programOf(all)
    for (const facts of all.values()) {
      const file = program.file(facts.file)
      if (file === undefined) continue
      yield* firstOnly(program, file)
    }
    yield* twoSteps(program)
  },
}

/** MF9. */
function* firstOnly(program: Program, file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  for (const exit of facts.exits) {
    const name = exit.kind === 'return' && exit.value !== undefined ? firstOf(exit.value) : undefined
    const fn = file.functionOf(exit.block)
    if (name === undefined || fn === -1) continue
    const made = facts.calls.find(
      ({ target, block }) => target?.text === name && !target.isOwn && file.functionOf(block) === fn,
    )
    const collector = made === undefined ? undefined : program.target({ file: facts.file, call: made })
    if (collector === undefined || isUsedElse(file, fn, name, exit.line)) continue
    const deleted = deletionBelow(program, collector, new Set())
    if (deleted === undefined) continue
    yield {
      tier: 'strong',
      evidence: [
        seenAt(deleted.file, deleted.call, 'deleted while it is collected'),
        seenAt(facts.file, exit, 'only the first of what was collected is given on'),
      ],
      symbol: symbolOf(facts, exit.block),
      symptom: 'When more than one is due, all but the first are deleted and never worked on.',
      rootCause: `${symbolOf(facts, exit.block)} gives on only the first, and what collects them has deleted all.`,
    }
  }
}

/** x of `x[0]`, `x[0] if x else None`, `x.at(0)`. */
function firstOf(value: Value): string | undefined {
  if (value.kind === 'operation' && value.operator === '?:') return firstOf(value.left)
  if (value.kind === 'operation' && /^(?:\?\?|\|\||or)$/.test(value.operator)) return firstOf(value.left)
  if (value.kind !== 'path' || value.path.isOwn) return undefined
  return /^([A-Za-z_]\w*)\.(?:\[\]|0)$/.exec(value.path.text)?.[1]
}

function isUsedElse(file: IndexedFile, fn: number, name: string, line: number): boolean {
  const { facts } = file
  const names = new Set([name])
  const isHere = (block: number): boolean => file.functionOf(block) === fn
  return (
    facts.calls.some(
      (call) =>
        isHere(call.block) &&
        call.line !== line &&
        (call.args.some((arg) => mentions(facts, arg, names)) || call.callee.text.startsWith(`${name}.`)),
    ) ||
    facts.assignments.some(
      ({ block, value, target, line: at }) =>
        isHere(block) && at !== line && target.text !== name && mentions(facts, value, names),
    ) ||
    facts.blocks.some(
      ({ kind, test }, index) => kind === 'loop' && test !== undefined && isHere(index) && mentions(facts, test, names),
    ) ||
    facts.exits.some(
      (exit) =>
        exit.line !== line && isHere(exit.block) && exit.value !== undefined && mentions(facts, exit.value, names),
    )
  )
}

function deletionBelow(
  program: Program,
  { file: path, block }: BlockRef,
  seen: Set<string>,
  depth = 0,
  isInLoop = false,
): { readonly file: string; readonly call: Call } | undefined {
  const file = program.file(path)
  const key = `${block}:${path}`
  if (file === undefined || depth > DEPTH_MAX || seen.has(key)) return undefined
  seen.add(key)
  for (const call of file.facts.calls) {
    if (file.functionOf(call.block) !== block) continue
    const isEach = isInLoop || hasLoop(file, call.block, block)
    const dot = call.callee.text.lastIndexOf('.')
    if (isEach && DELETING.test(lastName(call.callee)) && dot > 0 && STORE.test(call.callee.text.slice(0, dot)))
      return { file: path, call }
    const target = program.target({ file: path, call })
    const found = target === undefined ? undefined : deletionBelow(program, target, seen, depth + 1, isEach)
    if (found !== undefined) return found
  }
  return undefined
}

function hasLoop(file: IndexedFile, from: number, fn: number): boolean {
  const { blocks } = file.facts
  for (let at = from; at >= 0 && at !== fn; at = blocks[at]?.parent ?? -1) if (blocks[at]?.kind === 'loop') return true
  return false
}

/** MF10. */
function* twoSteps(program: Program): Iterable<Discovery> {
  for (const { file: path, call: read } of callsOf(program, READING)) {
    const file = program.file(path)
    if (file === undefined) continue
    const { facts } = file
    if (read.use === 'chained' || !read.callee.text.includes('.') || read.args[0] === undefined) continue
    const fn = file.functionOf(read.block)
    const client = read.callee.text.slice(0, read.callee.text.lastIndexOf('.'))
    const about = `${symbolOf(facts, read.block)} ${JSON.stringify(read.args[0])}`
    if (
      fn === -1 ||
      !WORK.test(about) ||
      /invalidat|cache|clean/i.test(about) ||
      /pipe|multi|trans|batch/i.test(client) ||
      !/redis|client|conn|cache|store/i.test(client)
    )
      continue
    const key = JSON.stringify(read.args[0])
    const removal = facts.calls.find(
      (call) =>
        call.line > read.line &&
        REMOVING.test(lastName(call.callee)) &&
        call.callee.text.startsWith(`${client}.`) &&
        file.functionOf(call.block) === fn &&
        JSON.stringify(call.args[0] ?? '') === key,
    )
    if (removal === undefined || isRenamed(facts, file, fn)) continue
    yield {
      tier: 'strong',
      evidence: [
        seenAt(facts.file, removal, 'the whole key is deleted'),
        seenAt(facts.file, read, 'what is in it is read here, in a step of its own'),
      ],
      severity: 'high',
      symbol: symbolOf(facts, read.block),
      symptom: 'What is written to the key between reading and deleting is lost.',
      rootCause: 'The key is read and then deleted, in two steps that nothing makes one.',
    }
  }
}

function isRenamed({ calls }: FileFacts, file: IndexedFile, fn: number): boolean {
  return calls.some(
    ({ callee, block }) =>
      /^(?:rename\w*|multi|pipeline|watch|eval\w*|lock|acquire)$/i.test(lastName(callee)) &&
      file.functionOf(block) === fn,
  )
}
