// Flow within one function, as far as races need it: which names hold what a call answered, which tests a later call stands behind, and with which outcome of them.
// Callbacks inside are functions of their own. Names are followed by assignment only; what cannot be told is not said to be so.

import type { Assignment, Call, Exit, FileFacts, Value } from '../../facts/facts.ts'
import { isOfPart } from '../../facts/values.ts'
import type { IndexedFile } from '../../program/index.ts'

/** What happens in one function, in the order of the source. */
export interface Body {
  readonly calls: readonly number[]
  readonly assignments: readonly Assignment[]
  readonly exits: readonly Exit[]
  readonly branches: readonly number[]
}

const BODIES = new WeakMap<FileFacts, ReadonlyMap<number, Body>>()
const EMPTY: Body = { calls: [], assignments: [], exits: [], branches: [] }
const DEPTH_MAX = 12

/** By the block of the function; -1 is the module's own code. */
export function bodiesOf(file: IndexedFile): ReadonlyMap<number, Body> {
  const kept = BODIES.get(file.facts) ?? readBodies(file)
  BODIES.set(file.facts, kept)
  return kept
}

export function bodyOf(file: IndexedFile, fn: number): Body {
  return bodiesOf(file).get(fn) ?? EMPTY
}

function readBodies(file: IndexedFile): ReadonlyMap<number, Body> {
  const { blocks, calls, assignments, exits } = file.facts
  const all = new Map<number, { calls: number[]; assignments: Assignment[]; exits: Exit[]; branches: number[] }>()
  const of = (block: number) => {
    const fn = file.functionOf(block)
    const found = all.get(fn) ?? { calls: [], assignments: [], exits: [], branches: [] }
    all.set(fn, found)
    return found
  }
  for (const [index, { block }] of calls.entries()) of(block).calls.push(index)
  for (const each of assignments) of(each.block).assignments.push(each)
  for (const each of exits) of(each.block).exits.push(each)
  for (const [index, { kind }] of blocks.entries()) if (kind === 'branch') of(index).branches.push(index)
  // A list that grew has room for 17, and there are a hundred thousand of them: 30 MB in a million lines (measured 2026-11-22).
  const cut = <T>(list: readonly T[]): readonly T[] => (list.length === 0 ? [] : list.slice())
  const bodies = [...all].map(([fn, { calls: own, assignments: writes, exits: ends, branches }]) => {
    return [fn, { calls: cut(own), assignments: cut(writes), exits: cut(ends), branches: cut(branches) }] as const
  })
  return new Map<number, Body>(bodies)
}

/** Is there such a value in it? Through arguments, receivers and what is awaited. */
export function holds(facts: FileFacts, value: Value | undefined, is: (value: Value) => boolean, depth = 0): boolean {
  if (value === undefined || depth > DEPTH_MAX) return false
  if (is(value)) return true
  const inner = (each: Value | undefined): boolean => holds(facts, each, is, depth + 1)
  switch (value.kind) {
    case 'call': {
      const call = facts.calls[value.call]
      return call !== undefined && callHolds(facts, call, is, depth + 1)
    }
    default:
      return isOfPart(value, inner)
  }
}

/** In its arguments, its receiver, or the call that it is chained to. */
export function callHolds(facts: FileFacts, call: Call, is: (value: Value) => boolean, depth = 0): boolean {
  const { args, named, on, callee } = call
  if (args.some((arg) => holds(facts, arg, is, depth)) || named.some(([, arg]) => holds(facts, arg, is, depth)))
    return true
  if (on !== -1) return holds(facts, { kind: 'call', call: on }, is, depth)
  const dot = callee.text.lastIndexOf('.')
  return dot !== -1 && is({ kind: 'path', path: { ...callee, text: callee.text.slice(0, dot) } })
}

/** Names of the function that hold something of what a call answered: `data` after `data = JSON.parse(await get(k))`. Own fields are never among them. */
export function derived(file: IndexedFile, fn: number, call: number): ReadonlySet<string> {
  const { facts } = file
  const names = new Set<string>()
  const others = new Set<string>()
  const is = isFrom(call, names)
  for (const { target, value, operator, isDeclaration } of bodyOf(file, fn).assignments) {
    if (target.isOwn || operator === 'delete') continue
    const [first = ''] = target.text.split('.', 1)
    if (first !== '' && holds(facts, value, is)) names.add(first)
    else if (isDeclaration && target.root !== 'param' && value.kind !== 'null') others.add(first)
  }
  // Two things of one name, in blocks of their own: which one is meant is not told.
  if (facts.language !== 'python') for (const name of others) names.delete(name)
  return names
}

/** The call itself, or a name that holds something of its answer. */
export function isFrom(call: number, names: ReadonlySet<string>): (value: Value) => boolean {
  return (value) =>
    (value.kind === 'call' && value.call === call) ||
    (value.kind === 'path' && !value.path.isOwn && names.has(value.path.text.split('.', 1)[0] as string)) ||
    (value.kind === 'other' && mentionsName(value.text, names))
}

