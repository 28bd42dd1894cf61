// Marks of being busy: a function leaves while one is set, sets it, and takes it away behind its work. Work that fails in between leaves it set, and whoever comes
// later is sent away. Silent where a `finally`, a handler, a callback or another function takes it away too.
//   JN4. Strong where somebody hears the failure and the process goes on; where nobody is seen to, it may end the process, and is for review.

import type { Assignment, Call } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import { isCaught, mayReject } from '../promises/rejections.ts'
import type { Discovery } from '../rule.ts'
import { type Flag, heldBy, type Refusal, refusals } from './guards.ts'
import { nameOf } from './recovery.ts'

const DEPTH_MAX = 4

export function* stuckBusy(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  for (const owner of [-1, ...file.facts.classes.map(({ block }) => block)])
    for (const name of file.written(owner)) {
      const found = stuckMark(program, path, file, { owner, name })
      if (found !== undefined) yield found
    }
}

function stuckMark(program: Program, path: string, file: IndexedFile, flag: Flag): Discovery | undefined {
  const writes = file.writes(flag.owner, flag.name).filter((write) => !isBeginning(file, write))
  for (const set of writes) {
    const fn = file.functionOf(set.block)
    if (heldBy(set.value) !== true || fn === -1) continue
    const guard = refusals(file, flag, true).find((each) => each.fn === fn && each.isExit && each.line <= set.line)
    const ends = writes.filter(({ value }) => heldBy(value) !== true)
    const last = ends.at(-1)
    if (guard === undefined || last === undefined || !ends.every((end) => isBehindWork(file, end, fn))) continue
    const failing = file.facts.calls.find(
      (call) =>
        call.line > set.endLine &&
        call.line <= last.line &&
        file.functionOf(call.block) === fn &&
        !isCaught(file.facts, call.block, fn) &&
        mayReject(program, { file: path, call }),
    )
    if (failing !== undefined) return discovery(program, path, file, flag, { set, guard, failing })
  }
  return undefined
}

/** Where it is declared, and in constructors. */
function isBeginning(file: IndexedFile, { block }: Assignment): boolean {
  const fn = file.functionOf(block)
  return fn === -1 || block === file.classOf(block) || file.facts.blocks[fn]?.fn?.kind === 'constructor'
}

/** In the function itself, and reached only where nothing was thrown. */
function isBehindWork(file: IndexedFile, { block }: Assignment, fn: number): boolean {
  const { blocks } = file.facts
  if (file.functionOf(block) !== fn) return false
  for (let at = block; at >= 0 && at !== fn; at = blocks[at]?.parent ?? -1)
    if (blocks[at]?.kind === 'finally' || blocks[at]?.kind === 'handler') return false
  return true
}

/** JN4. */
function isSurvived(program: Program, ref: BlockRef, depth = 0): boolean {
  const file = program.file(ref.file)
  const block = file?.facts.blocks[ref.block]
  if (file === undefined || block === undefined || depth > DEPTH_MAX) return false
  // What is decorated is called by a framework, which hears what fails.
  if (file.facts.language === 'python' || (block.fn?.decorators.length ?? 0) > 0) return true
  return program.callers(ref).some(({ file: path, call }) => {
    const own = program.file(path)
    const caller = own?.functionOf(call.block) ?? -1
    if (own === undefined) return false
    if (isCaught(own.facts, call.block, caller === -1 ? 0 : caller) && call.use === 'awaited') return true
    if (own.facts.calls.some(({ callee, on }) => own.facts.calls[on] === call && callee.text.endsWith('.catch')))
      return true
    return (
      caller !== -1 &&
      /^(?:awaited|returned)$/.test(call.use) &&
      isSurvived(program, { file: path, block: caller }, depth + 1)
    )
  })
}

interface Stuck {
  readonly set: Assignment
  readonly guard: Refusal
  readonly failing: Call
}

function discovery(
  program: Program,
  path: string,
  file: IndexedFile,
  flag: Flag,
  { set, guard, failing }: Stuck,
): Discovery {
  const fn = file.functionOf(set.block)
  const name = nameOf(file, fn)
  const where = `${flag.owner === -1 ? '' : `${nameOf(file, flag.owner)}.`}${flag.name}`
  const seen = ({ line, endLine }: { readonly line: number; readonly endLine: number }, what: string) => ({
    provenance: 'static' as const,
    loc: { file: path, line, endLine },
    what,
  })
  return {
    tier: isSurvived(program, { file: path, block: fn }) ? 'strong' : 'review',
    cause: `${name} of ${path}`,
    symbol: `${where} in ${name}`,
    symptom: `After one failure ${name} never works again until the process is restarted: it finds ${where} set, and leaves.`,
    rootCause: `${name} sets ${where} and takes it away only behind its work, not where the work fails.`,
    evidence: [
      seen(set, `sets ${where}`),
      seen(failing, 'what fails here passes by what takes it away'),
      seen(guard, 'and whoever comes later leaves here'),
    ],
  }
}
