// What runs because of what: which functions are reached from requests and messages, from timers, from start-up and from shutdown, and which of their names hold
// something that differs from request to request. Calls are followed through the program; a method that it cannot resolve is followed where only one class of
// the repository has a method of that name.
// What is called only while something is not there yet (`if cache is None: cache = load()`) runs once, whoever comes first: that is start-up, not traffic.
// Invariants:
//   TF1. A function is reached by a cause only where a chain of calls, callbacks and closures leads to it from an entry of that cause.
//   TF2. Every question ends: a function is looked at again only when it is reached by something new.

import type { Call, Path, Value } from '../facts/facts.ts'
import { type BlockRef, type CallSite, type IndexedFile, type Program, programOf } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { bodyOf, carriedIn, isCarried, type Names, TOOL } from './carried.ts'
import { type Entry, entriesOf } from './entries.ts'

/** traffic: somebody outside asked, or sent a message. */
export const CAUSES = ['traffic', 'timer', 'startup', 'shutdown'] as const
export type Cause = (typeof CAUSES)[number]

export interface Traffic {
  readonly program: Program
  runs(fn: BlockRef, cause: Cause): boolean
  /** Whether a value differs from request to request, where the function that it is in runs by traffic. */
  varies(file: string, block: number, value: Value): boolean
}

const KEPT = new WeakMap<Repository['facts'], Traffic>()

/** Found once for a repository, and kept. */
export function trafficOf(repository: Pick<Repository, 'facts'>): Traffic {
  const kept = KEPT.get(repository.facts) ?? new Reached(repository)
  KEPT.set(repository.facts, kept)
  return kept
}

const CAUSE_OF: Readonly<Record<Entry['kind'], Cause>> = {
  route: 'traffic',
  middleware: 'traffic',
  consumer: 'traffic',
  listener: 'traffic',
  interval: 'timer',
  schedule: 'timer',
  startup: 'startup',
  signal: 'shutdown',
  shutdown: 'shutdown',
}

/** What is given a function that it calls for every message, whatever the library. */
const SUBSCRIBING = /(?:^|\.|_)(?:p?subscribe|consume|add_?consumer|register_?consumer|each_?message|on_?message)$/i
const EVENTS = /^(?:on|addListener|addEventListener)$/
/** Events of a life, not of traffic. */
const ONCE =
  /^(?:ready|connect|listening|open|exit|beforeExit|uncaughtException|unhandledRejection|SIG[A-Z]+|close|end|error|finish)$/
/** Events of a client's own connection: however often they come, nobody outside makes them. */
const OF_CLIENT = /^(?:ready|online|listening|reconnect(?:ing|ed)?)$/
/** A name that only one class has says which one is meant, unless it is a word that everything has. */
const NAME_LENGTH_MIN = 6
const COMMON =
  /^(?:execute|process|handle|delete|remove|update|create|insert|append|publish|connect|disconnect|initialize|shutdown|subscribe|validate|default|toString|forEach|filter|request|commit|rollback|exists|encode|decode|format|values|entries)$/

/** What a decorator is given. */
const DECORATED = /^(?:func|fn|f|function|wrapped|target|method|cls|klass|view|view_func|handler|callback|coro|task)$/i

interface Task {
  readonly fn: BlockRef
  readonly cause: Cause
}

class Reached implements Traffic {
  readonly program: Program
  readonly #causes = new Map<string, Set<Cause>>()
  readonly #names = new Map<string, Set<string>>()
  readonly #carried = new Map<string, Names>()
  readonly #waiting: Task[] = []
  readonly #methods: ReadonlyMap<string, BlockRef | undefined>

