// Values of a source with the names that they are given: assigned, put in an object, passed by name, or the default of a parameter.

import type { Call, FileFacts, Place, Value } from '../../facts/facts.ts'
import type { Loc } from '../../model/evidence.ts'
import type { Repository } from '../../repository/repository.ts'

export interface Named {
  /** Its last name: `password` of `config.db.password`. */
  readonly name: string
  readonly value: Value
  readonly place: Place
  /** What stands beside it in the same object or call, itself included. */
  readonly beside: readonly (readonly [name: string, Value])[]
  /** That it is passed to, however deep in an object. */
  readonly call: Call | undefined
  /** One side of a choice: `a ? b : c`, `a || b`. */
  readonly isChoice: boolean
}

const DEPTH_MAX = 6
const NOTHING: Named['beside'] = []
const KEPT = new WeakMap<FileFacts, readonly Named[]>()

/** Leaves that have a name and a value of their own; what is in objects, lists and choices is looked into. */
export function namedOf(facts: FileFacts): readonly Named[] {
  const kept = KEPT.get(facts)
  if (kept !== undefined) return kept
  const found: Named[] = []
  for (const assignment of facts.assignments) {
    const { target, value } = assignment
    const name = target.text.slice(target.text.lastIndexOf('.') + 1)
    collect(found, name, value, { place: assignment, beside: NOTHING, call: undefined, isChoice: false }, 0)
  }
  for (const call of facts.calls) {
    const at = { place: call, beside: call.named, call, isChoice: false }
    for (const [name, value] of call.named) collect(found, name, value, at, 0)
    for (const value of call.args)
      if (value.kind === 'object' || value.kind === 'list') collect(found, '', value, at, 0)
  }
  for (const exit of facts.exits)
    if (exit.value !== undefined)
      collect(found, '', exit.value, { place: exit, beside: NOTHING, call: undefined, isChoice: false }, 0)
  KEPT.set(facts, found)
  return found
}

type At = Pick<Named, 'place' | 'beside' | 'call' | 'isChoice'>

function collect(found: Named[], name: string, value: Value, at: At, depth: number): void {
  if (depth > DEPTH_MAX) return
  if (value.kind === 'object') {
    const inner = { ...at, beside: value.entries }
    for (const [each, one] of value.entries) collect(found, each, one, inner, depth + 1)
    for (const one of value.spreads ?? []) collect(found, '', one, at, depth + 1)
  } else if (value.kind === 'list') {
    // A list of texts under a name lists names more often than credentials.
    for (const item of value.items) if (item.kind === 'object') collect(found, name, item, at, depth + 1)
  } else if (value.kind === 'operation' && /^(\?:|&&|\|\||\?\?|and|or|if)$/.test(value.operator)) {
    const choice = { ...at, isChoice: true }
    collect(found, name, value.left, choice, depth + 1)
    collect(found, name, value.right, choice, depth + 1)
  } else if (name !== '' && (value.kind === 'string' || value.kind === 'boolean' || value.kind === 'path'))
    found.push({ name, value, ...at })
}

/** Where in a place of many lines a name has this text. */
export function locOf({ files }: Repository, file: string, { line, endLine }: Place, name: string, text: string): Loc {
  if (line !== endLine) {
    const lines = (files.read(file) ?? '').split('\n').slice(line - 1, endLine)
    const named = lines.findIndex((each) => each.includes(name) && each.includes(text))
    const at = named === -1 ? lines.findIndex((each) => each.includes(text)) : named
    if (at !== -1) return { file, line: line + at, endLine: line + at }
  }
  return { file, line, endLine: line }
}
