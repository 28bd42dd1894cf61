// Rows in Python: by the shapes of SQLAlchemy, SQLModel, Flask-SQLAlchemy, Django and Tortoise.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { lastName } from '../queries.ts'
import { holds } from './flow.ts'
import { javascriptUse } from './rows-javascript.ts'
import { columnOf, entityOf, type Given, type RowUse } from './tables.ts'

const CHAINS = new WeakMap<FileFacts, ReadonlyMap<number, number>>()
const CHAIN_MAX = 20

/** The calls that are chained to this one, in order. */
export function chainOf(facts: FileFacts, base: number): readonly Call[] {
  const next =
    CHAINS.get(facts) ?? new Map(facts.calls.flatMap(({ on }, index) => (on === -1 ? [] : [[on, index] as const])))
  CHAINS.set(facts, next)
  const found: Call[] = []
  for (let at = next.get(base); at !== undefined && found.length < CHAIN_MAX; at = next.get(at))
    found.push(facts.calls[at] as Call)
  return found
}

export function pythonUse(facts: FileFacts, index: number, call: Call): RowUse | undefined {
  const { text } = call.callee
  const name = lastName(call.callee)
  const [first] = call.args
  if ((name === 'query' || name === 'select') && first !== undefined) return queried(facts, index, first)
  const managed = /(?:^|\.)([A-Z]\w*)\.(objects|query)\.(\w+)$/.exec(text)
  if (managed !== null) return ofManager(facts, index, call, managed[1] as string, managed[3] as string)
  if (/(?:^|\.)(?:session|db)\.get$/.test(text) && first?.kind === 'path' && /^[A-Z]/.test(first.path.text))
    return {
      call: index,
      op: 'read',
      entity: entityOf(lastName(first.path)),
      given: [{ column: 'id', value: call.args[1] }],
      isUnique: true,
      isVague: false,
    }
  if (/(?:^|\.)(?:add|merge)$/.test(text) && first !== undefined) return added(facts, index, first)
  return javascriptUse(facts, index, call)
}

const COUNTS = /^(?:count|aggregate|acount)$/

function queried(facts: FileFacts, index: number, first: Value): RowUse | undefined {
  const chain = chainOf(facts, index)
  const model = classIn(facts, first)
  if (model === undefined) return undefined
  const counts = (each: Value): boolean =>
    each.kind === 'call' && /(?:^|\.)(?:count|max)$/.test(facts.calls[each.call]?.callee.text ?? '')
  const isCount = holds(facts, first, counts) || chain.some(({ callee }) => COUNTS.test(lastName(callee)))
  const filters = chain.filter(({ callee }) => FILTERS.test(lastName(callee)))
  const { given, ...rest } = conditionsOf(facts, filters)
  // Of several that were found something else may be looked at than whether there are any.
  const isVague = rest.isVague || chain.some(({ callee }) => /^(?:all|values|values_list)$/.test(lastName(callee)))
  const isUnique = chain.some(({ callee }) => lastName(callee) === 'get')
  return { call: index, op: isCount ? 'count' : 'read', entity: entityOf(model), given, isUnique, isVague }
}

/** `User` of `User`, `User.id`, `func.max(User.version)`. */
function classIn(facts: FileFacts, value: Value): string | undefined {
  if (value.kind === 'path')
    return value.path.text
      .split('.')
      .findLast((part) => /^[A-Z][a-z]/.test(part) || (/^[A-Z]+$/.test(part) && part.length > 2))
  const [inner] = value.kind === 'call' ? (facts.calls[value.call]?.args ?? []) : []
  return inner === undefined ? undefined : classIn(facts, inner)
}

const FILTERS = /^(?:filter|filter_by|where|get|get_or_none|exclude|having)$/
const VAGUE_NAME = /__(?:in|gte?|lte?|range|isnull|date|year|contains|icontains|startswith)$/

function conditionsOf(facts: FileFacts, filters: readonly Call[]): Pick<RowUse, 'given' | 'isVague'> {
  const given: Given[] = []
  let isVague = false
  for (const { args, named, callee, hasSpread } of filters) {
    isVague ||= hasSpread || lastName(callee) === 'exclude'
    for (const [name, value] of named) {
      if (VAGUE_NAME.test(name)) isVague = true
      else given.push({ column: columnOf(name), value })
    }
    for (const arg of args) isVague = readCondition(facts, arg, given) || isVague
  }
  return { given, isVague }
}

/** Is there more to it than `==`? */
function readCondition(facts: FileFacts, value: Value, given: Given[]): boolean {
  if (value.kind === 'operation') {
    const { operator, left, right } = value
    if (operator === '==' && left.kind === 'path' && left.path.text.includes('.')) {
      given.push({ column: columnOf(lastName(left.path)), value: right })
      return false
    }
    if (operator !== '&' && operator !== 'and') return true
    const isVague = readCondition(facts, left, given)
    return readCondition(facts, right, given) || isVague
  }
  const call = value.kind === 'call' ? facts.calls[value.call] : undefined
  if (call === undefined) return value.kind !== 'path'
  const name = lastName(call.callee)
  if (name === 'and_') return call.args.map((arg) => readCondition(facts, arg, given)).some((isVague) => isVague)
  return !/^(?:is_|is_not|isnot|desc|asc)$/.test(name)
}

function ofManager(facts: FileFacts, index: number, call: Call, model: string, method: string): RowUse | undefined {
  const chain = chainOf(facts, index)
  const entity = entityOf(model)
  const made = { call: index, entity, isUnique: false, isVague: false }
  if (/^(?:create|acreate|bulk_create)$/.test(method)) return { ...made, op: 'create', given: namedOf(call) }
  if (/^a?(?:get|update)_or_create$/.test(method)) return { ...made, op: 'upsert', given: namedOf(call) }
  const filters = [call, ...chain].filter(({ callee }) => FILTERS.test(lastName(callee)))
  const read = { ...made, ...conditionsOf(facts, filters) }
  if (COUNTS.test(method) || chain.some(({ callee }) => COUNTS.test(lastName(callee)))) return { ...read, op: 'count' }
  if (chain.some(({ callee }) => /^a?(?:update|delete)$/.test(lastName(callee)))) return { ...read, op: 'update' }
  const reads = /^(?:filter|get|filter_by|get_or_none|first|exclude|all|order_by|annotate|select_related|aget)$/
  return reads.test(method) ? { ...read, op: 'read' } : undefined
}

function namedOf({ named }: Call): readonly Given[] {
  return named.map(([name, value]) => ({ column: columnOf(name), value }))
}

/** `session.add(User(…))`, and of a name that is bound to one. */
function added(facts: FileFacts, index: number, value: Value): RowUse | undefined {
  const named = value.kind === 'path' && !value.path.isOwn ? madeAs(facts, index, value.path.text) : undefined
  const made = value.kind === 'call' ? facts.calls[value.call] : named
  if (made === undefined || !/^[A-Z]/.test(lastName(made.callee))) return undefined
  const entity = entityOf(lastName(made.callee))
  return { call: index, op: 'create', entity, given: namedOf(made), isUnique: false, isVague: false }
}

const BEFORE_MAX = 200

function madeAs(facts: FileFacts, before: number, name: string): Call | undefined {
  for (let at = before - 1; at >= 0 && at > before - BEFORE_MAX; at--) {
    const call = facts.calls[at]
    if (call?.target?.text === name && !call.target.isOwn) return call
  }
  return undefined
}
