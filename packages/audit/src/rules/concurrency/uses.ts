// What a function does with keys and rows, itself and through one level of functions of the repository that do one such thing each: `findByEmail(email)` is the
// reading of a row by its email, wherever it is written.

import type { FileFacts } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import { lastName } from '../queries.ts'
import { bodyOf } from './flow.ts'
import { keyOf } from './keys.ts'
import { type RedisUse, redisUse } from './redis.ts'
import { rowUse } from './rows.ts'
import type { RowUse } from './tables.ts'

export interface Uses {
  readonly rows: readonly RowUse[]
  readonly keys: readonly RedisUse[]
}

const KEPT = new WeakMap<FileFacts, Map<number, Uses>>()
const NONE: Uses = { rows: [], keys: [] }
/** What other functions do is asked of those only whose name says that they read or make something. */
const TELLING =
  /^_{0,2}(?:get|find|fetch|load|read|exist|has|check|lookup|create|insert|add|save|store|set|is|by|query|select|count|write|put|persist)/i
const CALLS_MAX = 400

/** Its own only. */
export function ownUses(program: Program, file: IndexedFile, fn: number): Uses {
  const byFunction = KEPT.get(file.facts) ?? new Map<number, Uses>()
  KEPT.set(file.facts, byFunction)
  const kept = byFunction.get(fn)
  if (kept !== undefined) return kept
  const { calls } = bodyOf(file, fn)
  const found =
    calls.length > CALLS_MAX
      ? NONE
      : {
          rows: calls.flatMap((index) => rowUse(file.facts, index) ?? []),
          keys: calls.flatMap((index) => redisUse(program, file, fn, index) ?? []),
        }
  const uses = found.rows.length + found.keys.length === 0 ? NONE : found
  byFunction.set(fn, uses)
  return uses
}

/** With those of the functions that it calls. */
export function usesOf(program: Program, file: IndexedFile, fn: number): Uses {
  const own = ownUses(program, file, fn)
  const rows = [...own.rows]
  const keys = [...own.keys]
  const { calls } = bodyOf(file, fn)
  if (calls.length > CALLS_MAX) return own
  for (const index of calls) {
    const call = file.facts.calls[index]
    if (call === undefined || !TELLING.test(lastName(call.callee))) continue
    if (own.rows.some((use) => use.call === index) || own.keys.some((use) => use.call === index)) continue
    const target = program.target({ file: file.facts.file, call })
    if (target === undefined || (target.file === file.facts.file && target.block === fn)) continue
    const inner = through(program, file, fn, index, target)
    rows.push(...inner.rows)
    keys.push(...inner.keys)
  }
  const order = (a: { call: number }, b: { call: number }): number => a.call - b.call
  return { rows: rows.sort(order), keys: keys.sort(order) }
}

/** Of a function that is called there: the one thing that it does. */
function through(program: Program, file: IndexedFile, fn: number, index: number, target: BlockRef): Uses {
  const other = program.file(target.file)
  const call = file.facts.calls[index]
  if (other === undefined || call === undefined) return NONE
  const { rows, keys } = ownUses(program, other, target.block)
  const [row] = rows
  const row1 = rows.length === 1 && keys.length === 0 && row !== undefined ? [{ ...row, call: index }] : []
  const reads = keys.filter(({ op }) => op === 'read')
  const [read] = reads
  if (keys.length !== 1 || rows.length > 0 || read === undefined) return { rows: row1, keys: [] }
  const params = other.facts.blocks[target.block]?.fn?.params ?? []
  const names = new Map<string, string>()
  for (const [at, param] of params.filter((name) => name !== 'self' && name !== 'cls').entries()) {
    const named = call.named.find(([name]) => name === param)?.[1]
    const given = named ?? call.args[at]
    if (given !== undefined) names.set(param, keyOf(file, fn, given))
  }
  const key = keyOf(other, target.block, other.facts.calls[read.call]?.args[0], names)
  return { rows: [], keys: [{ ...read, call: index, key }] }
}
