// Columns of JSON that are changed in place: SQLAlchemy sees a new value of a column, not a change inside of the old one, so the commit that follows writes nothing.
//   CU6. A column that a class declares as plain JSON, changed by key or by a method of dict and list, and committed, is found; one that is mutable, flagged as
//        modified, or given anew in the same function is not.

import type { FileFacts } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { bodyOf, holds } from './flow.ts'

const PLAIN = /(?:^|\.)(?:JSON|JSONB|PickleType)$/
const COLUMN = /(?:^|\.)(?:Column|mapped_column|Field)$/
const CHANGES = /^(?:append|update|pop|remove|extend|setdefault|insert|clear)$/

const KEPT = new WeakMap<Repository, ReadonlySet<string>>()

/** Names of columns that are plain JSON wherever a class has them. */
function plainColumns(repository: Repository): ReadonlySet<string> {
  const kept = KEPT.get(repository)
  if (kept !== undefined) return kept
  const plain = new Set<string>()
  const other = new Set<string>()
  for (const facts of repository.facts.values()) if (facts.language === 'python') readColumns(facts, plain, other)
  for (const name of other) plain.delete(name)
  KEPT.set(repository, plain)
  return plain
}

function readColumns(facts: FileFacts, plain: Set<string>, other: Set<string>): void {
  for (const { callee, target, args, named, block } of facts.calls) {
    if (target?.isOwn !== true || !COLUMN.test(callee.text) || facts.blocks[block]?.kind !== 'class') continue
    const types = [
      ...args,
      ...named
        .filter(([name]) => name === 'sa_type' || name === 'sa_column' || name === 'type_')
        .map(([, value]) => value),
    ]
    const isPlain = types.some((type) => {
      if (type.kind === 'path') return PLAIN.test(type.path.text)
      const call = type.kind === 'call' ? facts.calls[type.call] : undefined
      return (
        call !== undefined &&
        (PLAIN.test(call.callee.text) ||
          (COLUMN.test(call.callee.text) && call.args.some((arg) => arg.kind === 'path' && PLAIN.test(arg.path.text))))
      )
    })
    const isTyped = types.some((type) => type.kind === 'path' || type.kind === 'call')
    if (isPlain) plain.add(target.text)
    else if (isTyped) other.add(target.text)
  }
}

export function* changedInPlace(repository: Repository, file: IndexedFile, fn: number): Iterable<Discovery> {
  const { facts } = file
  if (facts.language !== 'python') return
  const { calls, assignments } = bodyOf(file, fn)
  const commit = calls
    .map((index) => facts.calls[index])
    .findLast((call) => call !== undefined && /(?:^|\.)(?:commit|flush)$/.test(call.callee.text))
  if (commit === undefined) return
  const plain = plainColumns(repository)
  if (plain.size === 0) return
  const changes = [
    ...assignments.flatMap(({ target, line, endLine, operator }) =>
      target.isOwn || operator === '+=' ? [] : changeOf(target.text, line, endLine),
    ),
    ...calls.flatMap((index) => {
      const call = facts.calls[index]
      return call === undefined || call.callee.isOwn || !CHANGES.test(lastName(call.callee))
        ? []
        : changeOf(call.callee.text, call.line, call.endLine)
    }),
  ]
  const seen = new Set<string>()
  for (const { row, column, line, endLine } of changes) {
    const whole = `${row}.${column}`
    if (!plain.has(column) || line > commit.line || seen.has(whole)) continue
    if (assignments.some(({ target }) => target.text === whole)) continue
    // A row that is made here is written whole.
    if (isMadeHere(facts, calls, row)) continue
    if (
      calls.some((index) =>
        /flag_modified|attributes\.\w*modified|changed$/.test(facts.calls[index]?.callee.text ?? ''),
      )
    )
      continue
    seen.add(whole)
    yield {
      tier: 'strong',
      symbol: `${symbolOf(facts, fn)} ${whole}`,
      title: 'A change inside of a JSON column is never written',
      symptom: `What is put into ${whole} is gone with the session: the row keeps its old value.`,
      rootCause: `${column} is plain JSON: the ORM compares the object with itself, sees no change, and the commit writes nothing.`,
      evidence: [
        seenAt(facts.file, { line, endLine }, `${whole} is changed in place`),
        seenAt(facts.file, { line: commit.line, endLine: commit.endLine }, 'committed without it'),
      ],
    }
  }
}

/** `row.column.key` and `row.column.append`. */
function changeOf(
  text: string,
  line: number,
  endLine: number,
): readonly { row: string; column: string; line: number; endLine: number }[] {
  const [row = '', column = '', key, ...more] = text.split('.')
  return key === undefined || more.length > 0 || row === '' || row === '()' ? [] : [{ row, column, line, endLine }]
}

function isMadeHere(facts: FileFacts, calls: readonly number[], row: string): boolean {
  return calls.some((index) => {
    const call = facts.calls[index]
    return (
      call?.target?.text === row &&
      /^[A-Z]\w*$/.test(lastName(call.callee)) &&
      !holds(facts, { kind: 'call', call: index }, (each) => each.kind === 'string' && /select/i.test(each.value))
    )
  })
}
