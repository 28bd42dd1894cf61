// What runs while the world waits: functions that routes, consumers, timers and listeners lead to, by calls that are told, a few levels deep; with the entry that leads there.

import { type BlockRef, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Entry, entriesOf } from '../../system/entries.ts'

export interface Reached {
  readonly entry: Entry
  readonly depth: number
}

const KEPT = new WeakMap<Repository['facts'], ReadonlyMap<string, Reached>>()
const DEPTH_MAX = 6
const KINDS = new Set<Entry['kind']>(['route', 'consumer', 'middleware', 'listener', 'interval', 'schedule'])

export function reachKey({ file, block }: BlockRef): string {
  return `${file}\n${block}`
}

/** By `reachKey`. Routes come first: who is reached by several is told of the nearest of them. */
export function reachedOf(repository: Repository): ReadonlyMap<string, Reached> {
  const kept = KEPT.get(repository.facts)
  if (kept !== undefined) return kept
  const program = programOf(repository.facts)
  const found = new Map<string, Reached>()
  let level: (readonly [BlockRef, Entry])[] = entriesOf(repository)
    .filter(({ kind, handler }) => handler !== undefined && KINDS.has(kind))
    .map((entry) => [entry.handler as BlockRef, entry] as const)
  for (let depth = 0; depth <= DEPTH_MAX && level.length > 0; depth++) {
    const next: (readonly [BlockRef, Entry])[] = []
    for (const [ref, entry] of level) {
      const key = reachKey(ref)
      if (found.has(key)) continue
      found.set(key, { entry, depth })
      if (depth === DEPTH_MAX) continue
      const file = program.file(ref.file)
      for (const index of callsWithin(repository, ref)) {
        const call = file?.facts.calls[index]
        const target = call === undefined ? undefined : program.target({ file: ref.file, call })
        if (target !== undefined && !found.has(reachKey(target))) next.push([target, entry])
      }
    }
    level = next
  }
  KEPT.set(repository.facts, found)
  return found
}

const WITHIN = new WeakMap<object, ReadonlyMap<number, readonly number[]>>()

/** Calls of a function and of the callbacks in it. */
export function callsWithin({ facts }: Pick<Repository, 'facts'>, { file: path, block }: BlockRef): readonly number[] {
  const own = facts.get(path)
  if (own === undefined) return []
  const kept = WITHIN.get(own)
  if (kept !== undefined) return kept.get(block) ?? []
  const all = new Map<number, number[]>()
  for (const [index, call] of own.calls.entries())
    for (let at = call.block; at >= 0; at = own.blocks[at]?.parent ?? -1) {
      if (own.blocks[at]?.kind !== 'function') continue
      const list = all.get(at)
      if (list === undefined) all.set(at, [index])
      else list.push(index)
    }
  WITHIN.set(own, all)
  return all.get(block) ?? []
}
