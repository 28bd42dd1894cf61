// Functions that are named for a way back and are not written: they only say so.

import type { Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import { nameOf } from './recovery.ts'

export const RECOVERING = /^[_#]*(?:auto_?|try_?)?(?:reconnect|recover|restore|failover|fail_over|reopen|heal)/i
const DEPTH_MAX = 5

export interface Stub {
  readonly file: string
  readonly line: number
  readonly name: string
}

/** Where a function ends in any case, if that is not implemented. */
export function stubBelow(program: Program, path: string, fn: number, seen: Set<number>): Stub | undefined {
  const file = program.file(path)
  if (file === undefined || seen.has(fn) || seen.size >= DEPTH_MAX ** 2) return undefined
  seen.add(fn)
  const thrown = file.facts.exits.find(
    (exit) => exit.kind === 'throw' && exit.block === fn && isUnimplemented(file, exit.value),
  )
  if (thrown !== undefined) return { file: path, line: thrown.line, name: nameOf(file, fn) }
  for (const call of file.facts.calls) {
    // Only what it does in any case.
    if (call.block !== fn) continue
    const target = program.target({ file: path, call })
    const found = target?.file === path ? stubBelow(program, path, target.block, seen) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

function isUnimplemented(file: IndexedFile, value: Value | undefined): boolean {
  if (value?.kind === 'path') return value.path.text === 'NotImplementedError'
  const call = value?.kind === 'call' ? file.facts.calls[value.call] : undefined
  const [first] = call?.args ?? []
  return (
    call?.callee.text === 'NotImplementedError' ||
    (first?.kind === 'string' && /not (?:yet )?implemented/i.test(first.value))
  )
}
