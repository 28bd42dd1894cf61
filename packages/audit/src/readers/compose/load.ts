// One compose file with everything it draws in: parsed, interpolated, includes read, extensions laid under.

import type { Loc } from '../../model/evidence.ts'
import type { Located } from '../../repository/configuration.ts'
import { resolveFrom } from '../../repository/paths.ts'
import type { FileIndex } from '../../repository/repository.ts'
import { interpolate } from '../interpolation.ts'
import { at, type Entry, entriesOf, itemsOf, type Mapping, readYaml, scalarText, type Tree } from '../yaml.ts'
import { mergeTrees, spellOut } from './merge.ts'

const DEPTH_MAX = 10
const PROBLEMS_MAX = 200

export class ComposeLoader {
  readonly problems: Located<string>[] = []
  readonly unset: Located<string>[] = []
  readonly #files: FileIndex
  readonly #variables: ReadonlyMap<string, Located<string>>
  /** Parsed and interpolated, before includes and extensions. */
  readonly #parsed = new Map<string, Mapping | undefined>()

  /** Files that were included or extended. */
  readonly #drawn: Set<string>

  constructor(files: FileIndex, variables: ReadonlyMap<string, Located<string>>, drawn = new Set<string>()) {
    this.#files = files
    this.#variables = variables
    this.#drawn = drawn
  }

  has(path: string): boolean {
    return this.#files.has(path)
  }

  /** Undefined: it is no compose file. */
  load(file: string, stack: readonly string[] = []): Mapping | undefined {
    const parsed = this.#parse(file)
    if (parsed === undefined) return undefined
    const services = new Map<string, Entry>()
    for (const name of entriesOf(at(parsed, 'services')).keys()) {
      const entry = this.#service(file, name, [])
      if (entry !== undefined) services.set(name, entry)
    }
    const top = new Map(parsed.entries)
    top.set('services', { loc: parsed.loc, value: { kind: 'map', entries: services, loc: parsed.loc, tag: undefined } })
    let merged: Tree = { ...parsed, entries: top }
    for (const included of this.#includes(file, parsed, [...stack, file])) merged = mergeTrees(included, merged)
    return merged.kind === 'map' ? merged : undefined
  }

  #includes(file: string, tree: Mapping, stack: readonly string[]): Mapping[] {
    return itemsOf(at(tree, 'include')).flatMap((item) => {
      const path = at(item, 'path') ?? item
      const paths = path.kind === 'list' ? path.items : [path]
      return paths.flatMap((each) => this.#include(file, scalarText(each) ?? '', each.loc, stack) ?? [])
    })
  }

  #include(file: string, path: string, loc: Loc, stack: readonly string[]): Mapping | undefined {
    const target = resolveFrom(file, path)
    if (path === '' || /^[a-z+]+:\/\//.test(path)) return undefined
    if (typeof target === 'string' || !this.#files.has(target.path)) {
      return this.#problem(`it includes ${path}, which is not in the repository`, loc)
    }
    if (stack.includes(target.path) || stack.length > DEPTH_MAX) {
      return this.#problem(`it includes ${path}, which includes it again`, loc)
    }
    this.#drawn.add(target.path)
    return this.load(target.path, stack)
  }

  #service(file: string, name: string, stack: readonly string[]): Entry | undefined {
    const entry = entriesOf(at(this.#parse(file), 'services')).get(name)
    if (entry === undefined) return undefined
    const own = spellOut(entry.value)
    const extension = at(own, 'extends')
    if (extension === undefined) return { loc: entry.loc, value: own }
    const base = this.#extended(file, extension, [...stack, `${file}#${name}`])
    return { loc: entry.loc, value: base === undefined ? own : mergeTrees(base.value, own) }
  }

  #extended(file: string, extension: Tree, stack: readonly string[]): Entry | undefined {
    const service = scalarText(at(extension, 'service')) ?? scalarText(extension) ?? ''
    const path = scalarText(at(extension, 'file'))
    const target = path === undefined ? { path: file } : resolveFrom(file, path)
    if (typeof target === 'string' || !this.#files.has(target.path)) {
      return this.#problem(`it extends a service of ${path}, which is not in the repository`, extension.loc)
    }
    if (stack.includes(`${target.path}#${service}`) || stack.length > DEPTH_MAX) {
      return this.#problem(`it extends ${service}, which extends it again`, extension.loc)
    }
    if (path !== undefined) this.#drawn.add(target.path)
    const base = this.#service(target.path, service, stack)
    return base ?? this.#problem(`it extends ${service}, which is not defined`, extension.loc)
  }

  #parse(file: string): Mapping | undefined {
    if (this.#parsed.has(file)) return this.#parsed.get(file)
    const text = this.#files.read(file)
    const { documents, problem } = text === undefined ? { documents: [], problem: undefined } : readYaml(file, text)
    if (problem !== undefined) this.#problem(problem, { file, line: 1, endLine: 1 })
    const [first] = documents
    const isCompose = first?.kind === 'map' && (first.entries.has('services') || first.entries.has('include'))
    const tree = isCompose ? (this.#interpolated(first) as Mapping) : undefined
    this.#parsed.set(file, tree)
    return tree
  }

  #interpolated(tree: Tree): Tree {
    if (tree.kind === 'list') return { ...tree, items: tree.items.map((item) => this.#interpolated(item)) }
    if (tree.kind === 'map') {
      const entries = new Map<string, Entry>()
      for (const [name, { loc, value }] of tree.entries) entries.set(name, { loc, value: this.#interpolated(value) })
      return { ...tree, entries }
    }
    if (typeof tree.value !== 'string' || !tree.text.includes('$')) return tree
    const { text, unset } = interpolate(tree.text, (name) => this.#variables.get(name)?.value)
    for (const value of unset) if (this.unset.length < PROBLEMS_MAX) this.unset.push({ value, loc: tree.loc })
    return { ...tree, text, raw: tree.text }
  }

  #problem(value: string, loc: Loc): undefined {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ value, loc })
  }
}
