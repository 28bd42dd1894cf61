// Numbers that are read from a row, counted on in the program, and written back: two at once count from the same number, and one of the two is lost.
//   CU5. A field of a row that is written as a sum or difference with itself, and saved, is found; what the store itself adds (`increment`, `$inc`, `F()`,
//        `Model.x + 1`), what names the old value or a version in its condition, and rows that are locked are not.

import type { Assignment, Call, FileFacts, Value } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { classOfRows, countedField, countsOwn } from './counted-values.ts'
import { bodyOf, derived, holds, isFrom } from './flow.ts'
import { isGuarded, sourceOf } from './guarded.ts'
import { columnOf, type RowUse } from './tables.ts'
import { usesOf } from './uses.ts'

const SAVES = /(?:^|\.)(?:save|asave|commit|flush|persist|update|store|persistAndFlush)$/
const VERSIONED = /^(?:version|rowversion|lockversion|updatedat|etag|revision|v)$/
/** Where a number that is lost costs something. */
const DEAR =
  /balance|amount|stock|quantit|qty|credit|wallet|fund|seat|available|inventory|budget|coin|token|remaining|reserved|capacity|points|spent|quota|usage|used/i
const NO_ROW =
  /^(?:this|self|cls|stats?|metrics?|state|summary|totals?|reports?|progress|result|results|counters?|acc|data|event|config|options|response|req|request|ctx|context|i|j|e|evt|window|document|module|exports)$/i

export function* countedRows(
  repository: Repository,
  program: Program,
  file: IndexedFile,
  fn: number,
): Iterable<Discovery> {
  // Actions of Django's admin: people, one at a time.
  if (/(?:^|\/)admin\.py$/.test(file.facts.file)) return
  const found = [
    ...countedFields(program, file, fn),
    ...countedUpdates(program, file, fn),
    ...countedByMethods(program, file, fn),
  ]
  const [first] = found
  if (first === undefined || isGuarded(program, repository.files, file, fn)) return
  if (
    /optimistic_?concurrency|version_?id_?col|VersionColumn|expected_?version/i.test(
      sourceOf(repository.files, file, fn),
    )
  )
    return
  const fields = [...new Set(found.map(({ field }) => field))].slice(0, 4).join(', ')
  const severity = DEAR.test(fields) ? 'high' : 'medium'
  yield {
    tier: 'strong',
    severity,
    cause: `${severity} numbers of ${file.facts.file}`,
    symbol: `${symbolOf(file.facts, fn)} ${fields}`,
    symptom: `Two requests at once start from the same ${fields}, and what one of them added or took is gone.`,
    rootCause: `${fields}: counted on in the program from what was read before, and written back whole.`,
    evidence: [
      seenAt(file.facts.file, first, `${fields} is made of what was read`),
      seenAt(file.facts.file, first.saved, 'and saved'),
    ],
  }
}

interface Counted {
  readonly field: string
  readonly line: number
  readonly endLine: number
  readonly saved: Call
}

/** `row.count += 1` and `row.save()`, or a commit. */
function* countedFields(program: Program, file: IndexedFile, fn: number): Iterable<Counted> {
  const { facts } = file
  const { assignments, calls } = bodyOf(file, fn)
  let rows: ReadonlySet<string> | undefined
  for (const write of assignments) {
    const [name = '', field = '', ...more] = write.target.text.split('.')
    if (write.target.isOwn || field === '' || field === '[]' || more.length > 0 || NO_ROW.test(name)) continue
    if (!/^(?:local|param)$/.test(write.target.root) || !countsOnItself(facts, write)) continue
    rows ??= rowNames(program, file, fn)
    const isRow = rows.has(name)
    const saved =
      calls
        .map((index) => facts.calls[index] as Call)
        .find((call) => call.line >= write.line && savesRow(facts, call, name, isRow)) ??
      (isRow && facts.language === 'python' ? committedFor(program, { file: facts.file, block: fn }, 0) : undefined)
    if (saved !== undefined) yield { field, line: write.line, endLine: write.endLine, saved }
  }
}

/** The session that the row was read with is committed by who calls: a function that is handed a session leaves that to others. */
function committedFor(program: Program, fn: BlockRef, depth: number): Call | undefined {
  for (const site of depth > 2 ? [] : program.callers(fn)) {
    const file = program.file(site.file)
    const block = file?.functionOf(site.call.block) ?? -1
    if (file === undefined || block === -1) continue
    const commits = bodyOf(file, block).calls.some((index) => {
      const call = file.facts.calls[index] as Call
      return call.line > site.call.line && /(?:^|\.)commit$/.test(call.callee.text)
    })
    if (commits) return site.call
    const outer = committedFor(program, { file: site.file, block }, depth + 1)
    if (outer !== undefined) return outer
  }
  return undefined
}

/** `x.n += 1`, `x.n = x.n - 1`, `x.n = (x.n or 0) + 1`. */
function countsOnItself(facts: FileFacts, { operator, value, target }: Assignment): boolean {
  const isNumber = (each: Value): boolean => each.kind !== 'string' && each.kind !== 'template' && each.kind !== 'list'
  if (operator === '+=' || operator === '-=') return isNumber(value) && isCountable(facts, value)
  if (operator !== '=') return false
  const inner =
    value.kind === 'call' &&
    /(?:^|\.)(?:max|min|round|abs|floor|Decimal)$/.test(facts.calls[value.call]?.callee.text ?? '')
      ? facts.calls[value.call]?.args.find((arg) => arg.kind === 'operation')
      : value
  if (inner?.kind !== 'operation' || !/^[+-]$/.test(inner.operator)) return false
  const isSelf = (each: Value): boolean => each.kind === 'path' && each.path.text === target.text
  return holds(facts, inner.left, isSelf) && isCountable(facts, inner.right)
}

