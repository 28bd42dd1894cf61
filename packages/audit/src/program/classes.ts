// Of which class an object is: by what made it, by what a field or a parameter was declared as, and by what a function that gives it out makes. So a call of an
// injected service, through as many layers as there are, is a call of its class.
//   QK12. A path is followed field by field; what two places say differently is what the first of them says, and a class that is not of the repository ends it.

import type { Path, TypeName } from '../facts/facts.ts'
import type { BlockRef, CallSite } from './calls.ts'
import type { IndexedFile } from './file.ts'

/** What is asked of the program meanwhile. */
export interface Joints {
  file(path: string): IndexedFile | undefined
  created(file: string, path: Path, block: number): CallSite | undefined
  classNamed(file: string, name: Path): BlockRef | undefined
  /** The function of a module that a call names. */
  functionNamed(site: CallSite): BlockRef | undefined
  /** The first thing that is found in the classes that one extends. */
  ofBases<T>(owner: BlockRef, find: (base: BlockRef) => T | undefined): T | undefined
}

/** A type, and the file that says it. */
export interface Declared {
  readonly file: string
  readonly type: TypeName
}

const HOPS_MAX = 6
const FACTORY_HOPS_MAX = 2

export class Classes {
  readonly #joints: Joints
  /** By class and field; null: not told. */
  readonly #fields = new Map<string, BlockRef | null>()

  constructor(joints: Joints) {
    this.#joints = joints
  }

  of(path: string, name: Path, block: number, hops = 0): BlockRef | undefined {
    const own = this.#joints.file(path)
    if (own === undefined || hops > HOPS_MAX || name.text === '') return undefined
    const site = this.#joints.created(path, name, block)
    const made = site === undefined ? undefined : this.#made(site, hops)
    if (made !== undefined) return made
    const dot = name.text.lastIndexOf('.')
    if (dot !== -1) {
      const owner = this.of(path, { ...name, text: name.text.slice(0, dot) }, block, hops + 1)
      return owner === undefined ? undefined : this.#ofField(owner, name.text.slice(dot + 1), hops)
    }
    if (name.isOwn) {
      const owner = own.classOf(block)
      return owner === -1 ? undefined : this.#ofField({ file: path, block: owner }, name.text, hops)
    }
    const type = name.root === 'param' ? typeOfParam(own, name.text, block) : undefined
    return type === undefined ? undefined : this.#joints.classNamed(path, type)
  }

  /** What a path was declared as: a field of this class or of those that it extends, a field of what it leads to, or a parameter. */
  declared(path: string, name: Path, block: number): Declared | undefined {
    const own = this.#joints.file(path)
    if (own === undefined || name.text === '') return undefined
    const dot = name.text.lastIndexOf('.')
    if (!name.isOwn && dot === -1) {
      const type = name.root === 'param' ? typeOfParam(own, name.text, block) : undefined
      return type === undefined ? undefined : { file: path, type }
    }
    const owner =
      dot === -1
        ? { file: path, block: own.classOf(block) }
        : this.of(path, { ...name, text: name.text.slice(0, dot) }, block)
    return owner === undefined || owner.block === -1
      ? undefined
      : this.#declaredField(owner, name.text.slice(dot + 1), 0)
  }

  #declaredField(owner: BlockRef, field: string, hops: number): Declared | undefined {
    const own = this.#joints.file(owner.file)
    if (own === undefined || hops > HOPS_MAX) return undefined
    for (const { type, value, block } of own.writes(owner.block, field)) {
      const param = value.kind === 'path' && value.path.root === 'param' ? value.path.text : undefined
      const found = type ?? (param === undefined ? undefined : typeOfParam(own, param, block))
      if (found !== undefined) return { file: owner.file, type: found }
    }
    return this.#joints.ofBases(owner, (base) => this.#declaredField(base, field, hops + 1))
  }

  #ofField(owner: BlockRef, field: string, hops: number): BlockRef | undefined {
    const key = `${owner.file}\n${owner.block}\n${field}`
    const kept = this.#fields.get(key)
    if (kept !== undefined) return kept ?? undefined
    this.#fields.set(key, null)
    const found = this.#findField(owner, field, hops)
    this.#fields.set(key, found ?? null)
    return found
  }

  #findField(owner: BlockRef, field: string, hops: number): BlockRef | undefined {
    const own = this.#joints.file(owner.file)
    if (own === undefined || hops > HOPS_MAX) return undefined
    for (const { type, value, block } of own.writes(owner.block, field)) {
      const call = value.kind === 'call' ? own.facts.calls[value.call] : undefined
      const isGiven = value.kind === 'path' && (value.path.text !== field || !value.path.isOwn)
      const found =
        (call === undefined ? undefined : this.#made({ file: owner.file, call }, hops)) ??
        (type === undefined ? undefined : this.#joints.classNamed(owner.file, type)) ??
        (isGiven ? this.of(owner.file, value.path, block, hops + 1) : undefined)
      if (found !== undefined) return found
    }
    return this.#joints.ofBases(owner, (base) => this.#ofField(base, field, hops + 1))
  }

  /** The class of what a call answers: of a class its own, of a function that of what it makes and returns. */
  #made(site: CallSite, hops: number): BlockRef | undefined {
    const named = this.#joints.classNamed(site.file, site.call.callee)
    if (named !== undefined || site.call.isNew || hops > FACTORY_HOPS_MAX) return named
    const fn = this.#joints.functionNamed(site)
    const own = fn === undefined ? undefined : this.#joints.file(fn.file)
    if (fn === undefined || own === undefined) return undefined
    for (const { kind, value, block } of own.facts.exits) {
      const call = kind === 'return' && value?.kind === 'call' ? own.facts.calls[value.call] : undefined
      if (call?.isNew === true && own.functionOf(block) === fn.block)
        return this.#joints.classNamed(fn.file, call.callee)
    }
    return undefined
  }
}

/** What a parameter was annotated as, of the function or of one around it. */
function typeOfParam(own: IndexedFile, name: string, block: number): TypeName | undefined {
  for (let fn = own.functionOf(block); fn !== -1; fn = own.functionOf(own.facts.blocks[fn]?.parent ?? -1)) {
    const facts = own.facts.blocks[fn]?.fn
    const at = facts?.params.indexOf(name) ?? -1
    if (at !== -1) return facts?.types?.[at] ?? undefined
  }
  return undefined
}
