// The program: files joined. Which function a call means, what an object was created by, and who calls a function. Everything is asked lazily and kept;
// what cannot be told is undefined, never guessed.
// Invariants:
//   JN1. A call is given to a function only where its name leads there: by the class's own or inherited methods, by imports of the repository, by what was
//        created where the name was bound, by what a field or parameter was declared as.
//   JN2. Whatever the imports (cycles, names that nobody exports), every question ends.

import type { FileFacts, Path } from '../facts/facts.ts'
import type { ModuleName } from '../repository/configuration.ts'
import { type BlockRef, CallIndex, type CallNames, type CallSite, type FoundCall } from './calls.ts'
import { Classes, type Declared } from './classes.ts'
import { type IndexedFile, indexFile } from './file.ts'
import { createResolver } from './modules.ts'

export interface Program {
  readonly files: readonly string[]
  file(path: string): IndexedFile | undefined
  /** The file that an import of `from` means. */
  module(from: string, module: string): string | undefined
  /** The function that a call means; of a class that is called, its constructor. */
  target(site: CallSite): BlockRef | undefined
  /** The class of the object that a path of a file means: `client` after `client = Client()`. */
  classOf(file: string, path: Path, block: number): BlockRef | undefined
  /** What a path was declared as, also where that is no class of the repository: `Repository` of `this.users`. */
  declared(file: string, path: Path, block: number): Declared | undefined
  /** The call that created what a path means: its arguments are how it was configured. */
  created(file: string, path: Path, block: number): CallSite | undefined
  callers(fn: BlockRef): readonly CallSite[]
  /** The file that a name of a module comes from, and what it is called there; of an import, where that is defined. */
  definition(file: string, path: Path): { readonly file: string; readonly name: string } | undefined
  /** The class that a name means where a file says it: what `new Client()` makes. */
  classNamed(file: string, name: Path): BlockRef | undefined
  /** Calls of what is named so, whatever it is; of names that are called very often only the first. */
  callsNamed(name: string): readonly CallSite[]
  /** All calls by what is called last, in the order of files; `names` should be a constant. */
  calls(names: CallNames): readonly FoundCall[]
  /** The same by the whole text of what is called. */
  callsLike(text: RegExp): readonly FoundCall[]
}

/** '' for the whole file. */
interface Definition {
  readonly file: string
  readonly name: string
}

const HOPS_MAX = 6
/** Of names that are called very often only the first are looked into. */
const CALLS_MAX = 5000

class Joined implements Program {
  readonly #facts: ReadonlyMap<string, FileFacts>
  readonly #indexed = new Map<string, IndexedFile>()
  #calls: CallIndex | undefined
  readonly #sites = new Map<string, readonly CallSite[]>()
  readonly #callers = new Map<string, readonly CallSite[]>()
  /** By file and name: every rule asks for the same ones. */
  readonly #definitions = new Map<string, Map<string, Definition | undefined>>()
  readonly #classes: Classes
  readonly #resolve: (from: string, module: string) => string | undefined