/** Not a text that grows, and nothing that the store adds: `F('n') + 1`, `Model.n + 1`. */
function isCountable(facts: FileFacts, value: Value): boolean {
  return !holds(
    facts,
    value,
    (each) =>
      each.kind === 'string' ||
      each.kind === 'template' ||
      each.kind === 'list' ||
      (each.kind === 'path' && /^[A-Z]\w*\.\w+$/.test(each.path.text)) ||
      (each.kind === 'call' &&
        /(?:^|\.)(?:F|literal|raw|sql|func\.\w+|timedelta|relativedelta|dayjs|moment|Date)$/.test(
          facts.calls[each.call]?.callee.text ?? '',
        )),
  )
}

/** Locals that were read from a store. */
function rowNames(program: Program, file: IndexedFile, fn: number): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { op, call } of usesOf(program, file, fn).rows)
    if (op === 'read') for (const name of derived(file, fn, call)) names.add(name)
  return names
}

export function savesRow(facts: FileFacts, call: Call, name: string, isRow: boolean): boolean {
  const { text } = call.callee
  if (!SAVES.test(text)) return false
  if (text === `${name}.save` || text === `${name}.asave`) return !call.named.some(([key]) => key === 'using')
  const isGiven = call.args.some((arg) => arg.kind === 'path' && arg.path.text === name)
  if (isGiven && /repo|manager|(?:^|\.)em\b|session|dao/i.test(text)) return true
  // `this.users.save(user)`, where it was read as a row.
  if (isGiven && isRow && call.callee.isOwn && text.endsWith('.save')) return true
  return isRow && /(?:^|\.)(?:commit|flush)$/.test(text) && facts.language === 'python'
}

/** `account.withdraw(amount)` and `accounts.save(account)`. */
function* countedByMethods(program: Program, file: IndexedFile, fn: number): Iterable<Counted> {
  const { facts } = file
  const { calls } = bodyOf(file, fn)
  for (const read of usesOf(program, file, fn).rows) {
    const owner = read.op === 'read' ? classOfRows(program, read.entity) : undefined
    if (owner === undefined) continue
    const names = derived(file, fn, read.call)
    for (const index of calls) {
      const call = facts.calls[index] as Call
      const [name = '', method = '', ...more] = call.callee.text.split('.')
      if (index < read.call || call.callee.isOwn || more.length > 0 || !names.has(name)) continue
      const counted = countsOwn(program, owner, method)
      const saved =
        counted === undefined
          ? undefined
          : calls
              .map((at) => facts.calls[at] as Call)
              .find((each) => each.line >= call.line && savesRow(facts, each, name, true))
      if (counted === undefined || saved === undefined) continue
      yield { field: counted.target.text, line: (facts.calls[read.call] as Call).line, endLine: call.endLine, saved }
    }
  }
}

/** `update({ where, data: { n: row.n + 1 } })`, `UPDATE … SET n = $1` with `[row.n + 1]`. */
function* countedUpdates(program: Program, file: IndexedFile, fn: number): Iterable<Counted> {
  const { facts } = file
  const { rows } = usesOf(program, file, fn)
  for (const update of rows) {
    const call = facts.calls[update.call]
    if ((update.op !== 'update' && update.op !== 'upsert') || call === undefined || isConditional(update, call))
      continue
    const changed = update.op === 'upsert' ? optionOf(call, 'update') : undefined
    const given = changed === undefined ? call.args : [changed]
    const reads = rows.filter(
      ({ op, entity, call: at }) => op === 'read' && entity === update.entity && at < update.call,
    )
    for (const read of reads) {
      const is = isFrom(read.call, derived(file, fn, read.call))
      const field =
        given.flatMap((arg) => sums(facts, arg, is))[0] ??
        given.flatMap((arg) => countedField(file, fn, arg, is) ?? [])[0]
      if (field === undefined || update.given.some(({ column }) => column === columnOf(field))) continue
      yield { field, line: call.line, endLine: call.endLine, saved: call }
      break
    }
  }
}

/** Its condition names a version, or the value that was read. */
function isConditional(update: RowUse, call: Call): boolean {
  const where = optionOf(call, 'where') ?? call.args[0]
  const names = where?.kind === 'object' ? where.entries.map(([name]) => columnOf(name)) : []
  return [...names, ...update.given.map(({ column }) => column)].some((name) => VERSIONED.test(name))
}

/** Fields that are given as a sum or difference of what was read. */
function sums(facts: FileFacts, value: Value, is: (value: Value) => boolean, depth = 0): readonly string[] {
  if (depth > 4) return []
  if (value.kind === 'object')
    return value.entries.flatMap(([name, each]) => {
      const found = sums(facts, each, is, depth + 1)
      return found.length > 0 && each.kind !== 'object' ? (found.includes(name) ? [name] : []) : found
    })
  if (value.kind === 'list') return value.items.flatMap((each) => sums(facts, each, is, depth + 1))
  if (value.kind !== 'operation' || !/^[+-]$/.test(value.operator)) return []
  const { left, right } = value
  const isRead = left.kind === 'path' && left.path.text.includes('.') && is(left)
  return isRead && isCountable(facts, right) ? [lastName(left.path)] : []
}
