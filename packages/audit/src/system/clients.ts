// Clients: what is made by a library to make calls with, and where it is used: by the names, fields and functions that hand it on.
//   QJ8. What a client lends (a connection, a database, a collection of it) is that client, however long the chain.

import type { Assignment, Call, Path, Place, Value } from '../facts/facts.ts'
import { LENDING_NAMES, METHOD_NAMES, makerNamed } from '../knowledge/index.ts'
import type { CallSite, IndexedFile, Program } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { givenClient, libraryOf, type Making, makeClient } from './client-makers.ts'
import type { OutboundClient } from './contract.ts'
import { family, fullName, importsLibrary } from './names.ts'
import type { ProcessDefaults } from './process-defaults.ts'
import { findSubclasses } from './subclassed.ts'

export interface Clients {
  readonly all: readonly OutboundClient[]
  madeBy(call: Call): OutboundClient | undefined
  /** The client that a call is made with, if it is one that leaves the process. */
  usedBy(file: IndexedFile, site: CallSite): { readonly client: OutboundClient; readonly method: string } | undefined
}

type Names = Map<string, OutboundClient>

class FoundClients implements Clients {
  readonly #program: Program
  readonly #made = new Map<Call, OutboundClient>()
  /** Calls of functions that give a client out. */
  readonly #lent = new Map<Call, OutboundClient>()
  /** By file: what names are bound to. */
  readonly #names = new Map<string, Names>()
  /** Whether calls of any name, and calls of a bare name, may be of a client. */
  #isRpc = false
  #isCallable = false
  readonly #imported = new Map<string, OutboundClient | undefined>()

  constructor(program: Program) {
    this.#program = program
  }

  get all(): readonly OutboundClient[] {
    return [...this.#made.values()]
  }

  add(call: Call, client: OutboundClient): void {
    this.#made.set(call, client)
  }

  #note({ kind, library }: OutboundClient): void {
    this.#isRpc ||= kind === 'grpc'
    this.#isCallable ||= CALLABLE.has(library)
  }

