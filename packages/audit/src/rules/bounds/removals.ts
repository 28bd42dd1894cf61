// Whether what takes something out of a container ever runs. Not: what is reached from shutdown only, what nothing calls, what people start by hand, and an expiry that
// is looked at only when somebody reads the same key again.
//   BD4. A removal that may run for all that is seen counts as one.

import type { Value } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { type Traffic, trafficOf } from '../../system/traffic.ts'
import { lastName } from '../queries.ts'
import type { Use } from './container.ts'

/** Why a removal does not help. */
export type Idle = 'at shutdown' | 'called by nobody' | 'by hand' | 'on read' | 'key by key'

const BY_HAND = /clean|clear|purge|flush|evict|prune|sweep|reset|invalidate|admin|debug/i
const TIME =
  /expir|ttl|stale|max_?age|\bage\b|_at\b|At\b|timestamp|Date\.now|new Date|\bnow\b|time\.time|monotonic|last_?(?:seen|used|access)|until|deadline/i

export class Removals {
  readonly #traffic: Traffic
  readonly #routes = new Map<string, string>()
  readonly #repository: Repository
  #handed: ReadonlySet<string> | undefined

  constructor(repository: Repository) {
    this.#repository = repository
    this.#traffic = trafficOf(repository)
    for (const { kind, handler, name } of entriesOf(repository))
      if (kind === 'route' && handler !== undefined) this.#routes.set(`${handler.block}:${handler.file}`, name)
  }

  /** Undefined: it may well run. `growing`: functions in which the container grows. */
  idle(use: Use, growing: readonly BlockRef[]): Idle | undefined {
    const file = this.#traffic.program.file(use.file)
    const block = file?.functionOf(use.block) ?? -1
    if (file === undefined || block === -1) return 'at shutdown'
    const fn = { file: use.file, block }
    if (this.#traffic.runs(fn, 'timer')) return undefined
    if (!this.#traffic.runs(fn, 'traffic')) return this.#unreached(file, fn)
    if (growing.some((each) => this.#isPartOf(fn, each))) return undefined
    if (BY_HAND.test(`${nameOf(file, block)} ${this.#routes.get(`${block}:${use.file}`) ?? ''}`)) return 'by hand'
    return isTimed(file, use) ? 'on read' : isOfOneKey(file, use) ? 'key by key' : undefined
  }

  #unreached(file: IndexedFile, fn: BlockRef): Idle | undefined {
    if (this.#traffic.runs(fn, 'shutdown') || this.#traffic.runs(fn, 'startup')) return 'at shutdown'
    const { program } = this.#traffic
    const { blocks, classes } = file.facts
    const about = blocks[fn.block]
    const owner = file.classOf(fn.block)
    const isNested = file.functionOf(about?.parent ?? 0) !== -1
    if (about?.fn === undefined || about.name === '' || isNested || about.fn.decorators.length > 0) return undefined
    // What it inherits from may call it.
    if (
      classes.find(({ block }) => block === owner)?.bases.some((base) => base !== 'object' && base !== 'ABC') === true
    )
      return undefined
    if (this.#given().has(about.name)) return undefined
    // Of a method it is not always seen whose it is: its name alone counts.
    const isCalled = owner === -1 ? program.callers(fn).length > 0 : program.callsNamed(about.name).length > 0
    return isCalled ? undefined : 'called by nobody'
  }

  /** The function that grows it does it, or calls what does it. */
  #isPartOf(fn: BlockRef, growing: BlockRef): boolean {
    if (fn.file === growing.file && fn.block === growing.block) return true
    const { program } = this.#traffic
    const file = program.file(growing.file)
    if (file === undefined) return false
    if (fn.file === growing.file && file.within(fn.block, growing.block)) return true
    return program.callers(fn).some((site) => site.file === growing.file && file.within(site.call.block, growing.block))
  }

  /** Names of functions that are handed on: who knows who calls them. */
  #given(): ReadonlySet<string> {
    if (this.#handed !== undefined) return this.#handed
    const found = new Set<string>()
    const read = (value: Value): void => {
      if (value.kind === 'path') found.add(lastName(value.path))
      else if (value.kind === 'object')
        for (const [, each] of value.entries) if (each.kind === 'path') found.add(lastName(each.path))
    }
    for (const { calls } of this.#repository.facts.values())
      for (const { args, named } of calls) {
        for (const arg of args) read(arg)
        for (const [, each] of named) read(each)
      }
    this.#handed = found
    return found
  }
}

/** One entry, by its key, and not for each of many. */
function isOfOneKey(file: IndexedFile, { block, call }: Use): boolean {
  if (call !== undefined && !/\.(?:delete|pop|discard)$/.test(call.callee.text)) return false
  if (call !== undefined && call.args.length === 0) return false
  const { blocks } = file.facts
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    if (blocks[at]?.kind === 'loop') return false
    if (blocks[at]?.kind === 'function') return true
  }
  return false
}

function nameOf(file: IndexedFile, block: number): string {
  return file.facts.blocks[block]?.name ?? ''
}

/** Behind a test of time. */
function isTimed(file: IndexedFile, { block }: Use): boolean {
  const { blocks } = file.facts
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    const each = blocks[at]
    const tested =
      each?.kind === 'otherwise' ? blocks[each.of ?? -1]?.test : each?.kind === 'branch' ? each.test : undefined
    if (tested !== undefined && TIME.test(wordsOf(file, tested, 0))) return true
    if (each?.kind === 'function') return false
  }
  return false
}

/** The names in a test, called ones too. */
function wordsOf(file: IndexedFile, value: Value, depth: number): string {
  if (depth > 6) return ''
  switch (value.kind) {
    case 'path':
      return value.path.text
    case 'other':
      return value.text
    case 'not':
    case 'await':
      return wordsOf(file, value.value, depth + 1)
    case 'operation':
      if (value.operator === 'in' || value.operator === 'not in') return ''
      return `${wordsOf(file, value.left, depth + 1)} ${wordsOf(file, value.right, depth + 1)}`
    case 'call': {
      const call = file.facts.calls[value.call]
      if (call === undefined) return ''
      return [
        call.isNew ? `new ${call.callee.text}` : call.callee.text,
        ...call.args.map((arg) => wordsOf(file, arg, depth + 1)),
      ].join(' ')
    }
    default:
      return ''
  }
}