  constructor(facts: ReadonlyMap<string, FileFacts>, names: readonly ModuleName[]) {
    this.#facts = facts
    this.#resolve = createResolver(facts.keys(), names)
    this.#classes = new Classes({
      file: (path) => this.file(path),
      created: (path, name, block) => this.created(path, name, block),
      classNamed: (path, name) => this.classNamed(path, name),
      functionNamed: ({ file: path, call: { callee } }) => {
        const begun = callee.isOwn ? undefined : this.#begin(path, callee)
        return begun?.names.length === 1 ? this.#named(begun.file, begun.names) : undefined
      },
      ofBases: (owner, find) => this.#ofBases(owner, find),
    })
  }

  get files(): readonly string[] {
    return [...this.#facts.keys()]
  }

  callers(fn: BlockRef): readonly CallSite[] {
    const key = `${fn.file}\n${fn.block}`
    const kept = this.#callers.get(key)
    if (kept !== undefined) return kept
    const name = this.file(fn.file)?.facts.blocks[fn.block]?.name ?? ''
    const found = this.callsNamed(name).filter((site) => {
      const meant = this.target(site)
      return meant?.file === fn.file && meant.block === fn.block
    })
    this.#callers.set(key, found)
    return found
  }

  file(path: string): IndexedFile | undefined {
    const kept = this.#indexed.get(path)
    if (kept !== undefined) return kept
    const own = this.#facts.get(path)
    if (own === undefined) return undefined
    const made = indexFile(own)
    this.#indexed.set(path, made)
    return made
  }

  module(from: string, name: string): string | undefined {
    return this.#resolve(from, name)
  }

  /** Where a name of a module is defined, through what it imports from elsewhere: a file and the name in it; '' for the whole file. */
  #definition(path: string, name: string, hops = 0): Definition | undefined {
    if (hops > 0) return this.#define(path, name, hops)
    const own = this.#definitions.get(path) ?? new Map<string, Definition | undefined>()
    this.#definitions.set(path, own)
    const kept = own.get(name)
    if (kept !== undefined || own.has(name)) return kept
    const found = this.#define(path, name, 0)
    own.set(name, found)
    return found
  }

  #define(path: string, name: string, hops: number): Definition | undefined {
    const own = this.file(path)
    if (own === undefined || hops > HOPS_MAX) return undefined
    if (own.functions.has(name) || own.classes.has(name) || own.writes(-1, name).length > 0) return { file: path, name }
    for (const { local, module: from, imported } of own.facts.imports) {
      if (local !== name && !(local === '' && imported === '*')) continue
      const found =
        imported === '*' && local === name
          ? this.#whole(path, from)
          : this.#imports(path, from, local === '' ? name : imported, hops + 1)
      if (found !== undefined) return found
    }
    return undefined
  }

  #whole(from: string, name: string): { readonly file: string; readonly name: string } | undefined {
    const found = this.module(from, name)
    return found === undefined ? undefined : { file: found, name: '' }
  }

  #imports(
    from: string,
    name: string,
    imported: string,
    hops: number,
  ): { readonly file: string; readonly name: string } | undefined {
    const found = this.module(from, name)
    const inside = found === undefined ? undefined : this.#definition(found, imported, hops)
    if (inside !== undefined || !from.endsWith('.py')) return inside
    // `from package import module`.
    return this.#whole(from, name.endsWith('.') ? `${name}${imported}` : `${name}.${imported}`)
  }

  /** What the beginning of a path is, and the rest of it. */
  #begin(path: string, name: Path, hops = 0): { readonly file: string; readonly names: readonly string[] } | undefined {
    const found = this.#beginning(path, name)
    // `import x from`, `const x = require(…)`: the one thing that the module exports.
    const isWhole = found !== undefined && found.names.length === 0 && hops < HOPS_MAX
    const [whole] = isWhole ? (this.file(found.file)?.writes(-1, 'default') ?? []) : []
    if (found === undefined || whole === undefined) return found
    if (whole.value.kind !== 'path') return { file: found.file, names: ['default'] }
    return this.#begin(found.file, whole.value.path, hops + 1)
  }

  #beginning(
    path: string,
    { text, root }: Path,
  ): { readonly file: string; readonly names: readonly string[] } | undefined {
    const [first = '', ...rest] = text.split('.')
    const names = rest.filter((name) => name !== '')
    if (!root.startsWith('import:')) {
      const isHere =
        root === 'module' ||
        this.file(path)?.functions.has(first) === true ||
        this.file(path)?.classes.has(first) === true
      return isHere ? { file: path, names: [first, ...names] } : undefined
    }
    const [from = '', imported] = root.slice('import:'.length).split('#')
    if (imported !== undefined) {
      const found = this.#imports(path, from, imported, 0)
      return found && { file: found.file, names: found.name === '' ? names : [found.name, ...names] }
    }
    return this.#ofModule(path, from, names)
  }

  /** `a.b.c()` after `import a.b`: as much of it as is a module. */
  #ofModule(
    path: string,
    from: string,
    names: readonly string[],
  ): { readonly file: string; readonly names: readonly string[] } | undefined {
    for (let count = names.length - 1; count >= 0; count--) {
      const found = this.module(path, [from, ...names.slice(0, count)].join('.'))
      if (found === undefined || found === path) continue
      const [first = '', ...rest] = names.slice(count)
      // What the module only hands on is defined elsewhere.
      const defined = this.#definition(found, first)
      const inner = defined === undefined || defined.name === '' ? [] : [defined.name]
      return defined === undefined
        ? { file: found, names: [first, ...rest] }
        : { file: defined.file, names: [...inner, ...rest] }
    }
    const found = this.module(path, from)
    return found === undefined ? undefined : { file: found, names }
  }

  #method(owner: BlockRef, name: string, hops = 0): BlockRef | undefined {
    const block = this.file(owner.file)?.methods(owner.block).get(name)
    if (block !== undefined) return { file: owner.file, block }
    return hops > HOPS_MAX ? undefined : this.#ofBases(owner, (base) => this.#method(base, name, hops + 1))
  }

  /** The first thing that is found in the classes that one extends. */
  #ofBases<T>(owner: BlockRef, find: (base: BlockRef) => T | undefined): T | undefined {
    const own = this.file(owner.file)
    if (own === undefined) return undefined
    for (const name of own.bases(owner.block)) {
      const first = name.split('.', 1)[0] as string
      const imported = own.facts.imports.find(({ local }) => local === first)
      const root =
        imported === undefined
          ? 'module'
          : `import:${imported.module}${imported.imported === '*' ? '' : `#${imported.imported}`}`
      const base = this.classNamed(owner.file, { text: name, isOwn: false, root })
      const isOther = base !== undefined && (base.file !== owner.file || base.block !== owner.block)
      const found = isOther ? find(base) : undefined
      if (found !== undefined) return found
    }
    return undefined
  }

  definition(path: string, name: Path): { readonly file: string; readonly name: string } | undefined {
    const begun = this.#begin(path, name)
    const [only, ...more] = begun?.names ?? []
    return begun === undefined || only === undefined || more.length > 0 ? undefined : { file: begun.file, name: only }
  }

  classNamed(path: string, name: Path): BlockRef | undefined {
    const begun = this.#begin(path, name)
    if (begun === undefined || begun.names.length !== 1) return undefined
    const block = this.file(begun.file)?.classes.get(begun.names[0] as string)
    return block === undefined ? undefined : { file: begun.file, block }
  }

  created(path: string, name: Path, block: number): CallSite | undefined {
    const own = this.file(path)
    if (own === undefined) return undefined
    const made = (of: IndexedFile, at: string, owner: number, text: string): CallSite | undefined => {
      for (const { value } of of.writes(owner, text)) {
        const inner = value.kind === 'await' ? value.value : value
        const call = inner.kind === 'call' ? of.facts.calls[inner.call] : undefined
        if (call !== undefined) return { file: at, call }
      }
      return undefined
    }
    if (name.isOwn) return made(own, path, own.classOf(block), name.text)
    if (name.root === 'local') return this.#local(own, path, name.text, block)
    const begun = this.#begin(path, name)
    const target = begun === undefined || begun.names.length !== 1 ? undefined : this.file(begun.file)
    return target === undefined || begun === undefined
      ? undefined
      : made(target, begun.file, -1, begun.names[0] as string)
  }

  /** What a name of a function was bound to, above. */
  #local(own: IndexedFile, path: string, name: string, block: number): CallSite | undefined {
    const fn = own.functionOf(block)
    for (const { target, value, block: where } of own.facts.assignments) {
      if (target.text !== name || target.isOwn || own.functionOf(where) !== fn) continue
      const inner = value.kind === 'await' ? value.value : value
      const call = inner.kind === 'call' ? own.facts.calls[inner.call] : undefined
      if (call !== undefined) return { file: path, call }
    }
    return undefined
  }

  classOf(path: string, name: Path, block: number): BlockRef | undefined {
    return this.#classes.of(path, name, block)
  }

  declared(path: string, name: Path, block: number): Declared | undefined {
    return this.#classes.declared(path, name, block)
  }

  target({ file: path, call }: CallSite): BlockRef | undefined {
    const own = this.file(path)
    if (own === undefined) return undefined
    const { callee, block } = call
    const dot = callee.text.lastIndexOf('.')
    const last = callee.text.slice(dot + 1)
    // `super().save()`, `super.save()`.
    if (
      callee.text === `super.${last}` ||
      (callee.text === `().${last}` && own.facts.calls[call.on]?.callee.text === 'super')
    ) {
      const owner = own.classOf(block)
      return owner === -1 ? undefined : this.#ofBases({ file: path, block: owner }, (base) => this.#method(base, last))
    }
    if (callee.isOwn && dot === -1) {
      const owner = own.classOf(block)
      return owner === -1 ? undefined : this.#method({ file: path, block: owner }, last)
    }
    if (!callee.isOwn) {
      const begun = this.#begin(path, callee)
      const found = begun === undefined ? undefined : this.#named(begun.file, begun.names)
      if (found !== undefined) return found
    }
    if (dot === -1) return undefined
    const owner = this.classOf(path, { ...callee, text: callee.text.slice(0, dot) }, block)
    return owner === undefined ? undefined : this.#method(owner, last)
  }

  #named(path: string, [first = '', second, ...more]: readonly string[]): BlockRef | undefined {
    const own = this.file(path)
    if (own === undefined || more.length > 0) return undefined
    const owner = own.classes.get(first)
    if (owner !== undefined) {
      const name = second ?? (own.facts.language === 'python' ? '__init__' : 'constructor')
      return this.#method({ file: path, block: owner }, name)
    }
    const block = second === undefined ? own.functions.get(first) : undefined
    return block === undefined ? undefined : { file: path, block }
  }

  get #index(): CallIndex {
    this.#calls ??= new CallIndex(this.#facts)
    return this.#calls
  }

  callsNamed(name: string): readonly CallSite[] {
    const kept = this.#sites.get(name) ?? this.calls([name]).slice(0, CALLS_MAX)
    this.#sites.set(name, kept)
    return kept
  }

  calls(names: CallNames): readonly FoundCall[] {
    return this.#index.named(names)
  }

  callsLike(text: RegExp): readonly FoundCall[] {
    return this.#index.like(text)
  }
}

export function createProgram(facts: ReadonlyMap<string, FileFacts>, names: readonly ModuleName[] = []): Program {
  return new Joined(facts, names)
}

const PROGRAMS = new WeakMap<object, Program>()

/** The one program of these facts: what one rule asked, the next need not find again. `names` count only the first time: who read them asks first. */
export function programOf(facts: ReadonlyMap<string, FileFacts>, names: readonly ModuleName[] = []): Program {
  const program = PROGRAMS.get(facts) ?? createProgram(facts, names)
  PROGRAMS.set(facts, program)
  return program
}