  constructor(repository: Pick<Repository, 'facts'>) {
    this.program = programOf(repository.facts)
    this.#methods = methodsOf(this.program)
    for (const entry of entriesOf(repository)) this.#enter(entry)
    for (const path of this.program.files) this.#beginFile(path)
    for (let task = this.#waiting.pop(); task !== undefined; task = this.#waiting.pop()) this.#follow(task)
  }

  runs(fn: BlockRef, cause: Cause): boolean {
    return this.#causes.get(keyOf(fn))?.has(cause) === true
  }

  varies(path: string, block: number, value: Value): boolean {
    const file = this.program.file(path)
    if (file === undefined) return false
    const fn = file.functionOf(block)
    return fn !== -1 && isCarried(file, value, this.#carriedBy(path, file, fn))
  }

  #enter({ kind, name, site, handler, before }: Entry): void {
    const cause = kind === 'listener' && OF_CLIENT.test(name) ? 'startup' : CAUSE_OF[kind]
    if (handler !== undefined) this.#reach(handler, cause, this.#given(handler, kind === 'listener' && ONCE.test(name)))
    const file = this.program.file(site.file)
    if (file === undefined || cause !== 'traffic') return
    // Middleware that a function of the repository makes: what that returns runs for each request.
    for (const value of [...site.call.args, ...before]) this.#made(site, file, value)
  }

  #made(site: CallSite, file: IndexedFile, value: Value): void {
    const call = value.kind === 'call' ? file.facts.calls[value.call] : undefined
    const maker = call === undefined ? undefined : this.program.target({ file: site.file, call })
    if (maker !== undefined) this.#inner(maker)
  }

