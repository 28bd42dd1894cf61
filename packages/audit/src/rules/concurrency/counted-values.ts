// Whether what is written is a sum or difference with what was read, also over names in between, wrappers of numbers and the methods of decimals; and methods of
// rows that count on a field of their own.
//   QK5. The field that is written has to be the one that was read, by its name; what stands in between is followed where it is bound once.

import type { Assignment, Call, Value } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import { lastName } from '../queries.ts'
import { bodyOf } from './flow.ts'
import { boundOnce } from './keys.ts'
import { entityOf } from './tables.ts'

const DEPTH_MAX = 6
const ADDS = /^(?:plus|minus|add|sub|subtract|addedTo|increase|decrease)$/
const WRAPS = /^(?:max|min|round|floor|ceil|abs|Number|parseInt|parseFloat|Decimal|BigInt|toNumber|toFixed|valueOf)$/

/** The field of an object, however deep, that is made of the same field of what was read. */
export function countedField(
  file: IndexedFile,
  fn: number,
  value: Value,
  is: (value: Value) => boolean,
  depth = 0,
): string | undefined {
  if (value.kind !== 'object' || depth > 3) return undefined
  for (const [name, each] of value.entries) {
    const found =
      each.kind === 'object'
        ? countedField(file, fn, each, is, depth + 1)
        : standingOf({ file, fn, is, field: name }, each, 0) === 'counted'
          ? name
          : undefined
    if (found !== undefined) return found
  }
  return undefined
}

interface Asked {
  readonly file: IndexedFile
  readonly fn: number
  readonly is: (value: Value) => boolean
  readonly field: string
}

/** `read`: it is the field as it was. `counted`: more or less than that. */
function standingOf(asked: Asked, value: Value, depth: number): 'read' | 'counted' | undefined {
  if (depth > DEPTH_MAX) return undefined
  const inner = (each: Value | undefined): 'read' | 'counted' | undefined =>
    each === undefined ? undefined : standingOf(asked, each, depth + 1)
  switch (value.kind) {
    case 'await':
      return inner(value.value)
    case 'path': {
      if (!asked.is(value)) return undefined
      const bound = value.path.text.includes('.') ? undefined : boundOnce(asked.file, asked.fn, value.path.text)
      return inner(bound) ?? (isNamed(lastName(value.path), asked.field) ? 'read' : undefined)
    }
    case 'operation': {
      const found = inner(value.left) ?? inner(value.right)
      if (found === undefined || !/^[+-]$/.test(value.operator))
        return /^(?:\|\||\?\?|\?:|[+-])$/.test(value.operator) ? found : undefined
      return isText(value.left) || isText(value.right) ? undefined : 'counted'
    }
    case 'call':
      return ofCall(asked, asked.file.facts.calls[value.call], inner)
    default:
      return undefined
  }
}

function ofCall(
  _: Asked,
  call: Call | undefined,
  inner: (value: Value | undefined) => 'read' | 'counted' | undefined,
): 'read' | 'counted' | undefined {
  if (call === undefined) return undefined
  const name = lastName(call.callee)
  const dot = call.callee.text.lastIndexOf('.')
  const before: Value | undefined =
    call.on !== -1
      ? { kind: 'call', call: call.on }
      : dot === -1
        ? undefined
        : { kind: 'path', path: { ...call.callee, text: call.callee.text.slice(0, dot) } }
  if (ADDS.test(name)) return inner(before) === undefined ? undefined : 'counted'
  if (!WRAPS.test(name)) return undefined
  const given = call.args.map(inner)
  return given.find((each) => each === 'counted') ?? given.find((each) => each !== undefined) ?? inner(before)
}

function isText(value: Value): boolean {
  return value.kind === 'string' || value.kind === 'template' || value.kind === 'list' || value.kind === 'object'
}

/** `credits`, `currentCredits`, `user_credits`: `credits`. */
function isNamed(name: string, field: string): boolean {
  const plain = (text: string): string => text.replace(/[_-]/g, '').toLowerCase()
  return plain(name) === plain(field) || plain(name).endsWith(plain(field)) || plain(field).endsWith(plain(name))
}

/** Classes about rows, which are none themselves. */
const NO_ROWS =
  /(?:Repository|Repo|Dao|DAO|Schema|Collection|Service|Controller|Module|Resolver|Dto|DTO|Input|Args|Error)$/

const CLASSES = new WeakMap<Program, ReadonlyMap<string, BlockRef | null>>()

/** The class that rows of a table are; undefined: none, or several are named so. */
export function classOfRows(program: Program, entity: string): BlockRef | undefined {
  let kept = CLASSES.get(program)
  if (kept === undefined) {
    const found = new Map<string, BlockRef | null>()
    for (const file of program.files)
      for (const { name, block } of program.file(file)?.facts.classes ?? []) {
        if (NO_ROWS.test(name)) continue
        const key = entityOf(name)
        found.set(key, found.has(key) ? null : { file, block })
      }
    kept = found
    CLASSES.set(program, kept)
  }
  return kept.get(entity) ?? undefined
}

/** What a method of a row does to a field of its own: `this.points -= used`. */
export function countsOwn(program: Program, owner: BlockRef, method: string): Assignment | undefined {
  const file = program.file(owner.file)
  const block = file?.methods(owner.block).get(method)
  if (file === undefined || block === undefined) return undefined
  return bodyOf(file, block).assignments.find(
    ({ target, operator, value }) =>
      target.isOwn && !target.text.includes('.') && /^[+-]=$/.test(operator) && !isText(value),
  )
}
