// What is looked at and then taken: a balance or a stock is read, compared in the program, and taken from with a write that does not ask whether enough is still there.
// Each write is right for itself (`$inc`, `decrement`, `set qty = qty - 1`), so nothing is lost, but two at once take more than there was.
//   QJ14. Found only where the field that is compared is the one that is counted down or up, in the same table, and neither the condition of the write nor a lock names it.

import type { Call, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { bodyOf, controlsOf, derived, holds } from './flow.ts'
import { isGuarded } from './guarded.ts'

const READS = /^(?:findOne|findById|findUnique|findUniqueOrThrow|findFirst|findByPk|findOneBy|query|execute)$/
const WRITES = /^(?:updateOne|updateMany|update|findOneAndUpdate|findByIdAndUpdate|query|execute)$/
const ORDERING = /^(?:<|<=|>|>=)$/

export function* spent(repository: Repository, program: Program, file: IndexedFile, fn: number): Iterable<Discovery> {
  const { facts } = file
  const { calls } = bodyOf(file, fn)
  for (const index of calls) {
    const write = facts.calls[index] as Call
    const counted = WRITES.test(lastName(write.callee)) ? countedBy(write) : undefined
    if (counted === undefined) continue
    const read = calls.find((each) => each < index && isLookOf(facts.calls[each] as Call, write, counted))
    if (read === undefined || !isCompared(file, fn, read, write, counted.field)) continue
    if (isGuarded(program, repository.files, file, fn)) return
    yield discovery(file, fn, facts.calls[read] as Call, write, counted.field)
    return
  }
}

interface Counted {
  readonly field: string
  /** Of SQL; '' where the table is what the call is made on. */
  readonly table: string
}

/** The field that a write adds to or takes from what is there, without asking for what is there. */
function countedBy({ args }: Call): Counted | undefined {
  const [first, second] = args
  const sql = first?.kind === 'string' ? first.value : first?.kind === 'template' ? first.parts.join('?') : undefined
  if (sql !== undefined) return countedInSql(sql)
  const data = entryOf(first, 'data')
  if (data?.kind === 'object') {
    const field = data.entries.find(
      ([, value]) => entryOf(value, 'decrement') !== undefined || entryOf(value, 'increment') !== undefined,
    )?.[0]
    return field === undefined || entryOf(entryOf(first, 'where'), field) !== undefined
      ? undefined
      : { field, table: '' }
  }
  const inc = entryOf(second, '$inc')
  const field = inc?.kind === 'object' ? inc.entries[0]?.[0] : undefined
  return field === undefined || entryOf(first, field) !== undefined ? undefined : { field, table: '' }
}

function countedInSql(sql: string): Counted | undefined {
  const [, table = '', field = '', rest = ''] =
    /^\s*update\s+"?(\w{1,60})"?\s+set\s+"?(\w{1,60})"?\s*=\s*"?\2"?\s*[-+]([\s\S]*)$/i.exec(sql) ?? []
  const condition = /\bwhere\b([\s\S]*)$/i.exec(rest)?.[1] ?? ''
  return field === '' || new RegExp(`\\b${field}\\b`, 'i').test(condition) ? undefined : { field, table }
}

function entryOf(value: Value | undefined, name: string): Value | undefined {
  return value?.kind === 'object' ? value.entries.find(([key]) => key === name)?.[1] : undefined
}

/** Of the same table, and not locking it. */
function isLookOf({ callee, args }: Call, write: Call, { table }: Counted): boolean {
  if (!READS.test(lastName(callee))) return false
  if (table === '') return ownerOf(callee.text) === ownerOf(write.callee.text)
  const [first] = args
  const sql = first?.kind === 'string' ? first.value : first?.kind === 'template' ? first.parts.join('?') : ''
  return new RegExp(`^\\s*select\\b[\\s\\S]*\\bfrom\\s+"?${table}\\b`, 'i').test(sql) && !/\bfor\s+update\b/i.test(sql)
}

function ownerOf(text: string): string {
  return text.slice(0, Math.max(0, text.lastIndexOf('.')))
}

function isCompared(file: IndexedFile, fn: number, read: number, write: Call, field: string): boolean {
  const names = derived(file, fn, read)
  const isField = (value: Value): boolean =>
    value.kind === 'path' && lastName(value.path) === field && names.has(value.path.text.split('.', 1)[0] as string)
  return controlsOf(file, fn, write.block, write.line).some(({ test }) => orders(file, test, isField))
}

/** Somewhere in a test: is less, is more. */
function orders(file: IndexedFile, test: Value, is: (value: Value) => boolean): boolean {
  if (test.kind === 'not') return orders(file, test.value, is)
  if (test.kind !== 'operation') return false
  if (ORDERING.test(test.operator)) return holds(file.facts, test.left, is) || holds(file.facts, test.right, is)
  return orders(file, test.left, is) || orders(file, test.right, is)
}

function discovery({ facts }: IndexedFile, fn: number, read: Call, write: Call, field: string): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, fn),
    symptom: `Two callers at once both find enough ${field}, both take of it, and more is gone than there was.`,
    rootCause: `${field} is compared in the program and changed afterwards, and the write does not ask whether enough is still there.`,
    evidence: [
      seenAt(facts.file, { line: read.line, endLine: write.endLine }, `${field} is looked at here`),
      seenAt(facts.file, write, 'and changed here'),
    ],
  }
}
