// What happens in a block: its calls, assignments and exits, with those of the blocks within it, but not of functions that are only defined there. Indexed
// once for a file: rules ask this of every handler and every loop.

import type { Assignment, Call, Exit, FileFacts, Place } from '../facts/facts.ts'

export interface Contents {
  readonly calls: readonly Call[]
  readonly assignments: readonly Assignment[]
  readonly exits: readonly Exit[]
  /** The block itself, and those within. */
  readonly blocks: readonly number[]
}

interface Index {
  readonly calls: ReadonlyMap<number, readonly Call[]>
  readonly assignments: ReadonlyMap<number, readonly Assignment[]>
  readonly exits: ReadonlyMap<number, readonly Exit[]>
  readonly children: ReadonlyMap<number, readonly number[]>
  readonly kept: Map<number, Contents>
}

const INDICES = new WeakMap<FileFacts, Index>()

/** Of a function: its own body. */
export function contentsOf(facts: FileFacts, block: number): Contents {
  const index = INDICES.get(facts) ?? indexOf(facts)
  const kept = index.kept.get(block)
  if (kept !== undefined) return kept
  const blocks = [block]
  for (let at = 0; at < blocks.length; at++)
    for (const inner of index.children.get(blocks[at] as number) ?? []) blocks.push(inner)
  const found: Contents = {
    calls: inOrder(blocks.flatMap((each) => index.calls.get(each) ?? [])),
    assignments: inOrder(blocks.flatMap((each) => index.assignments.get(each) ?? [])),
    exits: inOrder(blocks.flatMap((each) => index.exits.get(each) ?? [])),
    blocks,
  }
  index.kept.set(block, found)
  return found
}

const WRITES = new WeakMap<Contents, ReadonlyMap<string, readonly Assignment[]>>()

/** Assignments of a name in a block: of one function rules ask for one name after the other. */
export function writesIn(facts: FileFacts, block: number, name: string): readonly Assignment[] {
  const contents = contentsOf(facts, block)
  const kept = WRITES.get(contents) ?? byName(contents.assignments)
  WRITES.set(contents, kept)
  return kept.get(name) ?? []
}

function byName(all: readonly Assignment[]): ReadonlyMap<string, readonly Assignment[]> {
  const lists = new Map<string, Assignment[]>()
  for (const each of all) {
    const list = lists.get(each.target.text)
    if (list === undefined) lists.set(each.target.text, [each])
    else list.push(each)
  }
  return lists
}

function indexOf(facts: FileFacts): Index {
  const children = new Map<number, number[]>()
  for (const [block, { parent, kind }] of facts.blocks.entries()) {
    if (kind === 'function' || kind === 'class' || parent === -1) continue
    const list = children.get(parent)
    if (list === undefined) children.set(parent, [block])
    else list.push(block)
  }
  const index = {
    calls: byBlock(facts.calls),
    assignments: byBlock(facts.assignments),
    exits: byBlock(facts.exits),
    children,
    kept: new Map<number, Contents>(),
  }
  INDICES.set(facts, index)
  return index
}

function byBlock<T extends Place>(all: readonly T[]): ReadonlyMap<number, readonly T[]> {
  const lists = new Map<number, T[]>()
  for (const each of all) {
    const list = lists.get(each.block)
    if (list === undefined) lists.set(each.block, [each])
    else list.push(each)
  }
  return lists
}

function inOrder<T extends Place>(all: readonly T[]): readonly T[] {
  return [...all].sort((a, b) => a.line - b.line)
}
