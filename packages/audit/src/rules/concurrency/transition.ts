// States that are looked at and then moved on: a row is read, a field of it decides, the field is set and the row saved, and something is done because of it. Two at
// once both find the old state, and it is done twice.
//   CU21. Found where the field that is tested is the one that is set, to something fixed, and the function makes or sends something else beside; a move that
//         nothing else depends on comes out the same twice, and is silent. Strong where a row is made or another one saved.
//   QL4. What stands in the other branch of a test is not done because of the move.

import type { Assignment, Call, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { bodyOf, controlsOf, derived, holds } from './flow.ts'
import { isGuarded, sourceOf } from './guarded.ts'
import { savesRow } from './row-update.ts'
import type { RowUse } from './tables.ts'
import { usesOf } from './uses.ts'

const SENDS =
  /^(?:send|publish|emit|produce|charge|refund|transfer|pay|capture|notify|enqueue|dispatch)(?:[A-Z_]\w*)?$|^(?:add|remove|cancel|schedule|queue)\w*(?:Job|Task|Queue)s?$/
const VERSIONED = /optimistic_?concurrency|version_?id_?col|VersionColumn|expected_?version|__v\b/i

export function* movedStates(
  repository: Repository,
  program: Program,
  file: IndexedFile,
  fn: number,
): Iterable<Discovery> {
  const { rows } = usesOf(program, file, fn)
  for (const read of rows) {
    if (read.op !== 'read') continue
    const moved = movedBy(file, fn, read, rows)
    if (moved === undefined) continue
    if (isGuarded(program, repository.files, file, fn) || VERSIONED.test(sourceOf(repository.files, file, fn))) return
    const { write, saved, effect, tier } = moved
    const at = file.facts.calls[read.call] as Call
    const path = file.facts.file
    yield {
      tier,
      symbol: symbolOf(file.facts, fn),
      symptom: `Two requests at once both find ${write.target.text} as it was, both go on, and what follows is done twice.`,
      rootCause: `${write.target.text} is tested in the program and set afterwards, and the write does not ask whether it is still so.`,
      evidence: [
        seenAt(path, { line: at.line, endLine: saved.endLine }, 'looked at here'),
        seenAt(path, saved, `written here, with ${write.target.text} as set in line ${write.line}`),
        seenAt(path, effect, 'done because of it'),
      ],
    }
    return
  }
}

interface Moved {
  readonly write: Assignment
  readonly saved: Call
  readonly effect: Call
  readonly tier: 'strong' | 'review'
}

function movedBy(file: IndexedFile, fn: number, read: RowUse, rows: readonly RowUse[]): Moved | undefined {
  const { facts } = file
  const { assignments, calls } = bodyOf(file, fn)
  const names = derived(file, fn, read.call)
  for (const write of assignments) {
    const [name = '', field = '', ...more] = write.target.text.split('.')
    if (write.target.isOwn || field === '' || more.length > 0 || !names.has(name) || write.operator !== '=') continue
    if (!isFixed(write.value) || !isTested(file, fn, write)) continue
    const after = calls.filter((index) => (facts.calls[index] as Call).line >= write.line)
    const save = after.find((index) => savesRow(facts, facts.calls[index] as Call, name, true))
    if (save === undefined) continue
    const others = calls.filter(
      (index) =>
        index > read.call && index !== save && !areApart(file, (facts.calls[index] as Call).block, write.block),
    )
    const made = others.find((index) => makes(file, index, name, read, rows))
    const sent = others.find((index) => SENDS.test(lastName((facts.calls[index] as Call).callee)))
    const effect = facts.calls[made ?? sent ?? -1]
    if (effect === undefined) continue
    return { write, saved: facts.calls[save] as Call, effect, tier: made === undefined ? 'review' : 'strong' }
  }
  return undefined
}

/** QL4. One stands in a branch and the other where that branch was not taken: never both. */
function areApart({ facts: { blocks }, within }: IndexedFile, one: number, other: number): boolean {
  const isElse = (inner: number, outer: number): boolean => {
    for (let at = inner; at > 0; at = blocks[at]?.parent ?? -1) {
      const { kind, of = -1 } = blocks[at] ?? {}
      if (kind === 'otherwise' && within(outer, of)) return true
      if (kind === 'function') return false
    }
    return false
  }
  return isElse(one, other) || isElse(other, one)
}

/** Another row: made, or saved. */
function makes({ facts }: IndexedFile, index: number, name: string, read: RowUse, rows: readonly RowUse[]): boolean {
  const call = facts.calls[index] as Call
  if (call.use !== 'awaited' && call.use !== 'returned') return false
  if (rows.some((row) => row.call === index && row.op === 'create' && row.entity !== read.entity)) return true
  const [given] = call.args
  const isOther = given?.kind === 'path' && given.path.root === 'local' && given.path.text !== name
  return isOther && savesRow(facts, call, given.path.text, true)
}

/** `true`, `'paid'`, `Status.Paid`. */
function isFixed(value: Value): boolean {
  if (value.kind === 'path') return /^[A-Z]\w*\.\w+$/.test(value.path.text)
  return value.kind === 'boolean' || value.kind === 'string'
}

/** What is set was tested on the way, and what was not wanted left. */
function isTested(file: IndexedFile, fn: number, { target, block, line }: Assignment): boolean {
  const is = (value: Value): boolean => value.kind === 'path' && value.path.text === target.text
  return controlsOf(file, fn, block, line).some(({ test }) => holds(file.facts, test, is))
}
