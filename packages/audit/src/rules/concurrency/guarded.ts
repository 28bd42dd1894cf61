// What keeps two of a kind apart: a lock that is held, a transaction that can't be interleaved, a script, a key that only one can set.

import type { Call } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { FileIndex } from '../../repository/repository.ts'
import { bodyOf } from './flow.ts'

const LOCKING =
  /(?:^|[._])(?:\w*mutex\w*|\w*semaphore\w*|redlock\w*|run_?exclusive|with_?\w*lock|\w*[a-z]_lock|_?lock|\w*Locks?|acquire\w*|synchronized|single_?flight|advisory\w*|try_?lock\w*|get_?lock|lock_?for\w*)(?:$|[._])/i
const NO_LOCK = /unlock|block$|blocked|is_?locked|locked$|release|clock$/i
export const LOCKING_STATEMENTS =
  /\bfor\s+(?:no\s+key\s+)?(?:update|share)\b|serializable|\.for\(\s*['"](?:no key )?(?:update|share)|advisory|pessimistic_|with_for_update|select_for_update|LOCK\.UPDATE|\bLOCK\s+TABLE\b|\bWATCH\b|\bversion_id_col\b|redis\.call|skip\s+locked|\.eval\(/i

/** Is what this function does kept apart by something: around it, in it, or around all of its callers? */
export function isGuarded(program: Program, files: FileIndex, file: IndexedFile, fn: number, depth = 0): boolean {
  const { blocks, calls } = file.facts
  const body = bodyOf(file, fn)
  if (body.calls.some((index) => isLocking(calls[index]))) return true
  for (let at = fn; at >= 0; at = blocks[at]?.parent ?? -1) if (isHeld(file, at)) return true
  for (const [index, block] of blocks.entries())
    if (block.kind === 'with' && file.functionOf(index) === fn && isHeld(file, index)) return true
  const name = blocks[fn]?.name ?? ''
  if (/locked$|_unsafe$|in_?transaction$|atomic/i.test(name)) return true
  for (let at = fn; at > 0; at = file.functionOf(blocks[at]?.parent ?? 0)) if (says(files, file, at)) return true
  return isCallbackOfLock(file, fn) || (depth < 2 && allCallersGuarded(program, files, file, fn, depth))
}

function isLocking(call: Call | undefined): boolean {
  return call !== undefined && LOCKING.test(call.callee.text) && !NO_LOCK.test(call.callee.text)
}

function isHeld({ facts }: IndexedFile, index: number): boolean {
  const block = facts.blocks[index]
  if (block?.kind !== 'with' || block.test === undefined) return false
  const { test } = block
  const inner = test.kind === 'await' ? test.value : test
  const text =
    inner.kind === 'path' ? inner.path.text : inner.kind === 'call' ? (facts.calls[inner.call]?.callee.text ?? '') : ''
  return /lock|mutex|semaphore/i.test(text)
}

/** The text of the function has a statement that locks, or a word for it. */
function says(files: FileIndex, file: IndexedFile, fn: number): boolean {
  return LOCKING_STATEMENTS.test(sourceOf(files, file, fn))
}

export function sourceOf(files: FileIndex, { facts }: IndexedFile, block: number): string {
  const place = facts.blocks[block]
  const text = files.read(facts.file)
  if (place === undefined || text === undefined) return ''
  const from = lineStart(text, place.line)
  return text.slice(from, lineStart(text, place.endLine + 1))
}

function lineStart(text: string, line: number): number {
  let at = 0
  for (let count = 1; count < line; count++) {
    const next = text.indexOf('\n', at)
    if (next === -1) return text.length
    at = next + 1
  }
  return at
}

/** `mutex.runExclusive(() => …)`, `withLock(key, async () => …)`: a callback of it, or of what calls it. */
function isCallbackOfLock(file: IndexedFile, fn: number): boolean {
  const { blocks, calls } = file.facts
  const outer = blocks[fn]?.parent ?? -1
  if (outer === -1) return false
  return bodyOf(file, file.functionOf(outer)).calls.some((index) => {
    const call = calls[index]
    return isLocking(call) && call?.args.some((arg) => arg.kind === 'function' && arg.block === fn) === true
  })
}

function allCallersGuarded(program: Program, files: FileIndex, file: IndexedFile, fn: number, depth: number): boolean {
  if (fn === -1 || file.facts.blocks[fn]?.name === '') return false
  const callers = program.callers({ file: file.facts.file, block: fn })
  return (
    callers.length > 0 &&
    callers.length < 20 &&
    callers.every(({ file: path, call }) => {
      const own = program.file(path)
      if (own === undefined) return false
      const caller = own.functionOf(call.block)
      return (
        caller !== -1 &&
        !(path === file.facts.file && caller === fn) &&
        isGuarded(program, files, own, caller, depth + 1)
      )
    })
  )
}
