// Where something was made that functions of the repository hand out: `const connection = await connect()`, where connect returns what a library made.
//   QJ11. Followed through functions that return what they, or what they call, made; a few of them at most.

import type { FileFacts, Value } from '../../facts/facts.ts'
import type { CallSite, Program } from '../../program/index.ts'
import { contentsOf } from '../contents.ts'

const HOPS_MAX = 3

/** QJ11. The call of a library behind a call; the call itself where it is of nothing in the repository. */
export function originOf(program: Program, site: CallSite, hops = 0): CallSite {
  const fn = site.call.isNew || hops >= HOPS_MAX ? undefined : program.target(site)
  const facts = fn === undefined ? undefined : program.file(fn.file)?.facts
  if (fn === undefined || facts === undefined) return site
  for (const { kind, value, block } of contentsOf(facts, fn.block).exits) {
    if (kind !== 'return' || value === undefined) continue
    const made = madeBy(program, facts, value, block)
    if (made !== undefined) return originOf(program, made, hops + 1)
  }
  return site
}

function madeBy(program: Program, facts: FileFacts, value: Value, block: number): CallSite | undefined {
  if (value.kind === 'await') return madeBy(program, facts, value.value, block)
  if (value.kind === 'path') return program.created(facts.file, value.path, block)
  const call = value.kind === 'call' ? facts.calls[value.call] : undefined
  return call === undefined ? undefined : { file: facts.file, call }
}
