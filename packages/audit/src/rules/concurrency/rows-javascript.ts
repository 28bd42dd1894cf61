// Rows and documents in JavaScript: by the shapes of Prisma, Mongoose, TypeORM, Sequelize and the drivers of MongoDB.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { lastName, optionOf } from '../queries.ts'
import { columnOf, entityOf, type Given, type RowUse } from './tables.ts'

const SINGLE = /^(?:findUnique|findUniqueOrThrow|findById|findByPk|findOneById|get_by_id)$/
const OPERATIONS: readonly (readonly [RegExp, RowUse['op']])[] = [
  [SINGLE, 'read'],
  [
    /^(?:findFirst|findFirstOrThrow|findOne|findOneBy|findOneOrFail|find_one|exists|existsBy|exist|findAll|find|findBy|findMany|get_or_none)$/,
    'read',
  ],
  [/^(?:count|countBy|countDocuments|count_documents|aggregate|max|maximum)$/, 'count'],
  [/^(?:create|insertOne|insert_one|insert|createOne|insertMany|insert_many|createMany|bulkCreate)$/, 'create'],
  [/^upsert$/, 'upsert'],
  [
    /^(?:update|updateOne|updateMany|update_one|findByIdAndUpdate|findOneAndUpdate|find_one_and_update|replaceOne|replace_one)$/,
    'update',
  ],
]
const NO_TABLE =
  /^(?:this|self|cls|super|object|array|promise|math|json|axios|http|client|cache|redis|logger|fs|path|map|set|list|factory|service|controller|api|router|app|stripe|openai|ref|z|schema|prisma|db|tx|session|manager|entitymanager|em|conn|connection|pool|knex|supabase)$/i
/** Values that are made, and not kept. */
const NO_ROW =
  /(?:command|dto|query|builder|factory|response|request|params|options|config|error|exception|event|result|view|mapper|validator|value|vo)s?$/i
const BEFORE_TABLE = /^_?(?:prisma\w*|db|tx|trx|database|client|transaction|\w*Prisma\w*|models?)$/

export function javascriptUse(facts: FileFacts, index: number, call: Call): RowUse | undefined {
  const name = lastName(call.callee)
  const op = OPERATIONS.find(([named]) => named.test(name))?.[1]
  const owner = op === undefined ? undefined : ownerOf(facts, call)
  if (op === undefined || owner === undefined) return undefined
  const [first] = call.args
  const entity = entityOf(owner)
  if (SINGLE.test(name) && first?.kind !== 'object')
    return { call: index, op, entity, given: [{ column: 'id', value: first }], isUnique: true, isVague: false }
  const given = op === 'create' ? (optionOf(call, 'data') ?? first) : (optionOf(call, 'where') ?? first)
  // A plain `find` of an array, `create` of a factory: rows are looked up and made by objects.
  if (given?.kind !== 'object' && !(op === 'create' && isRow(given))) return undefined
  const conditions = op === 'create' ? givenBy(given) : equalities(given)
  const isMany = /^(?:findMany|findAll|find|findBy)$/.test(name)
  const isVague = op !== 'create' && (isMany || given?.kind !== 'object' || given.hasSpread || isRanged(given))
  return { call: index, op, entity, given: conditions, isUnique: SINGLE.test(name), isVague }
}

function isRow(value: Value | undefined): boolean {
  return value?.kind === 'path' || value?.kind === 'list' || value?.kind === 'call'
}

function givenBy(value: Value | undefined): readonly Given[] {
  return value?.kind === 'object' ? value.entries.map(([name, each]) => ({ column: columnOf(name), value: each })) : []
}

/** `AND`, and composite keys of Prisma: `{ userId_slug: { userId, slug } }`. */
function isNested(name: string, value: Value): boolean {
  return value.kind === 'object' && (/^(?:AND|\$and)$/.test(name) || (name.includes('_') && value.entries.length > 1))
}

function equalities(value: Value | undefined): readonly Given[] {
  if (value?.kind !== 'object') return []
  return value.entries.flatMap(([name, each]) => {
    if (isNested(name, each)) return equalities(each)
    return /^(?:\$|OR$|NOT$)/.test(name) ? [] : [{ column: columnOf(name), value: each }]
  })
}

const RANGES = /^(?:\$?(?:in|not|notIn|nin|ne|gte?|lte?|some|every|none|exists))$/

function isRanged(value: Value): boolean {
  if (value.kind !== 'object') return false
  return value.entries.some(
    ([name, each]) =>
      /^(?:OR|NOT|\$or|\$nor|\$not)$/.test(name) ||
      RANGES.test(name) ||
      (each.kind === 'object' && isRanged(each)) ||
      (each.kind === 'call' && !/id$/i.test(name)),
  )
}

/** The table that it is called on: `users` of `db.collection('users').findOne`, `user` of `prisma.user.create`. */
function ownerOf(facts: FileFacts, call: Call): string | undefined {
  const { text } = call.callee
  if (text.startsWith('().') && call.on !== -1) {
    const base = facts.calls[call.on]
    const [table] = base?.args ?? []
    const isTable = base !== undefined && /^(?:collection|getRepository|model|from|table)$/.test(lastName(base.callee))
    if (!isTable) return undefined
    return table?.kind === 'string' ? table.value : table?.kind === 'path' ? lastName(table.path) : undefined
  }
  const parts = text.split('.')
  const owner = parts.at(-2)
  if (owner === undefined || NO_TABLE.test(owner) || owner === '()' || owner === '[]') return undefined
  if (NO_ROW.test(owner)) return undefined
  const isNamed = /^[A-Z]/.test(owner) || /(?:model|repository|repo|collection|dao|entity)s?$/i.test(owner)
  return isNamed || BEFORE_TABLE.test(parts.at(-3) ?? '') ? owner : undefined
}