  lend(call: Call, client: OutboundClient): void {
    if (!this.#made.has(call)) this.#lent.set(call, client)
  }

  bind(path: string, key: string, client: OutboundClient): void {
    const names: Names = this.#names.get(path) ?? new Map()
    this.#names.set(path, names)
    this.#note(client)
    if (!names.has(key)) names.set(key, client)
  }

  madeBy(call: Call): OutboundClient | undefined {
    return this.#made.get(call)
  }

  usedBy(file: IndexedFile, { file: path, call }: CallSite): ReturnType<Clients['usedBy']> {
    const { text } = call.callee
    const dot = text.lastIndexOf('.')
    // Asked of every call there is: most are told by their name.
    if (dot === -1 ? !this.#isCallable : !this.#isRpc && !METHOD_NAMES.has(text.slice(dot + 1))) return undefined
    const before = call.on === -1 ? undefined : file.facts.calls[call.on]
    const made =
      before === undefined || !text.startsWith('().') ? undefined : (this.#made.get(before) ?? this.#lent.get(before))
    if (made !== undefined) return asked(made, text.slice('().'.length))
    if (dot === -1) {
      // `const api = axios.create(); api(config)`.
      const bound = text === '' ? undefined : this.named(file, path, call.callee, call.block)
      return bound !== undefined && CALLABLE.has(bound.library) ? { client: bound, method: 'request' } : undefined
    }
    // `client.chat.completions.create`: the longest method that the library knows.
    const parts = text.split('.')
    for (let count = parts.length - 1; count >= 1 && parts.length - count <= 3; count--) {
      const bound = this.named(file, path, { ...call.callee, text: parts.slice(0, count).join('.') }, call.block)
      if (bound !== undefined) return asked(bound, parts.slice(count).join('.'))
    }
    return undefined
  }

  /** What a path is bound to. */
  named(file: IndexedFile, path: string, name: Path, block: number): OutboundClient | undefined {
    if (name.root.startsWith('import:')) return this.#ofImport(path, name)
    const names = this.#names.get(path)
    if (names === undefined) return undefined
    for (const key of keysOf(file, name, block)) {
      const found = names.get(key)
      if (found !== undefined) return found
    }
    return undefined
  }

  #ofImport(path: string, name: Path): OutboundClient | undefined {
    if (this.#names.size === 0) return undefined
    const key = `${path}\n${name.root}\n${name.text}`
    if (this.#imported.has(key)) return this.#imported.get(key)
    const at = this.#program.definition(path, name)
    const found = at === undefined ? undefined : this.#names.get(at.file)?.get(`m.${at.name}`)
    this.#imported.set(key, found)
    return found
  }
}

const CALLABLE = new Set(['axios', 'got', 'ky', 'request'])

function asked(client: OutboundClient, method: string): ReturnType<Clients['usedBy']> {
  const { knowledge } = client
  const isMethod =
    knowledge.kind === 'grpc'
      ? /^[A-Za-z]\w*$/.test(method) && !NOT_RPC.test(method)
      : knowledge.methods.includes(method)
  return isMethod ? { client, method } : undefined
}

const NOT_RPC =
  /^(?:close|waitForReady|getChannel|makeUnaryRequest|getService|getClientByServiceName|on|once|end|write|cancel|bind|constructor)$/

/** Under which keys a name of a file may be bound, seen from a block: the innermost first. */
function keysOf(file: IndexedFile, { text, isOwn, root }: Path, block: number): readonly string[] {
  if (isOwn) return [`c${file.classOf(block)}.${text}`]
  const keys: string[] = []
  if (root === 'local' || root === 'param' || root === '')
    for (let at = file.functionOf(block); at !== -1; at = file.functionOf(file.facts.blocks[at]?.parent ?? -1))
      keys.push(`f${at}.${text}`)
  keys.push(`m.${text}`)
  return keys
}

function keyOf(file: IndexedFile, target: Path, block: number): string | undefined {
  if (target.text === '' || target.text === '()') return undefined
  if (target.isOwn) return `c${file.classOf(block)}.${target.text}`
  if (target.root === 'module' || target.root === 'global' || target.root.startsWith('import:'))
    return `m.${target.text}`
  const fn = file.functionOf(block)
  return fn === -1 ? `m.${target.text}` : `f${fn}.${target.text}`
}

export function findClients(repository: Repository, program: Program, defaults: ProcessDefaults): Clients {
  const found = new FoundClients(program)
  const touched = new Set<string>()
  const subclasses = findSubclasses(program)
  for (const path of program.files) {
    const file = program.file(path)
    if (file === undefined) continue
    for (const call of file.facts.calls) {
      const library = libraryOf(file, call) ?? subclasses.makerOf({ file: path, call })
      if (library === undefined) continue
      found.add(call, makeClient({ repository, program, defaults, file }, { file: path, call }, library))
      touched.add(path)
    }
  }
  for (const path of touched) bindMade(found, program.file(path) as IndexedFile, path)
  for (const path of program.files) {
    const file = program.file(path)
    if (
      file !== undefined &&
      importsLibrary(file.facts) &&
      bindTypes(found, { repository, program, defaults, file }, path)
    )
      touched.add(path)
  }
  for (const path of touched) bindNames(found, program.file(path) as IndexedFile, path)
  for (const path of new Set(program.calls(LENDING_NAMES).map(({ file }) => file)))
    if (bindLent(found, program.file(path) as IndexedFile, path)) touched.add(path)
  handOut(found, program, touched)
  return found
}

/** Parameters and fields that are annotated as a client: made elsewhere, so how is known only where the library has no way to say it. */
function bindTypes(found: FoundClients, making: Making, path: string): boolean {
  const { file } = making
  const { blocks, assignments } = file.facts
  let isTouched = false
  const bind = (type: Path | null | undefined, key: string, place: Place): void => {
    const name = type === null || type === undefined ? undefined : fullName(file, type)
    const library = name === undefined ? undefined : makerNamed(family(file.facts.language), name)
    if (type === null || type === undefined || library === undefined) return
    found.bind(path, key, givenClient(making, path, place, type, library))
    isTouched = true
  }
  for (const [index, { fn, line }] of blocks.entries())
    for (const [at, type] of (fn?.types ?? []).entries())
      bind(type, `f${index}.${fn?.params[at] ?? ''}`, { line, endLine: line, block: index })
  for (const { type, target, block, line, endLine } of assignments)
    if (type !== undefined) bind(type, `c${file.classOf(block)}.${target.text}`, { line, endLine, block })
  return isTouched
}

/** The call that a value is, or may be: of `a ?? make()`, `await make()`. */
function madeIn(value: Value): readonly number[] {
  switch (value.kind) {
    case 'call':
      return [value.call]
    case 'await':
      return madeIn(value.value)
    case 'operation':
      return [...madeIn(value.left), ...madeIn(value.right)]
    default:
      return []
  }
}

/** What is made says more than what a name is annotated as, so it comes first. */
function bindMade(found: FoundClients, file: IndexedFile, path: string): void {
  for (const assignment of file.facts.assignments)
    for (const index of madeIn(assignment.value)) {
      const call = file.facts.calls[index]
      if (call !== undefined) bindTo(found, file, path, assignment, found.madeBy(call))
    }
}

/** `this.client = client`, once: what was made is handed on. */
function bindNames(found: FoundClients, file: IndexedFile, path: string): void {
  for (const assignment of file.facts.assignments)
    if (assignment.value.kind === 'path')
      bindTo(found, file, path, assignment, found.named(file, path, assignment.value.path, assignment.block))
}

/** `const connection = await pool.connect()`, `const orders = client.db('shop').collection('orders')`. */
function bindLent(found: FoundClients, file: IndexedFile, path: string): boolean {
  let isTouched = false
  for (const assignment of file.facts.assignments)
    for (const index of madeIn(assignment.value)) {
      const pool = lenderOf(found, file, path, file.facts.calls[index] as Call)
      if (pool === undefined) continue
      bindTo(found, file, path, assignment, pool)
      isTouched = true
    }
  return isTouched
}

/** QJ8. The client that lends what a call answers, also through what that lends itself. */
function lenderOf(
  found: FoundClients,
  file: IndexedFile,
  path: string,
  { callee, block, on }: Call,
  hops = 0,
): OutboundClient | undefined {
  const dot = callee.text.lastIndexOf('.')
  const method = callee.text.slice(dot + 1)
  if (dot === -1 || hops > 2 || !LENDING_NAMES.has(method)) return undefined
  const before = callee.text.startsWith('().') ? file.facts.calls[on] : undefined
  const pool =
    before === undefined
      ? found.named(file, path, { ...callee, text: callee.text.slice(0, dot) }, block)
      : lenderOf(found, file, path, before, hops + 1)
  return pool?.knowledge.lends?.includes(method) === true ? pool : undefined
}

function bindTo(
  found: FoundClients,
  file: IndexedFile,
  path: string,
  { target, block }: Assignment,
  client: OutboundClient | undefined,
): void {
  const key = client === undefined ? undefined : keyOf(file, target, block)
  if (key !== undefined && client !== undefined) found.bind(path, key, client)
}

/** Functions that give a client out: what calls them has it. */
function handOut(found: FoundClients, program: Program, touched: ReadonlySet<string>): void {
  for (const path of touched) {
    const file = program.file(path)
    if (file === undefined) continue
    for (const exit of file.facts.exits) {
      if (exit.value === undefined || (exit.kind !== 'return' && exit.kind !== 'yield')) continue
      const client = clientIn(found, file, path, exit.value, exit.block)
      const block = file.functionOf(exit.block)
      if (client === undefined || block === -1 || file.facts.blocks[block]?.name === '') continue
      for (const site of program.callers({ file: path, block })) receive(found, program, site, client)
    }
  }
}

function clientIn(
  found: FoundClients,
  file: IndexedFile,
  path: string,
  value: Value,
  block: number,
): OutboundClient | undefined {
  if (value.kind === 'path') return found.named(file, path, value.path, block)
  for (const index of madeIn(value)) {
    const call = file.facts.calls[index]
    const made = call === undefined ? undefined : found.madeBy(call)
    if (made !== undefined) return made
  }
  return undefined
}

function receive(found: FoundClients, program: Program, { file: path, call }: CallSite, client: OutboundClient): void {
  const file = program.file(path)
  if (file === undefined) return
  found.lend(call, client)
  const key = call.target === undefined ? undefined : keyOf(file, call.target, call.block)
  if (key !== undefined) found.bind(path, key, client)
}
