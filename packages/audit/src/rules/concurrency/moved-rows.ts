// States that are looked at and then moved on by an update of their own: a row is read, a field of it decides, and an update sets the field and asks only for the
// row's id. Two at once both find the old state; what is done beside the move is done twice: money is given back twice, an order is bought twice.
//   QK7. Found where the field that was tested is set to something fixed, the condition of the update does not name it, and the function does something else that
//        counts. What is read in the transaction that writes is kept apart by what that transaction is; what is read before it is not.
//   QT6. What is queued because of the move is queued twice.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { bodyOf, controlsOf, derived, holds } from './flow.ts'
import { isGuarded, LOCKING_STATEMENTS, sourceOf } from './guarded.ts'
import { columnOf, type RowUse } from './tables.ts'
import { usesOf } from './uses.ts'

const EFFECTS =
  /^(?:send|publish|produce|charge|refund|transfer|pay(?!load)|capture|enqueue|queue|dispatch|purchase|complete|fulfil+|deliver|issue|credit|debit|withdraw|deposit|vend|redeem|grant|ship)(?:[A-Z_]\w*)?$/

export function* movedRows(
  repository: Repository,
  program: Program,
  file: IndexedFile,
  fn: number,
): Iterable<Discovery> {
  const reads = usesOf(program, file, fn).rows.filter(({ op, isVague }) => op === 'read' && !isVague)
  if (reads.length === 0) return
  const inner = nestedIn(file, fn)
  const writes = [fn, ...inner].flatMap((each) => usesOf(program, file, each).rows)
  for (const read of reads) {
    for (const move of movesOf(file, fn, read, writes)) {
      const effect = effectOf(file, fn, [fn, ...inner], read, move, writes)
      if (effect === undefined || isKeptApart(repository, program, file, fn, read, move.call)) continue
      yield discovery(file, fn, file.facts.calls[read.call] as Call, move, effect)
      return
    }
  }
}

interface Effect {
  readonly call: Call
  readonly isRow: boolean
}

function discovery({ facts }: IndexedFile, fn: number, read: Call, { call, field }: Move, effect: Effect): Discovery {
  return {
    tier: effect.isRow ? 'strong' : 'review',
    symbol: symbolOf(facts, fn),
    symptom: `Two requests at once both find ${field} as it was, both go on, and what follows is done twice.`,
    rootCause: `${field} is tested in the program and set afterwards, and the update asks for the row only, not whether ${field} is still so.`,
    evidence: [
      seenAt(
        facts.file,
        { line: read.line, endLine: call.endLine },
        'looked at here, and moved on without a condition',
      ),
      seenAt(facts.file, { line: effect.call.line, endLine: effect.call.line }, 'done because of it'),
    ],
  }
}

interface Move {
  readonly call: Call
  readonly field: string
}

function* movesOf(file: IndexedFile, fn: number, read: RowUse, writes: readonly RowUse[]): Iterable<Move> {
  const { facts } = file
  const names = derived(file, fn, read.call)
  if (names.size === 0) return
  for (const write of writes) {
    const call = facts.calls[write.call] as Call
    if ((write.op !== 'update' && write.op !== 'upsert') || write.entity !== read.entity || write.call <= read.call)
      continue
    const controls = controlsOf(file, fn, call.block, call.line)
    for (const [field, value] of setBy(call, write.op)) {
      if (!isFixed(value) || write.given.some(({ column }) => column === columnOf(field))) continue
      const isField = (each: Value): boolean =>
        each.kind === 'path' && !each.path.isOwn && isFieldOf(each.path.text, names, field)
      if (controls.some(({ test, exit }) => exit !== undefined && comparesTo(facts, test, isField)))
        yield { call, field }
    }
  }
}

/** `row.status`, and nothing deeper. */
function isFieldOf(text: string, names: ReadonlySet<string>, field: string): boolean {
  const [name = '', second = '', ...more] = text.split('.')
  return more.length === 0 && second === field && names.has(name)
}

function comparesTo(facts: FileFacts, test: Value, is: (value: Value) => boolean): boolean {
  if (test.kind === 'not') return comparesTo(facts, test.value, is)
  if (test.kind !== 'operation') return is(test)
  if (/^(?:&&|\|\||\?\?)$/.test(test.operator))
    return comparesTo(facts, test.left, is) || comparesTo(facts, test.right, is)
  return /^[!=]==?$/.test(test.operator) && (holds(facts, test.left, is) || holds(facts, test.right, is))
}

