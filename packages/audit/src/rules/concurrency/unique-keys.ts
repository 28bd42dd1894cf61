// What of a table or collection is unique, so that a second row can't come to be whatever the code checks first. From schemas as the configuration has them, and from
// what sources say: indexes that are created, columns of classes, constraints of migrations.
//   QK4. What a class extends gives it its columns and their keys; the column that joins a one-to-one relation is unique.
// A table whose columns were seen is known; of one that was not, nothing can be said, and a word that stands beside `unique` anywhere in a schema or a migration is
// taken for unique: rather silent than wrong. Of one that is known the word has to stand beside the table's name.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, optionOf } from '../queries.ts'
import { columnOf, entityOf } from './tables.ts'

export interface UniqueKeys {
  /** Were its columns seen? */
  knows(entity: string, columns: readonly string[]): boolean
  /**
   * Does a unique key have one of these columns in it? `elsewhere`: in a migration, while the class that the program makes its tables from has none.
   */
  covers(entity: string, columns: readonly string[]): 'yes' | 'no' | 'elsewhere'
}

interface Table {
  readonly columns: Set<string>
  readonly unique: Set<string>
  /** Of the class that the program itself makes the table from; undefined: none does. */
  made: Set<string> | undefined
}

const KEPT = new WeakMap<Repository, UniqueKeys>()

export function uniqueKeysOf(repository: Repository): UniqueKeys {
  const kept = KEPT.get(repository) ?? readUniqueKeys(repository)
  KEPT.set(repository, kept)
  return kept
}

function readUniqueKeys(repository: Repository): UniqueKeys {
  const tables = new Map<string, Table>()
  const table = (name: string): Table => {
    const entity = entityOf(name)
    const found = tables.get(entity) ?? { columns: new Set<string>(), unique: new Set<string>(), made: undefined }
    tables.set(entity, found)
    return found
  }
  for (const schema of repository.configuration.schemas) {
    const { columns, unique } = table(schema.table)
    for (const column of schema.columns) columns.add(columnOf(column))
    for (const column of schema.unique.flat()) unique.add(columnOf(column))
  }
  for (const facts of repository.facts.values()) {
    readClasses(repository, facts, table)
    for (const call of facts.calls) readIndex(facts, call, table)
  }
  inherit(repository, table)
  const knows = (entity: string, columns: readonly string[]): boolean =>
    columns.length > 0 && columns.every((column) => tables.get(entity)?.columns.has(column) === true)
  let passages: ReadonlyMap<string, ReadonlySet<number>> | undefined
  return {
    knows,
    covers: (entity, columns) => {
      const { made } = tables.get(entity) ?? {}
      const isCovered = columns.some((column) => tables.get(entity)?.unique.has(column) === true)
      if (isCovered) return made === undefined || columns.some((column) => made.has(column)) ? 'yes' : 'elsewhere'
      passages ??= passagesOnUnique(repository)
      const near = columns.flatMap((column) => [...(passages?.get(column) ?? [])])
      if (!knows(entity, columns)) return near.length > 0 ? 'yes' : 'no'
      return near.some((passage) => passages?.get(`${entity} table`)?.has(passage) === true) ? 'yes' : 'no'
    },
  }
}

type Tables = (name: string) => Table

/** QK4. Columns of a class are those of what it extends as well. */
function inherit({ facts }: Repository, table: Tables): void {
  const classes = [...facts.values()].flatMap((each) => each.classes)
  for (let level = 0; level < 3; level++)
    for (const { name, bases } of classes)
      for (const base of bases) {
        const [own, above] = [table(name), table(base.slice(base.lastIndexOf('.') + 1))]
        for (const column of above.columns) own.columns.add(column)
        for (const column of above.unique) own.unique.add(column)
      }
}

/** Columns that classes declare: of SQLAlchemy, SQLModel, Django, TypeORM, Mongoose in Nest. */
function readClasses(repository: Repository, facts: FileFacts, table: Tables): void {
  if (facts.classes.length === 0) return
  const file = programOf(repository.facts).file(facts.file)
  const byBlock = new Map<number, Table[]>()
  const isMaker = facts.calls.some(({ callee }) => /(?:^|\.)metadata\.create_all$/.test(callee.text))
  for (const { block, name } of facts.classes) if (name !== 'Meta') byBlock.set(block, [table(name)])
  for (const { target, value, block } of facts.assignments) {
    if (!target.isOwn || target.text.includes('.') || facts.blocks[block]?.kind !== 'class') continue
    const own = byBlock.get(block)
    if (target.text === '__tablename__' && value.kind === 'string') {
      own?.push(table(value.value))
      if (isMaker) for (const each of own ?? []) each.made ??= new Set()
    }
    for (const { columns } of own ?? []) columns.add(columnOf(target.text))
  }
  for (const call of facts.calls) {
    const owner = file?.classOf(call.block) ?? -1
    const own = byBlock.get(owner) ?? byBlock.get(facts.blocks[owner]?.parent ?? -1)
    if (own === undefined || file?.functionOf(call.block) !== -1) continue
    const isUnique =
      ['unique', 'primary_key', 'primaryKey'].some((name) => isTrue(optionOf(call, name))) || joinsOne(facts, call)
    const column = isUnique || /^Primary|^PrimaryGenerated/.test(call.callee.text) ? columnFor(facts, call) : undefined
    const listed = /(?:^|\.)UniqueConstraint$/.test(call.callee.text) || isUnique ? stringsOf(call) : []
    for (const { unique, made } of own)
      for (const name of [...listed, ...(column === undefined ? [] : [column])]) {
        unique.add(columnOf(name))
        made?.add(columnOf(name))
      }
  }
}

