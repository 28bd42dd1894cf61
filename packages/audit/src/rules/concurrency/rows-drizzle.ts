// Rows in the words of Drizzle: `db.select(…).from(users).where(eq(users.id, id))`, `db.update(users).set({ … })`, `db.insert(users).values({ … })`.
//   QT7. The table stands in `from`, `update` or `insert`, conditions in `eq` and `and`; what a table keeps unique is not read, so that a row that is looked for
//        and then made is not told.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { lastName } from '../queries.ts'
import { columnOf, entityOf, type Given, type RowUse } from './tables.ts'

const CHAIN_MAX = 40

const KEPT = new WeakMap<FileFacts, boolean>()

function speaksDrizzle(facts: FileFacts): boolean {
  const kept = KEPT.get(facts) ?? facts.imports.some(({ module }) => /^drizzle-orm(?:\/|$)/.test(module))
  KEPT.set(facts, kept)
  return kept
}

export function drizzleUse(facts: FileFacts, index: number, call: Call): RowUse | undefined {
  const name = lastName(call.callee)
  if (!/^(?:select|update|insert|selectDistinct)$/.test(name) || call.on !== -1 || !speaksDrizzle(facts))
    return undefined
  const chain = chainOf(facts, index)
  const step = (named: string): number | undefined =>
    chain.find((at) => lastName((facts.calls[at] as Call).callee) === named)
  const argOf = (at: number | undefined): Value | undefined => (at === undefined ? undefined : facts.calls[at]?.args[0])
  const table = name.startsWith('select') ? argOf(step('from')) : call.args[0]
  if (table?.kind !== 'path') return undefined
  const entity = entityOf(lastName(table.path))
  const where = argOf(step('where'))
  const { given, isVague } = conditions(facts, where)
  if (name.startsWith('select')) return { call: index, op: 'read', entity, given, isUnique: true, isVague }
  const written = step(name === 'update' ? 'set' : 'values')
  if (written === undefined) return undefined
  if (name === 'update') return { call: written, op: 'update', entity, given, isUnique: false, isVague }
  const row = argOf(written)
  const made = row?.kind === 'object' ? row.entries.map(([key, value]) => ({ column: columnOf(key), value })) : []
  return { call: written, op: 'create', entity, given: made, isUnique: false, isVague: false }
}

/** What is called on the answer of a call, one after the other. */
function chainOf({ calls }: FileFacts, from: number): readonly number[] {
  const found: number[] = []
  let last = from
  for (let at = from + 1; at < Math.min(calls.length, from + CHAIN_MAX); at++) {
    if ((calls[at] as Call).on !== last) continue
    found.push(at)
    last = at
  }
  return found
}

/** `eq(users.id, id)`, also within `and`. */
function conditions(
  facts: FileFacts,
  value: Value | undefined,
  depth = 0,
): { readonly given: readonly Given[]; readonly isVague: boolean } {
  const call = value?.kind === 'call' ? facts.calls[value.call] : undefined
  const [column, given] = call?.args ?? []
  const name = call === undefined ? '' : lastName(call.callee)
  if (name === 'eq' && column?.kind === 'path')
    return { given: [{ column: columnOf(lastName(column.path)), value: given }], isVague: false }
  if (call === undefined || name !== 'and' || depth > 3) return { given: [], isVague: true }
  const inner = call.args.map((arg) => conditions(facts, arg, depth + 1))
  return { given: inner.flatMap((each) => each.given), isVague: inner.some((each) => each.isVague) }
}
