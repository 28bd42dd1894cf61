// What a function does with keys and rows, itself and, of rows, through two levels of functions of the repository that do one such thing each: `findByEmail(email)` is the
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
  /^_{0,2}(?:get|find|fetch|load|read|exist|has|check|lookup|create|insert|add|save|store|set|update|upsert|change|adjust|mark|is|by|query|select|count|write|put|persist)/i
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

const KEPT_WITH_CALLED = new WeakMap<FileFacts, Map<number, Uses>>()
/** A service, and its repository. */
const LAYERS_MAX = 2

/** With those of the functions that it calls, through the layers below it. */
export function usesOf(program: Program, file: IndexedFile, fn: number, layer = 0): Uses {
  if (layer >= LAYERS_MAX) return ownUses(program, file, fn)
  const byFunction = KEPT_WITH_CALLED.get(file.facts) ?? new Map<number, Uses>()
  KEPT_WITH_CALLED.set(file.facts, byFunction)
  const key = fn * LAYERS_MAX + layer
  const kept = byFunction.get(key)
  if (kept !== undefined) return kept
  // Whatever calls itself is judged by the rest of it.
  byFunction.set(key, NONE)
  const found = findUses(program, file, fn, layer)
  byFunction.set(key, found)
  return found
}

function findUses(program: Program, file: IndexedFile, fn: number, layer: number): Uses {
  const own = ownUses(program, file, fn)
  const rows = [...own.rows]
  const keys = [...own.keys]
  const { calls } = bodyOf(file, fn)
  if (calls.length > CALLS_MAX) return own
  for (const index of calls) {
    const call = file.facts.calls[index]
    if (call === undefined || !TELLING.test(lastName(call.callee))) continue
    if (own.keys.some((use) => use.call === index)) continue
    const target = program.target({ file: file.facts.file, call })
    if (target === undefined || (target.file === file.facts.file && target.block === fn)) continue
    const inner = through(program, file, fn, index, target, layer)
    // `cards.findOne(owner)` of a service of the repository is what that does.
    const named = rows.findIndex((use) => use.call === index)
    if (named !== -1 && inner.rows.length > 0) rows.splice(named, 1)
    else if (named !== -1) continue
    rows.push(...inner.rows)
    keys.push(...inner.keys)
  }
  const order = (a: { call: number }, b: { call: number }): number => a.call - b.call
  if (rows.length + keys.length === 0) return NONE
  return { rows: rows.sort(order), keys: keys.sort(order) }
}

/** Of a function that is called there: the one thing that it does. */
function through(
  program: Program,
  file: IndexedFile,
  fn: number,
  index: number,
  target: BlockRef,
  layer: number,
): Uses {
  const other = program.file(target.file)
  const call = file.facts.calls[index]
  if (other === undefined || call === undefined) return NONE
  const { keys } = ownUses(program, other, target.block)
  const { rows } = usesOf(program, other, target.block, layer + 1)
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