  /** Functions that a function makes and hands out: decorators, middleware. What is given the function that is decorated runs once, when it is. */
  #inner(maker: BlockRef): void {
    const file = this.program.file(maker.file)
    if (file === undefined) return
    for (const block of bodyOf(file, maker.block).nested) {
      const inner = { file: maker.file, block }
      const [only, ...others] = file.facts.blocks[block]?.fn?.params ?? []
      const isDecorating = only !== undefined && others.length === 0 && DECORATED.test(only)
      this.#reach(inner, isDecorating ? 'startup' : 'traffic', isDecorating ? [] : this.#given(inner, false))
      if (bodyOf(file, block).nested.length > 0) this.#inner(inner)
    }
  }

  #given({ file, block }: BlockRef, isOnce: boolean): readonly string[] {
    const fn = this.program.file(file)?.facts.blocks[block]?.fn
    if (fn === undefined || isOnce) return []
    return fn.params.flatMap(namesOf).filter((name) => !TOOL.test(name))
  }

  /** What the module's own code calls runs at start-up, and what it hands to a subscription runs for each message. */
  #beginFile(path: string): void {
    const file = this.program.file(path)
    if (file === undefined) return
    for (const call of file.facts.calls) {
      const isOutside = file.functionOf(call.block) === -1
      const target = isOutside ? this.program.target({ file: path, call }) : undefined
      if (target !== undefined) this.#reach(target, 'startup', [])
      if (SUBSCRIBING.test(call.callee.text) || isListening(call)) this.#subscribed(path, file, call)
    }
    for (const { fn } of file.facts.blocks)
      for (const decorator of fn?.decorators ?? []) {
        const maker = this.program.target({ file: path, call: decorator })
        if (maker !== undefined) this.#inner(maker)
      }
  }

  #subscribed(path: string, file: IndexedFile, call: Call): void {
    for (const value of [...call.args, ...call.named.map(([, each]) => each)]) {
      const handler = this.#function(path, file, value, call)
      if (handler !== undefined) this.#reach(handler, 'traffic', this.#given(handler, false))
    }
  }

  #function(path: string, file: IndexedFile, value: Value, { block, line, endLine }: Call): BlockRef | undefined {
    if (value.kind === 'function') return { file: path, block: value.block }
    if (value.kind === 'call') {
      const bound = file.facts.calls[value.call]
      if (bound?.callee.text.endsWith('.bind') !== true) return undefined
      const callee = { ...bound.callee, text: bound.callee.text.slice(0, -'.bind'.length) }
      return this.program.target({ file: path, call: { ...bound, callee } })
    }
    if (value.kind !== 'path' || value.path.text === '') return undefined
    const call: Call = {
      ...{ line, endLine, block, callee: value.path, args: [], named: [], hasSpread: false },
      ...{ isNew: false, use: 'dropped', on: -1, target: undefined },
    }
    return this.program.target({ file: path, call })
  }

  #reach(fn: BlockRef, cause: Cause, names: readonly string[]): void {
    const key = keyOf(fn)
    const causes = this.#causes.get(key) ?? new Set()
    const known = this.#names.get(key) ?? new Set()
    const before = causes.size + known.size
    causes.add(cause)
    for (const name of names) known.add(name)
    if (causes.size + known.size === before) return
    this.#causes.set(key, causes)
    this.#names.set(key, known)
    this.#carried.delete(key)
    this.#waiting.push({ fn, cause })
  }

  #carriedBy(path: string, file: IndexedFile, fn: number): Names {
    const key = keyOf({ file: path, block: fn })
    const kept = this.#carried.get(key)
    if (kept !== undefined) return kept
    const parent = file.facts.blocks[fn]?.parent ?? -1
    const outer = parent < 0 || parent >= fn ? -1 : file.functionOf(parent)
    const given = new Set(this.#names.get(key))
    // A closure sees what is carried around it, but for what its own parameters hide.
    if (outer !== -1 && outer !== fn) {
      const own = new Set(file.facts.blocks[fn]?.fn?.params.flatMap(namesOf))
      for (const name of this.#carriedBy(path, file, outer)) if (!own.has(name)) given.add(name)
    }
    const carried = carriedIn(file, fn, given)
    this.#carried.set(key, carried)
    return carried
  }

  #follow({ fn, cause }: Task): void {
    const file = this.program.file(fn.file)
    if (file === undefined) return
    const names = cause === 'traffic' ? this.#carriedBy(fn.file, file, fn.block) : new Set<string>()
    const { calls, nested } = bodyOf(file, fn.block)
    for (const block of nested) {
      this.#carried.delete(keyOf({ file: fn.file, block }))
      this.#reach(
        { file: fn.file, block },
        cause,
        [...names].filter((name) => !isHidden(file, block, name)),
      )
    }
    for (const call of calls) this.#followCall(fn.file, file, call, cause, names)
  }

  #followCall(path: string, file: IndexedFile, call: Call, given: Cause, carried: Names): void {
    const isFirst = given === 'traffic' && isFirstTime(file, call)
    const cause = isFirst ? 'startup' : given
    const names = isFirst ? NONE : carried
    const { callee, args, named } = call
    const target = this.program.target({ file: path, call }) ?? this.#onlyMethod(call)
    if (target !== undefined) this.#reach(target, cause, this.#handed(target, file, call, names))
    const isEach =
      names.size > 0 &&
      (args.some((arg) => isCarried(file, arg, names)) || names.has(callee.text.split('.', 1)[0] ?? ''))
    for (const value of [...args, ...named.map(([, each]) => each)]) {
      if (value.kind !== 'function' && value.kind !== 'path') continue
      const callback = this.#function(path, file, value, call)
      if (callback !== undefined) this.#reach(callback, cause, isEach ? this.#given(callback, false) : [])
    }
  }

  /** Parameters that are given something carried. */
  #handed(target: BlockRef, file: IndexedFile, { args, named }: Call, names: Names): readonly string[] {
    const params = this.program.file(target.file)?.facts.blocks[target.block]?.fn?.params ?? []
    if (names.size === 0 && args.length === 0 && named.length === 0) return []
    const found = new Set<string>()
    for (const [index, arg] of args.entries()) {
      const param = params[index]
      if (param === undefined) break
      const parts = namesOf(param)
      if (arg.kind === 'object' && parts.length > 0 && param.startsWith('{')) {
        for (const [name, value] of arg.entries)
          if (parts.includes(name) && isCarried(file, value, names)) found.add(name)
      } else if (isCarried(file, arg, names)) for (const name of parts) found.add(name)
    }
    for (const [name, value] of named) if (params.includes(name) && isCarried(file, value, names)) found.add(name)
    return [...found].filter((name) => !TOOL.test(name))
  }

  #onlyMethod({ callee }: Call): BlockRef | undefined {
    const dot = callee.text.lastIndexOf('.')
    if (dot === -1 && !callee.isOwn) return undefined
    return this.#methods.get(callee.text.slice(dot + 1))
  }
}