function mentionsName(text: string, names: ReadonlySet<string>): boolean {
  for (const word of text.split(/[^\w$]+/)) if (names.has(word)) return true
  return false
}

/** What a test says of a thing where it holds. `compared`: something of it was looked at. */
export type Standing = 'present' | 'absent' | 'compared'

const OPPOSITE = { present: 'absent', absent: 'present', compared: 'compared' } as const
const COUNTING = /(?:^|\.)(?:len|Boolean|bool|exists|any|first|length|size)$/
const COUNTED = /\.(?:length|size|rowCount|rowcount|count)$/

export function standing(facts: FileFacts, test: Value, is: (value: Value) => boolean): Standing | undefined {
  switch (test.kind) {
    case 'await':
      return standing(facts, test.value, is)
    case 'not': {
      const inner = standing(facts, test.value, is)
      return inner && OPPOSITE[inner]
    }
    case 'path':
      if (!is(test)) return undefined
      return test.path.text.includes('.') && !COUNTED.test(test.path.text) ? 'compared' : 'present'
    case 'call': {
      if (is(test)) return 'present'
      const call = facts.calls[test.call]
      if (call === undefined || !callHolds(facts, call, is)) return undefined
      return COUNTING.test(call.callee.text) ? 'present' : 'compared'
    }
    case 'operation':
      return standingOf(facts, test, is)
    default:
      return holds(facts, test, is) ? 'compared' : undefined
  }
}

function standingOf(
  facts: FileFacts,
  { operator, left, right }: Extract<Value, { kind: 'operation' }>,
  is: (value: Value) => boolean,
): Standing | undefined {
  if (operator === '&&' || operator === 'and' || operator === '||' || operator === 'or' || operator === '??') {
    const first = standing(facts, left, is)
    return first === undefined || first === 'compared' ? (standing(facts, right, is) ?? first) : first
  }
  const side = standing(facts, left, is)
  if (side !== undefined && isNothing(right)) {
    if (/^(?:!==?|is not|>)$/.test(operator)) return side
    if (/^(?:===?|is|<=)$/.test(operator)) return OPPOSITE[side]
  }
  if (side === 'present' && right.kind === 'number' && right.value === 1) {
    if (operator === '>=') return 'present'
    if (operator === '<') return 'absent'
  }
  if (holds(facts, right, is) && (operator === 'in' || operator === 'not in'))
    return operator === 'in' ? 'present' : 'absent'
  return side !== undefined || holds(facts, right, is) ? 'compared' : undefined
}

function isNothing(value: Value): boolean {
  return value.kind === 'null' || (value.kind === 'number' && value.value === 0)
}

/** A test that something stands behind. `holds`: it is run where the test holds; otherwise where it does not. */
export interface Control {
  readonly branch: number
  readonly test: Value
  readonly holds: boolean
  /** How what does not hold was left behind, where it is behind and not inside. */
  readonly exit: Exit | undefined
}

/** Tests that a block stands behind, the nearest first: those it is in, and those before it that leave the function. */
export function controlsOf(file: IndexedFile, fn: number, block: number, line: number): readonly Control[] {
  const { blocks } = file.facts
  const found: Control[] = []
  const around = new Set<number>()
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    around.add(at)
    const each = blocks[at]
    if (each?.kind === 'branch' && each.test !== undefined)
      found.push({ branch: at, test: each.test, holds: true, exit: undefined })
    if (each?.kind === 'otherwise' && each.of !== undefined) {
      const test = blocks[each.of]?.test
      if (test !== undefined) found.push({ branch: each.of, test, holds: false, exit: undefined })
    }
    if (at === fn) break
  }
  const body = bodyOf(file, fn)
  for (const branch of body.branches) {
    const each = blocks[branch]
    if (each?.test === undefined || each.endLine > line || around.has(branch)) continue
    const exit = body.exits.find((left) => left.block === branch && left.kind !== 'yield')
    if (exit !== undefined && isBefore(file, branch, around))
      found.push({ branch, test: each.test, holds: false, exit })
  }
  return found
}

/** Not in the other half of a branch that is taken: `if (a) { … } else { here }`. */
function isBefore({ facts: { blocks } }: IndexedFile, branch: number, around: ReadonlySet<number>): boolean {
  for (let at = branch; at >= 0; ) {
    const parent = blocks[at]?.parent ?? -1
    if (around.has(parent)) {
      const below = blocks[at]
      if (below?.kind === 'handler' || below?.kind === 'finally') return false
      if (below?.kind === 'otherwise') return below.of === undefined || !around.has(below.of)
      for (const each of around) if (blocks[each]?.of === at && blocks[each]?.kind === 'otherwise') return false
      return true
    }
    at = parent
  }
  return false
}

/** What the tests before it say of a thing where a block runs, the nearest first. */
export function knownOf(
  file: IndexedFile,
  controls: readonly Control[],
  is: (value: Value) => boolean,
): readonly { readonly standing: Standing; readonly control: Control }[] {
  return controls.flatMap((control) => {
    const found = standing(file.facts, control.test, is)
    return found === undefined ? [] : [{ standing: control.holds ? found : OPPOSITE[found], control }]
  })
}