/** What an update sets: `data` of Prisma, `$set` or all of the second argument elsewhere, the update of an upsert. */
function setBy(call: Call, op: RowUse['op']): readonly (readonly [string, Value])[] {
  const given = op === 'upsert' ? optionOf(call, 'update') : (optionOf(call, 'data') ?? call.args[1])
  if (given?.kind !== 'object') return []
  return given.entries.flatMap(([name, value]) =>
    name === '$set' && value.kind === 'object' ? value.entries : ([[name, value]] as const),
  )
}

/** `true`, `'paid'`, `Status.PAID`. */
function isFixed(value: Value): boolean {
  if (value.kind === 'path') return /^(?:[A-Z]\w*\.)+\w+$/.test(value.path.text)
  return value.kind === 'boolean' || value.kind === 'string'
}

const NESTED = new WeakMap<FileFacts, ReadonlyMap<number, readonly number[]>>()

/** Callbacks within a function, that are no functions with names of their own. */
function nestedIn(file: IndexedFile, fn: number): readonly number[] {
  let kept = NESTED.get(file.facts)
  if (kept === undefined) {
    const found = new Map<number, number[]>()
    for (const [index, { kind, name, parent }] of file.facts.blocks.entries()) {
      if (kind !== 'function' || name !== '') continue
      const outer = file.functionOf(parent)
      found.set(outer, [...(found.get(outer) ?? []), index])
    }
    kept = found
    NESTED.set(file.facts, kept)
  }
  return kept.get(fn) ?? []
}

/** What else is done: another row made, or counted on; or something sent, bought or paid. */
function effectOf(
  file: IndexedFile,
  fn: number,
  bodies: readonly number[],
  read: RowUse,
  move: Move,
  writes: readonly RowUse[],
): Effect | undefined {
  const { calls } = file.facts
  const row = writes.find(
    ({ op, call }) =>
      call > read.call &&
      calls[call] !== move.call &&
      runTogether(file, fn, calls[call] as Call, move.call) &&
      (op === 'create' || (op === 'update' && countsOn(calls[call] as Call))) &&
      !/log|audit|history|event/i.test((calls[call] as Call).callee.text),
  )
  if (row !== undefined) return { call: calls[row.call] as Call, isRow: true }
  for (const body of bodies)
    for (const index of bodyOf(file, body).calls) {
      const call = calls[index] as Call
      const isAfter = index > read.call && call !== move.call && (call.use === 'awaited' || call.use === 'returned')
      if (isAfter && EFFECTS.test(lastName(call.callee)) && runTogether(file, fn, call, move.call))
        return { call, isRow: false }
    }
  return undefined
}

/** Neither stands in a branch that leaves before the other, nor in the half that was not taken. */
function runTogether(file: IndexedFile, fn: number, one: Call, other: Call): boolean {
  const { blocks, exits } = file.facts
  const [first, second] = one.line <= other.line ? [one, other] : [other, one]
  for (let at = first.block; at > 0 && at !== fn; at = blocks[at]?.parent ?? -1) {
    const { kind } = blocks[at] ?? {}
    if ((kind !== 'branch' && kind !== 'otherwise') || file.within(second.block, at)) continue
    if (exits.some((exit) => exit.kind !== 'yield' && file.within(exit.block, at))) return false
    for (let next = second.block; next > 0 && next !== fn; next = blocks[next]?.parent ?? -1)
      if (blocks[next]?.kind === 'otherwise' && blocks[next]?.of === at) return false
  }
  return true
}

/** `{ balance: { increment: amount } }`, `{ $inc: … }`. */
function countsOn({ args }: Call): boolean {
  const counts = (value: Value, depth: number): boolean =>
    value.kind === 'object' &&
    depth < 5 &&
    value.entries.some(([name, each]) => /^(?:increment|decrement|\$inc)$/.test(name) || counts(each, depth + 1))
  return args.some((arg) => counts(arg, 0))
}

function isKeptApart(
  repository: Repository,
  program: Program,
  file: IndexedFile,
  fn: number,
  read: RowUse,
  move: Call,
): boolean {
  const around = file.functionOf(move.block)
  if (around === fn) return isGuarded(program, repository.files, file, fn)
  // Of a transaction that begins after the look nothing keeps the looks apart.
  const opening = bodyOf(file, fn).calls.find((index) =>
    file.facts.calls[index]?.args.some((arg) => arg.kind === 'function' && arg.block === around),
  )
  const line = opening === undefined ? undefined : file.facts.calls[opening]?.line
  if (line === undefined || opening === undefined || opening < read.call)
    return isGuarded(program, repository.files, file, fn)
  const before = (file.facts.blocks[fn]?.line ?? line) - 1
  const text = sourceOf(repository.files, file, fn)
    .split('\n')
    .slice(0, line - before - 1)
    .join('\n')
  return LOCKING_STATEMENTS.test(text) || /lock|mutex|semaphore/i.test(text)
}
