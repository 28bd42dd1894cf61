// What people send goes into the database as it came, in a component where nothing looks at input: the whole body as a record, or its fields one by one.
// A whole body is followed into functions that it is given to. One finding for each component and kind.
//   OS1. A component that loads a validator, or has functions that are named for validating, is silent; so is a component that reaches code of the repository that does.
//   OS2. A whole body as a record is strong where the table is known to have a field that is not for the sender to choose, and nothing overrides that; else it is
//        for review, like field by field, where the function itself does not test what it was sent.

import type { Call, FileFacts, Path, Value } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { contentsOf, writesIn } from '../contents.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { folderOfComponent, validates } from './validators.ts'

const BODY =
  /^(?:(?:req|request|ctx\.request|context\.request|c\.req)\.body|(?:flask\.)?request\.(?:json|form|get_json|POST))(?=\.|$)/
const WRITES =
  /^(?:create|createMany|insert|insertOne|insertMany|insert_one|insert_many|bulkCreate|update|updateOne|updateMany|update_one|findByIdAndUpdate|findOneAndUpdate|findOneAndReplace|replaceOne|replace_one|upsert|save|build)$/
const HOPS_MAX = 2
const PLACES_MAX = 20
/** For the system to say, not for whoever sends. */
const KEPT_BACK =
  /^(?:roles?|is_?(?:super_?)?admin|is_?staff|is_?superuser|permissions?|balance|credits?|wallet|is_?verified|verified|email_?verified|is_?approved|owner_?id|user_?id|tenant_?id|created_?by)$/i

interface Written {
  readonly facts: FileFacts
  readonly call: Call
  readonly isWhole: boolean
  /** The field that nobody should choose, where it is known. */
  readonly field: string | undefined
}

export function* unvalidatedBodies(repository: Repository): Iterable<Discovery> {
  const finder = new Finder(repository)
  const open = new Map<string, FileFacts[]>()
  const closed = new Set<string>()
  const folders = new Map<FileFacts, string>()
  for (const facts of repository.facts.values()) {
    const folder = folderOfComponent(repository, facts)
    const component = `${facts.language === 'python' ? 'python' : 'javascript'} ${folder}`
    folders.set(facts, component)
    if (validates(facts)) closed.add(component)
    else open.set(component, [...(open.get(component) ?? []), facts])
  }
  for (const [component, files] of open) {
    if (closed.has(component)) continue
    const found = files.flatMap((facts) => [...finder.writtenIn(facts)])
    // Shared code of another component that validates may be what this one is called through.
    if (found.length === 0 || files.some((facts) => finder.leadsTo(facts, folders, closed))) continue
    const name = component.slice(component.indexOf(' ') + 1)
    const strong = found.filter(({ field }) => field !== undefined)
    if (strong.length > 0) yield discovery(strong, name, 'strong')
    else yield discovery(found, name, 'review')
  }
}

class Finder {
  readonly #repository: Repository
  readonly #program: Program

  constructor(repository: Repository) {
    this.#repository = repository
    this.#program = programOf(repository.facts)
  }

  leadsTo(
    { file, imports }: FileFacts,
    components: ReadonlyMap<FileFacts, string>,
    closed: ReadonlySet<string>,
  ): boolean {
    return imports.some(({ module, isTypeOnly }) => {
      const target = isTypeOnly ? undefined : this.#program.module(file, module)
      const facts = target === undefined ? undefined : this.#repository.facts.get(target)
      return facts !== undefined && closed.has(components.get(facts) ?? '')
    })
  }