/** `@OneToOne` with `@JoinColumn`: the key of the other row is in this one, once. */
function joinsOne(facts: FileFacts, call: Call): boolean {
  if (!/(?:^|\.)JoinColumn$/.test(call.callee.text)) return false
  const field = columnFor(facts, call)
  return facts.calls.some(
    (each) =>
      each.block === call.block && /(?:^|\.)OneToOne$/.test(each.callee.text) && columnFor(facts, each) === field,
  )
}

/** What it is assigned to; of a decorator, the field that comes next. */
function columnFor(facts: FileFacts, call: Call): string | undefined {
  if (call.target?.isOwn === true) return call.target.text
  let next: { readonly line: number; readonly text: string } | undefined
  for (const { target, line, endLine, block } of facts.assignments) {
    if (block !== call.block || !target.isOwn) continue
    // A field with several decorators begins with the first of them.
    if (line <= call.line && endLine >= call.endLine && endLine > line) return target.text
    if (line >= call.line && (next === undefined || line < next.line)) next = { line, text: target.text }
  }
  return next?.text
}

function isTrue(value: Value | undefined): boolean {
  return value?.kind === 'boolean' && value.value
}

function stringsOf({ args, named }: Call): readonly string[] {
  const strings = (value: Value): readonly string[] =>
    value.kind === 'string' ? [value.value] : value.kind === 'list' ? value.items.flatMap(strings) : []
  return [...args.flatMap(strings), ...named.flatMap(([name, value]) => (name === 'name' ? [] : strings(value)))]
}

/** Indexes and constraints that are created by a call. */
function readIndex(facts: FileFacts, call: Call, table: Tables): void {
  const name = lastName(call.callee)
  if (/^(?:createIndex|ensureIndex|create_index|createIndexes)$/.test(name) && isTrue(optionOf(call, 'unique'))) {
    const owner = call.callee.text.split('.').at(-2)
    const [first] = call.args
    const keys = first?.kind === 'object' ? first.entries.map(([key]) => key) : stringsOf(call)
    const base = call.on === -1 ? undefined : facts.calls[call.on]?.args[0]
    const names = [owner, base?.kind === 'string' ? base.value : undefined, ...stringsOf(call)]
    for (const each of names)
      if (each !== undefined && each !== '()') for (const key of keys) table(each).unique.add(columnOf(key))
  }
  if (/^(?:create_unique_constraint|addConstraint|AddConstraint)$/.test(name)) {
    const strings = stringsOf(call)
    for (const each of strings) for (const key of strings) table(each).unique.add(columnOf(key))
  }
}

const SCHEMA =
  /(?:^|[/_.-])(?:models?|schemas?|entit(?:y|ies)|migrations?|alembic|versions|tables?|database|db|indexes|init)(?:[/_.-]|$)/i
const READ_MAX = 4_000
const LINE_MAX = 400
const BEFORE = 2

/** Words of lines that say `unique`, and of those before, in files that are about schemas, as columns and as tables: word to passages. */
function passagesOnUnique({ files }: Repository): ReadonlyMap<string, ReadonlySet<number>> {
  const found = new Map<string, Set<number>>()
  let read = 0
  let passage = 0
  const add = (word: string): void => {
    found.set(word, (found.get(word) ?? new Set<number>()).add(passage))
  }
  for (const path of files.list()) {
    const isSchema = /\.(?:sql|prisma)$/.test(path) || (/\.(?:py|[cm]?[jt]s)$/.test(path) && SCHEMA.test(path))
    if (!isSchema || files.role(path) === 'test' || ++read > READ_MAX) continue
    const text = files.read(path)
    if (text === undefined || !/unique/i.test(text)) continue
    const lines = text.split('\n')
    for (const [at, line] of lines.entries()) {
      if (line.length > LINE_MAX || !/unique(?!\s*=\s*False)/i.test(line)) continue
      passage += 1
      const around = lines.slice(Math.max(0, at - BEFORE), at + 1).map((each) => each.slice(0, LINE_MAX))
      for (const word of around.join(' ').split(/\W+/)) {
        if (word.length < 3) continue
        add(columnOf(word))
        add(`${entityOf(word)} table`)
      }
    }
  }
  return found
}
