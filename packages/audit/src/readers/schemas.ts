// Tables and collections with what of them is unique, from SQL, Prisma, SQLAlchemy and Mongoose, as far as readers of plain text go. What they can't tell is left out:
// a unique key that is not seen makes a rule say more, never one that is not there makes it say less.
//   CX9. Keys of one column and of several, inline, as constraint and as index, are found in all four.

import type { FileFacts } from '../facts/facts.ts'
import type { DataSchema } from '../repository/configuration.ts'
import type { FileIndex } from '../repository/repository.ts'
import { attempt, type Tell } from './attempt.ts'

const FILES_MAX = 2_000
const TABLES_MAX = 2_000
const TEXT_MAX = 500_000

type Growing = { file: string; table: string; loc: DataSchema['loc']; columns: string[]; unique: string[][] }

/** `facts`: of the sources that were read; without them every source is looked through. */
export function readSchemas(
  files: FileIndex,
  tell: Tell = () => {},
  facts: ReadonlyMap<string, FileFacts> = new Map(),
): readonly DataSchema[] {
  const found: DataSchema[] = []
  let read = 0
  for (const file of files.list()) {
    const reader = readerOf(file)
    const role = files.role(file)
    if (reader === undefined || role === 'vendored' || role === 'test' || read >= FILES_MAX) continue
    const known = facts.get(file)
    const text = known === undefined || mayDeclare(known) ? files.read(file) : undefined
    if (text === undefined || text.length > TEXT_MAX || !reader.marks.test(text)) continue
    read += 1
    const schemas = attempt(file, tell, () => reader.read(file, text)) ?? []
    for (const schema of schemas) if (found.length < TABLES_MAX) found.push(schema)
  }
  return joinTables(found)
}

function mayDeclare({ language, assignments, calls }: FileFacts): boolean {
  return language === 'python'
    ? assignments.some(({ target }) => target.text.endsWith('__tablename__'))
    : calls.some(({ callee }) => callee.text.endsWith('Schema'))
}