  *writtenIn(facts: FileFacts): Iterable<Written> {
    const file = this.#program.file(facts.file)
    if (
      file === undefined ||
      (!facts.calls.some((call) => readsBody(call)) && !facts.assignments.some(({ value }) => isBody(value)))
    )
      return
    for (const call of facts.calls) {
      const fn = file.functionOf(call.block)
      if (fn === -1) continue
      for (const value of [...givenTo(call), ...this.#mixedIn(facts, call)]) {
        const sent = sentIn(facts, fn, value)
        if (sent === undefined) continue
        if (sent.isWhole) yield* this.#whole({ file: facts.file, block: fn }, call, sent.overridden, HOPS_MAX)
        else if (!isTested(facts, fn) && this.#isWrite(file, call))
          yield { facts, call, isWhole: false, field: undefined }
      }
    }
  }

  /** `Person(**data)`: facts say only that something is mixed in. */
  #mixedIn({ file, language }: FileFacts, { hasSpread, line, endLine, args, named, callee }: Call): readonly Value[] {
    if (language !== 'python' || !hasSpread || args.length > 0) return []
    const text = (this.#repository.files.read(file) ?? '')
      .split('\n')
      .slice(line - 1, endLine)
      .join('\n')
    const found = /\*\*\s*((?:flask\.)?request\.\w+|\w+)(?:\(\))?\s*,?\s*\)/.exec(text)?.[1]
    const path: Path = { text: found ?? '', isOwn: false, root: 'local' }
    return found === undefined || callee.text === ''
      ? []
      : [{ kind: 'object', entries: named, hasSpread: true, spreads: [{ kind: 'path', path }] }]
  }

  *#whole({ file: path }: BlockRef, call: Call, overridden: ReadonlySet<string>, hops: number): Iterable<Written> {
    const file = this.#program.file(path)
    if (file === undefined) return
    if (this.#isWrite(file, call)) {
      yield { facts: file.facts, call, isWhole: true, field: this.#keptBack(file, call, overridden) }
      return
    }
    const target = hops === 0 ? undefined : this.#program.target({ file: path, call })
    const facts = target === undefined ? undefined : this.#program.file(target.file)?.facts
    if (target === undefined || facts === undefined) return
    const body = new Set(call.args.flatMap((arg, at) => (isWholeBody(file.facts, call.block, arg) ? [at] : [])))
    const names = (facts.blocks[target.block]?.fn?.params ?? []).filter((_, at) => body.has(at))
    const own = contentsOf(facts, target.block)
    // What is taken out of it, or put into it, on the way: it is looked at after all.
    if (
      names.length === 0 ||
      own.assignments.some(({ target: { text } }) => names.some((name) => text.startsWith(`${name}.`)))
    )
      return
    for (const inner of own.calls)
      for (const value of givenTo(inner)) {
        const parts = value.kind === 'object' ? (value.spreads ?? []) : [value]
        if (parts.some((part) => part.kind === 'path' && names.includes(part.path.text)))
          yield* this.#whole(target, inner, new Set([...overridden, ...keysOf(value)]), hops - 1)
      }
  }

  #isWrite(file: IndexedFile, call: Call): boolean {
    const name = lastName(call.callee)
    if (/^(?:insertOne|insertMany|insert_one|insert_many|replace_one)$/.test(name)) return true
    if (!WRITES.test(name) && !call.isNew && !/^[A-Z]\w*$/.test(name)) return false
    const found = outboundOf(this.#repository).at({ file: file.facts.file, call })
    if (found !== undefined) return found.effect === 'write' && /^(?:postgres|mysql|mongodb)$/.test(found.kind)
    return this.#modelOf(file, call) !== undefined || /(?:^|\.)prisma\.\w+\.\w+$/.test(call.callee.text)
  }

  /** The file that defines the model that is called or made. */
  #modelOf({ facts }: IndexedFile, { callee, block, isNew }: Call): string | undefined {
    const text =
      isNew || /^[A-Z]\w*$/.test(callee.text)
        ? callee.text
        : callee.text.slice(0, Math.max(0, callee.text.lastIndexOf('.')))
    const name: Path = { ...callee, text: text.replace(/\.objects$/, '') }
    if (name.text === '') return undefined
    const made = this.#program.created(facts.file, name, block)
    if (made !== undefined) return /^(?:model|define)$/.test(lastName(made.call.callee)) ? made.file : undefined
    const owner = this.#program.classNamed(facts.file, name)
    const of = owner === undefined ? undefined : this.#program.file(owner.file)
    return owner !== undefined &&
      of?.bases(owner.block).some((base) => /(?:^|\.)(?:Model|BaseEntity|Base|Document)$/.test(base)) === true
      ? owner.file
      : undefined
  }

  #keptBack(file: IndexedFile, call: Call, overridden: ReadonlySet<string>): string | undefined {
    const model = this.#modelOf(file, call)
    const schemas = this.#repository.configuration.schemas.filter((schema) => schema.file === model)
    const [schema] = schemas
    return schemas.length === 1
      ? schema?.columns.find((name) => KEPT_BACK.test(name) && !overridden.has(name))
      : undefined
  }
}

interface Sent {
  readonly isWhole: boolean
  readonly overridden: ReadonlySet<string>
}

function givenTo({ args, named }: Call): readonly Value[] {
  return [...args, ...named.map(([, value]) => value)].flatMap((value) => [
    value,
    ...(value.kind === 'object'
      ? value.entries.filter(([name]) => /^(?:data|\$set|values)$/.test(name)).map(([, each]) => each)
      : []),
  ])
}

function keysOf(value: Value): readonly string[] {
  return value.kind === 'object' ? value.entries.map(([name]) => name) : []
}

function isBody(value: Value): boolean {
  return (value.kind === 'path' && BODY.test(value.path.text)) || (value.kind === 'await' && isBody(value.value))
}

function readsBody(call: Call): boolean {
  return (
    BODY.test(call.callee.text) ||
    givenTo(call).some(
      (value) =>
        isBody(value) ||
        (value.kind === 'object' && [...(value.spreads ?? []), ...value.entries.map(([, each]) => each)].some(isBody)),
    )
  )
}

