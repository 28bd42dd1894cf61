// Rows and documents in JavaScript: by the shapes of Prisma, Mongoose, TypeORM, Sequelize, Supabase and the drivers of MongoDB; of Drizzle in rows-drizzle.ts.
//   QK11. A field that is declared as a repository or a model of something is that thing’s table, whatever the field is called.
//   QK6. Of a builder of queries the table stands before, and the conditions behind.
//   QJ15. A document that is made by its class and saved is a row that is made.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { isInside, lastName, optionOf } from '../queries.ts'
import { drizzleUse } from './rows-drizzle.ts'
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
    /^(?:update|updateOne|updateMany|updateById|updateOneOrCreate|update_one|findByIdAndUpdate|findOneAndUpdate|find_one_and_update|replaceOne|replace_one)$/,
    'update',
  ],
]
const NO_TABLE =
  /^(?:this|self|cls|super|object|array|promise|math|json|axios|http|client|cache|redis|logger|fs|path|map|set|list|factory|service|controller|api|router|app|stripe|openai|ref|z|schema|prisma|db|tx|session|manager|entitymanager|em|conn|connection|pool|knex|supabase)$/i
/** Values that are made, and not kept. */
const NO_ROW =
  /(?:command|dto|query|builder|factory|response|request|params|options|config|error|exception|event|result|view|mapper|validator|value|vo)s?$/i
const BEFORE_TABLE = /^_?(?:prisma\w*|db|tx|trx|database|client|transaction|\w*Prisma\w*|models?)$/

const BUILT: Readonly<Record<string, RowUse['op']>> = {
  select: 'read',
  insert: 'create',
  update: 'update',
  upsert: 'upsert',
}
const CHAIN_MAX = 30

/** QK6. `db.from('users').update({ … }).eq('id', id)` of Supabase: the table stands before, the conditions behind. */
function builtUse(facts: FileFacts, index: number, call: Call): RowUse | undefined {
  const op = call.callee.text.startsWith('().') ? BUILT[lastName(call.callee)] : undefined
  const base = op === undefined ? undefined : facts.calls[call.on]
  const [table] = base?.args ?? []
  if (op === undefined || base === undefined || lastName(base.callee) !== 'from' || table?.kind !== 'string')
    return undefined
  const given: Given[] = []
  let isVague = false
  // What is called on the answer of a call stands before it.
  let last = index
  for (let at = index + 1; at < Math.min(facts.calls.length, index + CHAIN_MAX); at++) {
    const next = facts.calls[at] as Call
    if (next.on !== last) continue
    last = at
    const [column, value] = next.args
    const name = lastName(next.callee)
    if (name === 'eq' && column?.kind === 'string') given.push({ column: columnOf(column.value), value })
    else if (name === 'match' && column?.kind === 'object') given.push(...equalities(column))
    else if (!/^(?:select|single|maybeSingle|limit|order|returns|throwOnError)$/.test(name)) isVague = true
  }
  const [row] = call.args
  return {
    call: index,
    op,
    entity: entityOf(table.value),
    given: op === 'create' ? givenBy(row) : given,
    isUnique: false,
    isVague: isVague || given.length === 0,
  }
}

export function javascriptUse(facts: FileFacts, index: number, call: Call): RowUse | undefined {
  const built = builtUse(facts, index, call) ?? drizzleUse(facts, index, call)
  if (built !== undefined) return built
  const name = lastName(call.callee)
  if (name === 'save') return savedDocument(facts, index, call)
  const op = OPERATIONS.find(([named]) => named.test(name))?.[1]
  const owner = op === undefined ? undefined : (declaredOwner(facts, call) ?? ownerOf(facts, call))
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

/** QJ15. `const user = new User({ email }); await user.save()`: a document of Mongoose is made where it is saved. */
function savedDocument(facts: FileFacts, index: number, { callee, block, use }: Call): RowUse | undefined {
  const name = callee.text.slice(0, -'.save'.length)
  if (use === 'dropped' || name === '' || name.includes('.') || callee.isOwn) return undefined
  const given = facts.assignments.filter(({ target }) => target.text === name && !target.isOwn)
  const made = given.findLast(
    (each) => isInside(facts.blocks, block, each.block) && each.line <= (facts.calls[index]?.line ?? 0),
  )
  const call = made?.value.kind === 'call' ? facts.calls[made.value.call] : undefined
  const [first] = call?.args ?? []
  if (call?.isNew !== true || !/^[A-Z]\w*$/.test(call.callee.text) || first?.kind !== 'object') return undefined
  if (NO_ROW.test(call.callee.text)) return undefined
  const entity = entityOf(call.callee.text)
  return { call: index, op: 'create', entity, given: givenBy(first), isUnique: false, isVague: false }
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

const DECLARED = new WeakMap<FileFacts, ReadonlyMap<string, string | undefined>>()

/** QK11. `private readonly users: Repository<Account>`. */
function declaredOwner(facts: FileFacts, { callee }: Call): string | undefined {
  if (!callee.isOwn) return undefined
  let kept = DECLARED.get(facts)
  if (kept === undefined) {
    const found = new Map<string, string | undefined>()
    for (const { target, type } of facts.assignments)
      if (type?.of !== undefined && /^import:(?:typeorm|mongoose|mongodb)#/.test(type.root))
        found.set(target.text, found.has(target.text) && found.get(target.text) !== type.of ? undefined : type.of)
    kept = found
    DECLARED.set(facts, kept)
  }
  const [field = '', , ...more] = callee.text.split('.')
  return more.length === 0 ? kept.get(field) : undefined
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