function readerOf(file: string) {
  if (/\.sql$/i.test(file)) return { marks: /create\s/i, read: readSql }
  if (/\.prisma$/.test(file)) return { marks: /\bmodel\b/, read: readPrisma }
  if (/\.py$/.test(file)) return { marks: /__tablename__/, read: readSqlAlchemy }
  if (/\.[cm]?[jt]sx?$/.test(file)) return { marks: /\bSchema\s*(?:<[^>]{0,300}>)?\(/, read: readMongoose }
  return undefined
}

/** An index that another migration adds belongs to every table of that name. */
function joinTables(schemas: readonly DataSchema[]): readonly DataSchema[] {
  const later = new Map<string, (readonly string[])[]>()
  for (const { table, columns, unique } of schemas)
    if (columns.length === 0) later.set(table, [...(later.get(table) ?? []), ...unique])
  return schemas
    .filter(({ columns }) => columns.length > 0)
    .map((schema) => ({ ...schema, unique: [...schema.unique, ...(later.get(schema.table) ?? [])] }))
}

function locAt(file: string, text: string, offset: number): DataSchema['loc'] {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1
  return { file, line, endLine: line }
}

const bare = (name: string | undefined) =>
  (name ?? '')
    .trim()
    .replace(/["`[\]]/g, '')
    .replace(/^.*\./, '')
    .toLowerCase()
const names = (list: string | undefined) => (list ?? '').split(',').map((each) => bare(each.trim().split(/\s/, 1)[0]))

export function readSql(file: string, text: string): readonly DataSchema[] {
  const clean = text.replace(/--[^\n]*/g, (comment) => ' '.repeat(comment.length))
  const found: Growing[] = []
  for (const match of clean.matchAll(/create\s+table\s+(?:if\s+not\s+exists\s+)?([\w."`[\]]+)\s*\(/gi)) {
    const table: Growing = { file, table: bare(match[1]), loc: locAt(file, text, match.index), columns: [], unique: [] }
    for (const part of topLevel(clean, match.index + match[0].length)) sqlPart(part, table)
    found.push(table)
  }
  const add = (name: string | undefined, columns: string | undefined, offset: number) =>
    found.push({ file, table: bare(name), loc: locAt(file, text, offset), columns: [], unique: [names(columns)] })
  const index =
    /create\s+unique\s+index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?[\w."`]*\s+on\s+(?:only\s+)?([\w."`]+)\s*(?:using\s+\w+\s*)?\(([^()]*)\)\s*(where)?/gi
  // An index with a condition lets doubles in outside of it.
  for (const match of clean.matchAll(index)) if (match[3] === undefined) add(match[1], match[2], match.index)
  const alter =
    /alter\s+table\s+(?:only\s+)?(?:if\s+exists\s+)?([\w."`]+)\s+add\s+(?:constraint\s+[\w"`]+\s+)?(?:unique|primary\s+key)\s*(?:key\s*)?\(([^()]*)\)/gi
  for (const match of clean.matchAll(alter)) add(match[1], match[2], match.index)
  return found
}

function sqlPart(part: string, table: Growing): void {
  const constraint =
    /^(?:constraint\s+\S+\s+)?(?:unique|primary\s+key)(?:\s+(?:key|index))?\s*[\w"`]*\s*\(([^()]*)\)/i.exec(part)
  if (constraint !== null) table.unique.push(names(constraint[1]))
  else if (!/^(?:constraint|foreign|check|exclude|index|key|like)\b/i.test(part)) {
    const column = bare(part.split(/\s/, 1)[0])
    if (column !== '') table.columns.push(column)
    if (/\b(?:unique|primary\s+key)\b/i.test(part)) table.unique.push([column])
  }
}

/** Parts between commas up to the bracket that closes. */
function topLevel(text: string, from: number): readonly string[] {
  const parts: string[] = []
  let depth = 0
  let start = from
  for (let at = from; at < text.length; at += 1) {
    const letter = text[at]
    if (letter === '(') depth += 1
    else if (letter === ')' && depth > 0) depth -= 1
    else if (letter === ')' || (letter === ',' && depth === 0)) {
      parts.push(text.slice(start, at).trim())
      start = at + 1
      if (letter === ')') return parts
    }
  }
  return parts
}

export function readPrisma(file: string, text: string): readonly DataSchema[] {
  return [...text.matchAll(/^[ \t]*model\s+(\w+)\s*\{([^}]{0,20000})\}/gm)].map((match) => {
    const [whole, name, body = ''] = match
    const mapped = /@@map\(\s*(?:name:\s*)?"([^"]+)"/.exec(body)?.[1]
    const offset = match.index + whole.search(/\S/)
    const table: Growing = {
      file,
      table: bare(mapped ?? name),
      loc: locAt(file, text, offset + 1),
      columns: [],
      unique: [],
    }
    for (const line of body.split('\n').map((each) => each.replace(/\/\/.*$/, '').trim())) {
      const key = /^@@(?:unique|id)\(\s*(?:fields:\s*)?\[([^\]]*)\]/.exec(line)
      const field = /^(\w+)\s+\S/.exec(line)
      if (key !== null) table.unique.push(names(key[1]?.replace(/\([^)]*\)/g, '')))
      else if (field !== null) {
        table.columns.push(bare(field[1]))
        if (/@(?:unique|id)\b/.test(line)) table.unique.push([bare(field[1])])
      }
    }
    return table
  })
}

export function readSqlAlchemy(file: string, text: string): readonly DataSchema[] {
  const starts = [...text.matchAll(/^( *)class\s+\w+.*:\s*$/gm)]
  return starts.flatMap((match, index) => {
    const body = text.slice(match.index, starts[index + 1]?.index ?? text.length)
    const name = /__tablename__\s*(?::\s*\w+\s*)?=\s*["'](\w+)["']/.exec(body)?.[1]
    if (name === undefined) return []
    const table: Growing = { file, table: bare(name), loc: locAt(file, text, match.index + 1), columns: [], unique: [] }
    for (const column of body.matchAll(/^[ \t]+(\w+)[ \t]*(?::[^=\n]*)?=\s*(?:\w+\.)?(?:Column|mapped_column)\(/gm)) {
      const call = topLevel(body, column.index + column[0].length).join(',')
      table.columns.push(bare(column[1]))
      if (/\b(?:unique|primary_key)\s*=\s*True/.test(call)) table.unique.push([bare(column[1])])
    }
    for (const key of body.matchAll(
      /UniqueConstraint\(([^()]*)\)|Index\(([^()]{0,2000}?unique\s*=\s*True[^()]{0,2000})\)/g,
    )) {
      const strings = [...(key[1] ?? key[2] ?? '').matchAll(/(?<!=\s*)["'](\w+)["']/g)].map((each) => bare(each[1]))
      table.unique.push(key[1] === undefined ? strings.slice(1) : strings)
    }
    return [table]
  })
}

export function readMongoose(file: string, text: string): readonly DataSchema[] {
  return [
    ...text.matchAll(
      /(?:const|let|var)\s+(\w+)\s*(?::[^=]{0,300})?=\s*new\s+(?:\w+\.)?Schema\s*(?:<[^>]{0,300}>)?\(\s*\{/g,
    ),
  ].map((match) => {
    const name = match[1] ?? ''
    const model =
      new RegExp(`model\\s*(?:<[^>]{0,300}>)?\\(\\s*["'](\\w+)["']\\s*,\\s*${name}\\b`).exec(text)?.[1] ?? name
    const table: Growing = { file, table: bare(model), loc: locAt(file, text, match.index), columns: [], unique: [] }
    const body = braces(text, match.index + match[0].length)
    for (const [field, said] of fieldsOf(body)) {
      table.columns.push(bare(field))
      if (/\bunique\s*:\s*(?:true|\[\s*true)/.test(said)) table.unique.push([bare(field)])
    }
    const index = new RegExp(`\\b${name}\\.index\\(\\s*\\{([^}]*)\\}\\s*,\\s*\\{([^}]*)\\}`, 'g')
    for (const key of text.matchAll(index))
      if (/unique\s*:\s*true/.test(key[2] ?? '') && !/partial|sparse/.test(key[2] ?? ''))
        table.unique.push([...(key[1] ?? '').matchAll(/["']?([\w.]+)["']?\s*:/g)].map((each) => bare(each[1])))
    return table
  })
}

/** QJ21. Names of a schema's own fields, each with what is said of it, however deep that goes (`match` with a pattern, `validate` with a function). */
function* fieldsOf(body: string): Iterable<readonly [name: string, said: string]> {
  const field = /(?:^|[,{\n])[ \t]*["']?(\w+)["']?\s*:\s*/g
  for (let match = field.exec(body); match !== null; match = field.exec(body)) {
    const said = body[field.lastIndex] === '{' ? braces(body, field.lastIndex + 1) : ''
    if (said !== '') field.lastIndex += said.length + 1
    yield [match[1] ?? '', said]
  }
}

/** Up to the brace that closes. */
function braces(text: string, from: number): string {
  let depth = 1
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1
    else if (text[at] === '}') {
      depth -= 1
      if (depth === 0) return text.slice(from, at)
    }
  }
  return text.slice(from)
}