/** Of the body, whole, also by one name: `const data = req.body`. */
function isWholeBody(facts: FileFacts, block: number, value: Value): boolean {
  const parts = value.kind === 'object' ? (value.spreads ?? []) : [value]
  return parts.some((part) => {
    const text = part.kind === 'path' ? meantBy(facts, block, part.path) : undefined
    return text !== undefined && BODY.exec(text)?.[0] === text
  })
}

/** What is sent of the body; undefined: nothing. */
function sentIn(facts: FileFacts, fn: number, value: Value): Sent | undefined {
  if (isWholeBody(facts, fn, value)) return { isWhole: true, overridden: new Set(keysOf(value)) }
  const parts = value.kind === 'object' ? value.entries.map(([, each]) => each) : []
  const isField = parts.some((part) => {
    const text = part.kind === 'path' ? meantBy(facts, fn, part.path) : undefined
    return text !== undefined && BODY.test(text)
  })
  return isField ? { isWhole: false, overridden: new Set() } : undefined
}

/** What a name of the function was bound to, where it was bound once. */
function meantBy(facts: FileFacts, block: number, path: Path): string | undefined {
  if (BODY.test(path.text)) return path.text
  let fn = block
  while (fn > 0 && facts.blocks[fn]?.kind !== 'function') fn = facts.blocks[fn]?.parent ?? 0
  const [first = '', ...rest] = path.text.split('.')
  if (fn <= 0 || path.isOwn || rest.length > 1) return undefined
  const writes = writesIn(facts, fn, first)
  const value = writes.length === 1 ? writes[0]?.value : undefined
  const inner = value?.kind === 'await' ? value.value : value
  if (inner?.kind === 'call') {
    const text = facts.calls[inner.call]?.callee.text ?? ''
    return BODY.test(text) ? [text, ...rest].join('.') : undefined
  }
  return inner?.kind === 'path' && BODY.test(inner.path.text) ? [inner.path.text, ...rest].join('.') : undefined
}

const TESTED = new WeakMap<FileFacts, Map<number, boolean>>()

/** A branch of the function, or of one around it, asks for something that was sent. */
function isTested(facts: FileFacts, fn: number): boolean {
  const kept = TESTED.get(facts) ?? new Map<number, boolean>()
  TESTED.set(facts, kept)
  const found = kept.get(fn) ?? findTest(facts, fn)
  kept.set(fn, found)
  return found
}

function findTest(facts: FileFacts, fn: number): boolean {
  for (let at = fn; at > 0; at = facts.blocks[at]?.parent ?? 0) {
    const isAsked = contentsOf(facts, at).blocks.some((block) => {
      const { kind, test } = facts.blocks[block] ?? {}
      return kind === 'branch' && test !== undefined && asks(facts, at, test, 0)
    })
    if (facts.blocks[at]?.kind === 'function' && isAsked) return true
  }
  return false
}

function asks(facts: FileFacts, fn: number, value: Value, depth: number): boolean {
  if (depth > 12) return false
  const inner = (each: Value): boolean => asks(facts, fn, each, depth + 1)
  if (value.kind === 'path') return BODY.test(meantBy(facts, fn, value.path) ?? '')
  if (value.kind === 'not' || value.kind === 'await') return inner(value.value)
  if (value.kind === 'operation') return inner(value.left) || inner(value.right)
  if (value.kind === 'list') return value.items.some(inner)
  if (value.kind === 'call') {
    const call = facts.calls[value.call]
    return call !== undefined && (inner({ kind: 'path', path: call.callee }) || call.args.some(inner))
  }
  return value.kind === 'other' && /\bbody\b/.test(value.text)
}

function discovery(found: readonly Written[], component: string, tier: 'strong' | 'review'): Discovery {
  const [first] = found as [Written]
  const { field } = first
  const where = component === '' ? 'the program' : component
  return {
    tier,
    severity: tier === 'strong' ? 'high' : 'medium',
    title: first.isWhole ? 'A body is stored as it was sent' : 'Input is stored without being looked at',
    cause: `input of ${where}`,
    symbol: symbolOf(first.facts, first.call.block),
    symptom:
      field === undefined
        ? 'What is missing, of the wrong kind or never asked for is stored, and fails later where it is read.'
        : `Whoever sends the request also chooses ${field}.`,
    rootCause: `Nothing in ${where} validates what it is sent${first.isWhole ? ', and the whole body becomes the record' : ''}.`,
    evidence: found
      .slice(0, PLACES_MAX)
      .map(({ facts, call, isWhole }) =>
        seenAt(
          facts.file,
          call,
          isWhole ? 'The body is written as it was sent.' : 'Fields of the body are written as they were sent.',
        ),
      ),
  }
}