const NONE: Names = new Set()

/** What a first time sets, wherever that is done. */
const READY =
  /(?:^|[._])(?:is_?)?(?:running|started|initiali[sz]ed|ready|connected|loaded|registered|configured|setup)(?:_?ok)?$/i

/** In a branch that is entered while a field or a name of the module is empty, and that fills it. */
function isFirstTime(file: IndexedFile, { block, target }: Call): boolean {
  const { blocks } = file.facts
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    const each = blocks[at]
    if (each?.kind === 'function') break
    const missing = each?.kind === 'branch' && each.test !== undefined ? missingIn(each.test) : undefined
    if (missing !== undefined && (READY.test(missing.text) || fills(file, missing, at))) return true
  }
  return target !== undefined && isKept(target) && isReturnedBefore(file, target, block)
}

function isKept({ isOwn, root, text }: Path): boolean {
  return (isOwn || root === 'module') && text !== '' && !text.includes('[]')
}

/** What a test finds empty. */
function missingIn(test: Value): Path | undefined {
  if (test.kind === 'not') return test.value.kind === 'path' && isKept(test.value.path) ? test.value.path : undefined
  if (test.kind !== 'operation') return undefined
  if (test.operator === '&&' || test.operator === 'and') return missingIn(test.left) ?? missingIn(test.right)
  const isEmpty = /^(?:===?|is)$/.test(test.operator) && test.right.kind === 'null'
  return isEmpty && test.left.kind === 'path' && isKept(test.left.path) ? test.left.path : undefined
}

function fills(file: IndexedFile, { text, isOwn }: Path, branch: number): boolean {
  return file.facts.assignments.some(
    ({ target, operator, block }) =>
      operator === '=' && target.text === text && target.isOwn === isOwn && file.within(block, branch),
  )
}

/** `if (this.x) return this.x` stands before. */
function isReturnedBefore(file: IndexedFile, { text, isOwn }: Path, block: number): boolean {
  const { blocks, exits } = file.facts
  return exits.some(({ kind, value, block: at }) => {
    const test = kind === 'return' && value?.kind === 'path' && value.path.text === text ? blocks[at]?.test : undefined
    return (
      test?.kind === 'path' &&
      test.path.text === text &&
      test.path.isOwn === isOwn &&
      file.functionOf(at) === file.functionOf(block)
    )
  })
}

function keyOf({ file, block }: BlockRef): string {
  return `${block}:${file}`
}

/** `{a,b}` stands for what a pattern binds. */
function namesOf(param: string): readonly string[] {
  return param.startsWith('{') ? param.slice(1, -1).split(',') : [param]
}

function isHidden(file: IndexedFile, block: number, name: string): boolean {
  return file.facts.blocks[block]?.fn?.params.some((param) => namesOf(param).includes(name)) === true
}

function isListening({ callee, args }: Call): boolean {
  const last = callee.text.slice(callee.text.lastIndexOf('.') + 1)
  const [event] = args
  if (!EVENTS.test(last) || args.length !== 2 || event?.kind !== 'string') return false
  return !ONCE.test(event.value) && !OF_CLIENT.test(event.value)
}

/** Methods whose name one class only has. */
function methodsOf(program: Program): ReadonlyMap<string, BlockRef | undefined> {
  const found = new Map<string, BlockRef | undefined>()
  for (const path of program.files) {
    const file = program.file(path)
    for (const { block: owner } of file?.facts.classes ?? [])
      for (const [name, block] of file?.methods(owner) ?? []) {
        if (name.length < NAME_LENGTH_MIN || COMMON.test(name) || name.startsWith('__')) continue
        found.set(name, found.has(name) ? undefined : { file: path, block })
      }
  }
  return found
}
