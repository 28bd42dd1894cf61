// Passwords that a route writes into a row as they came in.
//   QU12. Found in Python where a route makes the row with the parameter itself, or with a field of it, and adds that row. Silent where anything of the route or
//        of the row's class speaks of hashing, and where the name is given another value first.

import type { Call, FileFacts, Path, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { contentsOf } from '../contents.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { isAside } from './places.ts'

const PASSWORD = /^(?:password|passwd|pwd)$/i
const HASHING = /hash|bcrypt|argon|scrypt|pbkdf|crypt|set_password|make_password|digest/i
const ADDING = /(?:^|\.)(?:add|save|insert_one|insert)$/

export function* keptPasswords(repository: Repository): Iterable<Discovery> {
  const program = programOf(repository.facts)
  const seen = new Set<Call>()
  for (const { kind, handler } of entriesOf(repository)) {
    const file = kind === 'route' && handler?.file.endsWith('.py') === true ? program.file(handler.file) : undefined
    if (file === undefined || handler === undefined || isAside(handler.file)) continue
    const { calls } = contentsOf(file.facts, handler.block)
    if (calls.some(({ callee }) => HASHING.test(callee.text))) continue
    for (const call of calls) {
      if (seen.has(call) || !isKept(program, file, handler.block, call)) continue
      seen.add(call)
      yield discovery(file.facts, call)
    }
  }
}

function isKept(program: Program, file: IndexedFile, fn: number, call: Call): boolean {
  const { facts } = file
  const given = call.named.find(([name]) => PASSWORD.test(name))?.[1] ?? inDocument(call)
  if (given?.kind !== 'path' || given.path.root !== 'param' || !PASSWORD.test(lastName(given.path))) return false
  const { assignments } = contentsOf(facts, fn)
  if (assignments.some(({ target, isDeclaration }) => !isDeclaration && target.text === given.path.text)) return false
  if (/(?:^|\.)insert_one$/.test(call.callee.text)) return true
  return (
    /^[A-Z]/.test(lastName(call.callee)) && isAdded(facts, fn, call) && !isHashedByClass(program, file, call.callee)
  )
}

function inDocument({ callee, args: [document] }: Call): Value | undefined {
  if (!/(?:^|\.)insert_one$/.test(callee.text) || document?.kind !== 'object') return undefined
  return document.entries.find(([name]) => PASSWORD.test(name))?.[1]
}

/** `session.add(user)`, `user.save()`. */
function isAdded(facts: FileFacts, fn: number, made: Call): boolean {
  const name = made.target?.text
  const index = facts.calls.indexOf(made)
  return contentsOf(facts, fn).calls.some(
    ({ callee, args }) =>
      ADDING.test(callee.text) &&
      (callee.text === `${name}.save` ||
        args.some((arg) => (arg.kind === 'path' ? arg.path.text === name : arg.kind === 'call' && arg.call === index))),
  )
}

/** A setter, a validator or a constructor of the class may hash what it is given; a class that is not seen too. */
function isHashedByClass(program: Program, { facts }: IndexedFile, name: Path): boolean {
  const found = program.classNamed(facts.file, name)
  const own = found === undefined ? undefined : program.file(found.file)
  if (found === undefined || own === undefined) return true
  const speaks = (text: string, block: number): boolean => own.within(block, found.block) && HASHING.test(text)
  return (
    own.facts.calls.some(({ callee, block }) => speaks(callee.text, block)) ||
    own.facts.blocks.some(({ name: each, parent, kind }) => kind === 'function' && speaks(each, parent)) ||
    own.methods(found.block).has('__init__') ||
    [...own.methods(found.block).keys()].some((each) => PASSWORD.test(each))
  )
}

function discovery(facts: FileFacts, call: Call): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    symptom: 'A copy of the table is a list of passwords.',
    rootCause: 'The password is stored as it was typed.',
    evidence: [seenAt(facts.file, call, 'The password that came in is written into the row as it is.')],
  }
}
