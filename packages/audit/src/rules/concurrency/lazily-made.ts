// Things that are made when they are first needed: a connection or a browser that a variable keeps, looked for, made with an await, and kept. Whoever asks meanwhile finds
// nothing yet and makes another; the first is then held by nobody, and nobody closes it.
//   QV11. Found where a request, a message or a timer leads there, and what is kept is the thing and not the promise of it; silent where something makes it at start, where
//         a lock or a mark of its own keeps two apart, and for libraries that keep one connection themselves.

import type { Assignment, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { bodyOf, holds } from './flow.ts'
import { isGuarded } from './guarded.ts'
import { isStarting } from './places.ts'
import { reachedOf, reachKey } from './reach.ts'

const MAKES = /^(?:launch|connect|createConnection|createPool|createChannel|createConfirmChannel)$/
const KEEPS_ONE = /^import:(?:mongoose|next-auth|firebase)/

export function* lazilyMade(
  repository: Repository,
  program: Program,
  file: IndexedFile,
  fn: number,
): Iterable<Discovery> {
  const { facts } = file
  if (facts.language === 'python' || facts.blocks[fn]?.fn?.isAsync !== true) return
  for (const write of bodyOf(file, fn).assignments) {
    const { target } = write
    const isShared = target.isOwn || target.root === 'module'
    if (!isShared || target.text.includes('.') || write.isDeclaration || !makes(file, write)) continue
    if (!isLookedFor(file, fn, write) || isMarked(file, fn, write)) continue
    if (isGuarded(program, repository.files, file, fn) || isMadeAtStart(program, file, fn)) continue
    const way = reachedOf(repository).get(reachKey({ file: facts.file, block: fn }))
    if (way === undefined) continue
    yield {
      tier: 'strong',
      severity: 'medium',
      symbol: symbolOf(facts, fn),
      symptom: `Two at once both find no ${target.text} and both make one; the first is held by nobody and never closed.`,
      rootCause: `${target.text} is looked for, made with an await, and kept only when that has ended.`,
      evidence: [seenAt(facts.file, write, `${target.text} is kept only here, behind the wait`)],
    }
    return
  }
}

function makes({ facts }: IndexedFile, { value, operator }: Assignment): boolean {
  const inner = value.kind === 'await' ? value.value : undefined
  const call = inner?.kind === 'call' ? facts.calls[inner.call] : undefined
  if (call === undefined || (operator !== '=' && operator !== '??=' && operator !== '||=')) return false
  return MAKES.test(lastName(call.callee)) && !KEEPS_ONE.test(call.callee.root)
}

/** `if (x) return x` before it, or `if (!x)` around it. */
function isLookedFor(file: IndexedFile, fn: number, write: Assignment): boolean {
  const { facts } = file
  if (write.operator !== '=') return true
  return bodyOf(file, fn).branches.some((branch) => {
    const { test, line = 0 } = facts.blocks[branch] ?? {}
    if (test === undefined || line > write.line || !holds(facts, test, (each) => isIt(each, write))) return false
    const isAround = file.within(write.block, branch)
    return isAround || facts.exits.some(({ kind, block }) => kind === 'return' && file.within(block, branch))
  })
}

function isIt(value: Value, { target }: Assignment): boolean {
  if (value.kind !== 'path' || value.path.isOwn !== target.isOwn) return false
  return value.path.text === target.text || value.path.text.startsWith(`${target.text}.`)
}

/** Another thing that outlives the call is tested too, or written before the wait: a flag, or the promise. */
function isMarked(file: IndexedFile, fn: number, write: Assignment): boolean {
  const { facts } = file
  const isOther = (value: Value): boolean =>
    value.kind === 'path' &&
    (value.path.isOwn || value.path.root === 'module') &&
    !isIt(value, write) &&
    !/^[A-Z0-9_.]+$/.test(value.path.text)
  const { branches, assignments } = bodyOf(file, fn)
  return (
    branches.some((branch) => holds(facts, facts.blocks[branch]?.test, isOther)) ||
    assignments.some((each) => each.line < write.line && isOther({ kind: 'path', path: each.target }))
  )
}

/** Something calls it before anything is served. */
function isMadeAtStart(program: Program, { facts }: IndexedFile, fn: number): boolean {
  return program.callers({ file: facts.file, block: fn }).some(({ file: path, call }) => {
    const own = program.file(path)
    const outer = own?.functionOf(call.block) ?? -1
    return own !== undefined && (outer === -1 || isStarting(own, outer))
  })
}
