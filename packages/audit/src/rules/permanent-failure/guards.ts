// Guards: what a test comes to when a flag has a certain value, and which branches refuse by it.

import type { Path, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'

/** A field of a class, or a variable of the module (-1). */
export interface Flag {
  readonly owner: number
  readonly name: string
}

/** What a flag holds: a truth, nothing, or a word like `open`. */
export type Held = boolean | null | string

export function isFlag(path: Path, { owner, name }: Flag): boolean {
  return path.text === name && (owner === -1 ? !path.isOwn && path.root === 'module' : path.isOwn)
}

export function heldBy(value: Value): Held | undefined {
  switch (value.kind) {
    case 'boolean':
      return value.value
    case 'null':
      return null
    case 'string':
      return value.value.toLowerCase()
    case 'path': {
      const word = value.path.text.slice(value.path.text.lastIndexOf('.') + 1)
      return value.path.text.includes('.') && /^[A-Z][A-Z_]*$/.test(word) ? word.toLowerCase() : undefined
    }
    default:
      return undefined
  }
}

/** Undefined: something else decides. */
export function outcome(test: Value, flag: Flag, held: Held): boolean | undefined {
  if (test.kind === 'path') return isFlag(test.path, flag) ? held !== null && held !== false : undefined
  if (test.kind === 'not') {
    const inner = outcome(test.value, flag, held)
    return inner === undefined ? undefined : !inner
  }
  if (test.kind !== 'operation') return undefined
  const { operator } = test
  if (operator === 'and' || operator === '&&')
    return both(outcome(test.left, flag, held), outcome(test.right, flag, held), false)
  if (operator === 'or' || operator === '||')
    return both(outcome(test.left, flag, held), outcome(test.right, flag, held), true)
  return compared(test, flag, held)
}

function both(left: boolean | undefined, right: boolean | undefined, decides: boolean): boolean | undefined {
  if (left === decides || right === decides) return decides
  return left === undefined || right === undefined ? undefined : !decides
}

function compared(test: Value & { readonly kind: 'operation' }, flag: Flag, held: Held): boolean | undefined {
  const isSame = /^(?:===?|is)$/.test(test.operator)
  if (!isSame && !/^(?:!==?|is not)$/.test(test.operator)) return undefined
  if (test.left.kind !== 'path' || !isFlag(test.left.path, flag)) return undefined
  const other = heldBy(test.right)
  return other === undefined ? undefined : (other === held) === isSame
}

export interface Refusal {
  readonly block: number
  readonly line: number
  readonly endLine: number
  readonly fn: number
  /** It leaves where the flag is set; otherwise what it passes by is the work itself. */
  readonly isExit: boolean
}

/** The branches that refuse when a flag holds a value. */
export function refusals(file: IndexedFile, flag: Flag, held: Held): readonly Refusal[] {
  const { blocks, exits, calls } = file.facts
  const found: Refusal[] = []
  for (const [block, { kind, test, line, endLine }] of blocks.entries()) {
    if (kind !== 'branch' || test === undefined || (flag.owner !== -1 && file.classOf(block) !== flag.owner)) continue
    const fn = file.functionOf(block)
    if (fn === -1) continue
    const result = outcome(test, flag, held)
    const isExit =
      result === true &&
      // What leaves whatever the flag holds has only kept an answer.
      (typeof held !== 'boolean' || outcome(test, flag, !held) !== true) &&
      exits.some(
        (exit) => exit.block === block && (exit.kind === 'return' || exit.kind === 'throw' || exit.kind === 'yield'),
      )
    const isPassed =
      result === false &&
      calls.some(
        ({ callee, block: where }) =>
          callee.text.startsWith(`${flag.name}.`) && callee.isOwn === (flag.owner !== -1) && file.within(where, block),
      )
    if (isExit || isPassed) found.push({ block, line, endLine, fn, isExit })
  }
  if (held === null) for (const each of handedOut(file, flag)) found.push(each)
  return found
}

/** Functions that hand the client out as it is: whoever asks gets nothing. */
function* handedOut(file: IndexedFile, flag: Flag): Iterable<Refusal> {
  for (const { kind, value, block, line, endLine } of file.facts.exits) {
    if (kind !== 'return' || value?.kind !== 'path' || !isFlag(value.path, flag)) continue
    const fn = file.functionOf(block)
    if (fn !== -1 && block === fn && (flag.owner === -1 || file.classOf(block) === flag.owner))
      yield { block, line, endLine, fn, isExit: false }
  }
}
