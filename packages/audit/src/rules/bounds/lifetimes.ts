// How long a container lives: as long as the process, where it is a module's own, or belongs to an object that is made once, at start-up or when first asked for;
// shorter, where its object is made for a request; and where nobody is seen to make it, nothing is said.
//   QU10. A middleware that is given to its framework as a class is made once.
//   BD3. What is made in a function that runs by traffic, and is not kept by a module or by an object that lives on, does not live on.

import type { Call, ClassFacts } from '../../facts/facts.ts'
import type { BlockRef, CallSite, IndexedFile, Program } from '../../program/index.ts'
import type { Traffic } from '../../system/traffic.ts'
import type { Container } from './container.ts'

export type Lifetime = 'process' | 'shorter' | 'unknown'

/** Objects of such classes are made once by their framework. */
const ONCE =
  /(?:^|\.)(?:Injectable|injectable|Controller|Resolver|WebSocketGateway|Processor|Service|Singleton|singleton|provide)$/
const KEPT_ONCE = /(?:^|\.)(?:lru_cache|cache|singleton|once|memoize)$/
const STARTING =
  /^_*(?:main|bootstrap|lifespan|startup|on_?startup|create_?app|build_?app|make_?app|create_?server|start_?server)(?:_|[A-Z]|$)/i
const OF_APPLICATION = /^(?:app|application|server|fastify|global|globalThis|window|module\.exports)\b/
const INSTANCE = /^_*(?:instance|singleton|shared)s?$/i
const ADDING = ['add_middleware', 'Middleware']
const HOPS_MAX = 5

export class Lifetimes {
  readonly #program: Program
  readonly #traffic: Traffic
  readonly #kept = new Map<string, Lifetime>()
  /** Classes by the last part of what they inherit from. */
  readonly #heirs = new Map<string, (BlockRef & { readonly name: string })[]>()

  constructor(traffic: Traffic) {
    this.#program = traffic.program
    this.#traffic = traffic
    for (const path of this.#program.files)
      for (const { name, bases, block } of this.#program.file(path)?.facts.classes ?? [])
        for (const base of bases) append(this.#heirs, lastOf(base), { file: path, block, name })
  }

  of({ file, scope, owner }: Container): Lifetime {
    if (scope === 'module') return 'process'
    if (scope === 'field') return this.#ofClass({ file, block: owner }, 0)
    const fn = { file, block: owner }
    // A closure of what runs for each request ends with it, as does that of a callback.
    const isNamed = this.#program.file(file)?.facts.blocks[owner]?.name !== ''
    if (!isNamed || this.#traffic.runs(fn, 'traffic') || this.#traffic.runs(fn, 'timer')) return 'shorter'
    return this.#traffic.runs(fn, 'startup') ? 'process' : 'unknown'
  }

  #ofClass(ref: BlockRef, hops: number): Lifetime {
    const key = `${ref.block}:${ref.file}`
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    this.#kept.set(key, 'unknown')
    const found = this.#find(ref, hops)
    this.#kept.set(key, found)
    return found
  }

  #find(ref: BlockRef, hops: number): Lifetime {
    const file = this.#program.file(ref.file)
    const about = file?.facts.classes.find(({ block }) => block === ref.block)
    if (file === undefined || about === undefined || hops > HOPS_MAX) return 'unknown'
    if (isMadeOnce(file, about)) return 'process'
    // QU10. `app.add_middleware(Limiter)`: the framework makes one, when it starts.
    for (const site of this.#program.calls(ADDING)) {
      const [given] = site.call.args
      const meant = given?.kind === 'path' ? this.#program.classNamed(site.file, given.path) : undefined
      if (meant?.file === ref.file && meant.block === ref.block) return 'process'
    }
    let answer: Lifetime = 'unknown'
    for (const site of this.#program.callsNamed(about.name)) {
      const meant = this.#program.classNamed(site.file, site.call.callee)
      if (meant?.file !== ref.file || meant.block !== ref.block) continue
      const each = this.#ofSite(site, ref, hops)
      if (each === 'process') return each
      if (each === 'shorter') answer = each
    }
    for (const heir of this.#heirs.get(about.name) ?? []) {
      if (heir.name === about.name) continue
      const each = this.#ofClass(heir, hops + 1)
      if (each === 'process') return each
      if (each === 'shorter') answer = each
    }
    return answer
  }

  #ofSite({ file: path, call }: CallSite, made: BlockRef, hops: number): Lifetime {
    const file = this.#program.file(path)
    if (file === undefined) return 'unknown'
    const { block, target } = call
    const owner = file.classOf(block)
    const fn = file.functionOf(block)
    if (target?.root === 'module' || (target !== undefined && OF_APPLICATION.test(target.text))) return 'process'
    const isOfOther = owner !== -1 && !(owner === made.block && path === made.file)
    if (target?.isOwn === true) {
      if (INSTANCE.test(target.text)) return 'process'
      // A map of many that are made as they are asked for is not one that lives on.
      return isOfOther && !target.text.includes('[]')
        ? this.#ofClass({ file: path, block: owner }, hops + 1)
        : 'unknown'
    }
    if (fn === -1) return owner === -1 ? 'process' : this.#ofClass({ file: path, block: owner }, hops + 1)
    if (file.facts.blocks[fn]?.fn?.decorators.some(({ callee }) => KEPT_ONCE.test(callee.text)) === true)
      return 'process'
    const ref = { file: path, block: fn }
    if (this.#traffic.runs(ref, 'traffic')) return 'shorter'
    if (this.#traffic.runs(ref, 'startup')) return 'process'
    return owner === -1 && STARTING.test(file.facts.blocks[fn]?.name ?? '') ? 'process' : 'unknown'
  }
}

function isMadeOnce(file: IndexedFile, { block, decorators }: ClassFacts): boolean {
  const isShort = (decorator: Call): boolean =>
    decorator.args.some(
      (arg) =>
        arg.kind === 'object' &&
        arg.entries.some(([name, value]) => name === 'scope' && /REQUEST|TRANSIENT/.test(JSON.stringify(value))),
    )
  if (decorators.some((each) => ONCE.test(each.callee.text) && !isShort(each))) return true
  for (const name of file.written(block)) if (/^_*instance$/i.test(name)) return true
  return false
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}

function lastOf(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
