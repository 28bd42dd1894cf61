// Rows and documents as rules of concurrency see them: which calls look for one, make one or change one, of which table or collection, and by which columns. By the
// shapes of the libraries that people use, and of SQL that is written out.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { lastName } from '../queries.ts'
import { javascriptUse } from './rows-javascript.ts'
import { pythonUse } from './rows-python.ts'
import { columnOf, entityOf, type Given, type RowUse } from './tables.ts'

/** Last names that any of these have: what is not among them is not looked at. */
const KNOWN =
  /^(?:save|find\w*|get|get_\w+|exist\w*|count\w*|aggregate|max\w*|create\w*|insert\w*|bulk\w+|upsert|update\w*|replace\w*|query|select|filter\w*|add|merge|first|exclude|all|order_by|acreate|annotate|update_or_create|aget_or_create|exec\w*|run|fetch\w*|scalars?|one\w*|none|any|\$\w+|raw)$/
const QUERYING =
  /^(?:query|execute|exec|run|get|all|fetch|fetchrow|fetch_one|fetchval|fetch_all|fetchone|scalar|scalars|executemany|one|oneOrNone|none|any|\$queryRaw|\$executeRaw|\$queryRawUnsafe|\$executeRawUnsafe|raw|one_or_none)$/

/** What a call does with rows; undefined: nothing that is known. */
export function rowUse(facts: FileFacts, index: number): RowUse | undefined {
  const call = facts.calls[index]
  if (call === undefined || !KNOWN.test(lastName(call.callee))) return undefined
  const sql = QUERYING.test(lastName(call.callee)) ? sqlOf(facts, call) : undefined
  if (sql !== undefined) return sqlUse(index, sql)
  return facts.language === 'python' ? pythonUse(facts, index, call) : javascriptUse(facts, index, call)
}

/** SQL that is written out as the first argument, or in `text(…)` of it. */
export function sqlOf(facts: FileFacts, call: Call): string | undefined {
  const [first] = call.args
  const found = first === undefined ? undefined : sqlText(facts, first)
  return found !== undefined && /^\s*(?:select|insert|update|with|delete)\b/i.test(found) ? found : undefined
}

function sqlText(facts: FileFacts, value: Value, depth = 0): string | undefined {
  if (value.kind === 'string') return value.value
  if (value.kind === 'template') return value.parts.join('?')
  const inner = value.kind === 'call' ? facts.calls[value.call] : undefined
  const [arg] = inner?.args ?? []
  const isText = inner !== undefined && /(?:^|\.)(?:text|sql|raw|SQL)$/.test(inner.callee.text)
  return isText && arg !== undefined && depth === 0 ? sqlText(facts, arg, 1) : undefined
}

const TABLE = '["`\\[]?(?:\\w+["`\\]]?\\.["`\\[]?)?(\\w+)'
const FROM = new RegExp(`\\bfrom\\s+${TABLE}`, 'i')
const INTO = new RegExp(
  `^\\s*insert\\s+(ignore\\s+)?(?:or\\s+(\\w+)\\s+)?into\\s+${TABLE}["\`\\]]?\\s*\\(([^()]*)\\)`,
  'i',
)
const UPDATE = new RegExp(`^\\s*update\\s+(?:only\\s+)?${TABLE}`, 'i')
const VAGUE = /[<>]|\bin\s*\(|\bbetween\b|\bor\b|\bjoin\b|\blike\b/i

function sqlUse(index: number, sql: string): RowUse | undefined {
  const use = { call: index, isUnique: false, isVague: false }
  const into = INTO.exec(sql)
  if (into !== null) {
    const [, ignore, or, table = '', columns = ''] = into
    const isSafe = (ignore ?? or) !== undefined || /\bon\s+(?:conflict|duplicate)\b|\bnot\s+exists\b/i.test(sql)
    return { ...use, op: isSafe ? 'upsert' : 'create', entity: entityOf(table), given: columns.split(',').map(given) }
  }
  const update = UPDATE.exec(sql)
  if (update !== null) return { ...use, op: 'update', entity: entityOf(update[1] as string), given: whereOf(sql) }
  const from = /^\s*select\b/i.test(sql) ? FROM.exec(sql) : null
  if (from === null) return undefined
  const isCount = /^\s*select\s+(?:coalesce\s*\(\s*)?(?:count|max)\s*\(/i.test(sql)
  const entity = entityOf(from[1] as string)
  return { ...use, op: isCount ? 'count' : 'read', entity, given: whereOf(sql), isVague: VAGUE.test(conditionIn(sql)) }
}

function conditionIn(sql: string): string {
  return sql.slice(sql.search(/\bwhere\b|$/i))
}

function whereOf(sql: string): readonly Given[] {
  return [...conditionIn(sql).matchAll(/(\w+)["`\]]?\s*=\s*[$?:%@{]/g)].map((match) => given(match[1] as string))
}

function given(name: string): Given {
  return { column: columnOf(name.trim().replace(/["`\]]/g, '')), value: undefined }
}
