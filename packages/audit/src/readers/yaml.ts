// YAML as a tree in which every value knows its line. Aliases and merge keys are resolved while the tree is built, under a bound on nodes and on depth, so that
// a bomb of aliases costs the bound and no more. `no`, `on` and `yes` stay texts (YAML 1.2), and the text of a scalar is what was written.
//   CX1. A file that cannot be parsed, is too deep or too large gives undefined and a reason, never a throw.

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml'
import type { Loc } from '../model/evidence.ts'

const NODES_MAX = 50_000
const DEPTH_MAX = 60
const TEXT_MAX = 2_000_000
const DOCUMENTS_MAX = 500

export type Tree = Scalar | Mapping | List

export interface Scalar {
  readonly kind: 'scalar'
  readonly value: unknown
  /** As written, without quotes; after interpolation, where there is one: then `raw` is what was written. */
  readonly text: string
  readonly raw?: string
  readonly loc: Loc
  readonly tag: string | undefined
}

export interface Mapping {
  readonly kind: 'map'
  readonly entries: ReadonlyMap<string, Entry>
  readonly loc: Loc
  readonly tag: string | undefined
}

export interface List {
  readonly kind: 'list'
  readonly items: readonly Tree[]
  readonly loc: Loc
  readonly tag: string | undefined
}

export interface Entry {
  /** Of the key. */
  readonly loc: Loc
  readonly value: Tree
}

export interface YamlFile {
  readonly documents: readonly Tree[]
  readonly problem: string | undefined
}

export function readYaml(file: string, text: string): YamlFile {
  if (text.length > TEXT_MAX) return { documents: [], problem: 'it is too large' }
  const lines = new LineCounter()
  const trees: Tree[] = []
  try {
    const documents = parseAllDocuments(text, {
      lineCounter: lines,
      strict: false,
      uniqueKeys: false,
      logLevel: 'silent',
    })
    if (!Array.isArray(documents)) return { documents: [], problem: undefined }
    let problem: string | undefined
    const builder = new Builder(file, lines)
    for (const document of documents.slice(0, DOCUMENTS_MAX)) {
      problem ??= document.errors[0]?.message.split('\n', 1)[0]
      if (document.contents !== null) trees.push(builder.build(document.contents as Node, 0))
    }
    return { documents: trees, problem }
  } catch (error) {
    // Too deep for the parser, or over a bound of ours.
    return { documents: trees, problem: error instanceof Error ? error.message : 'it cannot be parsed' }
  }
}

class Builder {
  readonly #file: string
  readonly #lines: LineCounter
  /** As met so far: the library's own way from an alias to its anchor walks the document each time. */
  readonly #anchors = new Map<string, Node>()
  #nodes = 0

  constructor(file: string, lines: LineCounter) {
    this.#file = file
    this.#lines = lines
  }

  build(node: Node | null | undefined, depth: number): Tree {
    this.#nodes += 1
    if (this.#nodes > NODES_MAX) throw new Error('it has too many values, or too many aliases')
    if (depth > DEPTH_MAX) throw new Error('it is nested too deep')
    if (isAlias(node)) return this.build(this.#anchors.get(node.source), depth + 1)
    if (node?.anchor !== undefined) this.#anchors.set(node.anchor, node)
    const loc = this.#loc(node)
    if (isMap(node)) return { kind: 'map', entries: this.#entries(node, depth), loc, tag: node.tag }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.build(item as Node, depth + 1))
      return { kind: 'list', items, loc, tag: node.tag }
    }
    const value = isScalar(node) ? node.value : null
    const written = isScalar(node) && typeof value !== 'string' ? node.source : undefined
    return { kind: 'scalar', value, text: written ?? textOf(value), loc, tag: node?.tag }
  }

  #entries(node: Node, depth: number): Map<string, Entry> {
    const own = new Map<string, Entry>()
    const merged = new Map<string, Entry>()
    if (!isMap(node)) return own
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? textOf(key.value) : ''
      const tree = this.build(value as Node | null, depth + 1)
      if (name === '<<') {
        const sources = tree.kind === 'list' ? tree.items : [tree]
        for (const source of sources)
          if (source.kind === 'map')
            for (const [inner, entry] of source.entries) if (!merged.has(inner)) merged.set(inner, entry)
      } else own.set(name, { loc: this.#loc(key as Node), value: tree })
    }
    for (const [name, entry] of merged) if (!own.has(name)) own.set(name, entry)
    return own
  }

  #loc(node: Node | null | undefined): Loc {
    const range = node?.range
    const line = range == null ? 1 : this.#lines.linePos(range[0]).line
    const endLine = range == null ? line : this.#lines.linePos(Math.max(range[0], range[1] - 1)).line
    return { file: this.#file, line, endLine }
  }
}

function textOf(value: unknown): string {
  return value === null || value === undefined ? '' : String(value)
}

export function at(tree: Tree | undefined, ...path: readonly string[]): Tree | undefined {
  let here = tree
  for (const name of path) here = here?.kind === 'map' ? here.entries.get(name)?.value : undefined
  return here
}

export function entriesOf(tree: Tree | undefined): ReadonlyMap<string, Entry> {
  return tree?.kind === 'map' ? tree.entries : new Map()
}

export function itemsOf(tree: Tree | undefined): readonly Tree[] {
  return tree?.kind === 'list' ? tree.items : []
}

/** Undefined where nothing is written, or more than a scalar. */
export function scalarText(tree: Tree | undefined): string | undefined {
  return tree?.kind === 'scalar' && tree.value !== null ? tree.text : undefined
}

/** Plain data, for those who need no lines. */
export function plain(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value
  if (tree.kind === 'list') return tree.items.map(plain)
  return Object.fromEntries([...tree.entries].map(([name, entry]) => [name, plain(entry.value)]))
}

/** The line of what `path` leads to, as far as it can be followed. */
export function lineOf(tree: Tree, path: readonly (string | number)[]): number {
  let here = tree
  let line = tree.loc.line
  for (const step of path) {
    if (here.kind === 'map') {
      const entry = here.entries.get(String(step))
      if (entry === undefined) return line
      line = entry.loc.line
      here = entry.value
    } else if (here.kind === 'list') {
      const item = here.items[Number(step)]
      if (item === undefined) return line
      line = item.loc.line
      here = item
    } else return line
  }
  return line
}
