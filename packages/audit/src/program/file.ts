// One file, indexed for questions that rules ask again and again: which function or class a block is in, what is called how, and who writes a name.

import type { Assignment, FileFacts } from '../facts/facts.ts'

export interface IndexedFile {
  readonly facts: FileFacts
  /** The function that a block is in, or is; -1: the module's own code. */
  functionOf(block: number): number
  /** The class of a method, or of what is in one; -1: none. */
  classOf(block: number): number
  /** All blocks of a kind from this one outwards, as far as the function that it is in. */
  within(block: number, ancestor: number): boolean
  /** Functions at the top of the file. */
  readonly functions: ReadonlyMap<string, number>
  /** Classes at the top of the file: name to block. */
  readonly classes: ReadonlyMap<string, number>
  methods(classBlock: number): ReadonlyMap<string, number>
  bases(classBlock: number): readonly string[]
  /** Writes of a name of the module, or of a field of a class. */
  writes(owner: number, name: string): readonly Assignment[]
  /** Names that are written: of the module with -1, or of a class. */
  written(owner: number): Iterable<string>
}

const NO_METHODS: ReadonlyMap<string, number> = new Map()

export function indexFile(facts: FileFacts): IndexedFile {
  const { blocks } = facts
  const functionOf = new Int32Array(blocks.length)
  const classOf = new Int32Array(blocks.length)
  const functions = new Map<string, number>()
  const classes = new Map<string, number>()
  const methods = new Map<number, Map<string, number>>()
  // A block's parent stands before it, but for what comprehensions adopt: those are never functions with a name.
  for (const [index, block] of blocks.entries()) {
    const { parent } = block
    const outer = parent >= 0 && parent < index ? parent : 0
    functionOf[index] =
      block.kind === 'function' ? index : index === 0 || block.kind === 'class' ? -1 : (functionOf[outer] ?? -1)
    classOf[index] = block.kind === 'class' ? index : index === 0 ? -1 : (classOf[outer] ?? -1)
    if (block.name === '' || index === 0) continue
    const isTop = functionOf[outer] === -1 && classOf[outer] === -1
    if (block.kind === 'class' && isTop) classes.set(block.name, index)
    if (block.kind !== 'function') continue
    if (isTop) functions.set(block.name, index)
    else if (blocks[outer]?.kind === 'class') {
      const own = methods.get(outer) ?? new Map<string, number>()
      methods.set(outer, own.set(block.name, index))
    }
  }
  let kept: ReadonlyMap<number, ReadonlyMap<string, readonly Assignment[]>> | undefined
  const writes = (): ReadonlyMap<number, ReadonlyMap<string, readonly Assignment[]>> => {
    kept = kept ?? readWrites(indexed)
    return kept
  }
  const indexed: IndexedFile = {
    facts,
    functions,
    classes,
    functionOf: (block) => functionOf[block] ?? -1,
    classOf: (block) => classOf[block] ?? -1,
    within: (block, ancestor) => {
      for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) if (at === ancestor) return true
      return false
    },
    methods: (classBlock) => methods.get(classBlock) ?? NO_METHODS,
    bases: (classBlock) => facts.classes.find(({ block }) => block === classBlock)?.bases ?? [],
    writes: (owner, name) => writes().get(owner)?.get(name) ?? [],
    written: (owner) => writes().get(owner)?.keys() ?? [],
  }
  return indexed
}

function readWrites(file: IndexedFile): ReadonlyMap<number, ReadonlyMap<string, readonly Assignment[]>> {
  const all = new Map<number, Map<string, Assignment[]>>()
  for (const assignment of file.facts.assignments) {
    const { target, block } = assignment
    // What a module of CommonJS exports as one thing is its `default`.
    const isWhole = target.text === 'module.exports' && target.root === 'global'
    const name = isWhole ? 'default' : target.text
    if (name === '' || name.includes('.')) continue
    const isModule = isWhole || (!target.isOwn && target.root === 'module')
    if (!target.isOwn && !isModule) continue
    const owner = isModule ? -1 : file.classOf(block)
    if (target.isOwn && owner === -1) continue
    const names = all.get(owner) ?? new Map<string, Assignment[]>()
    all.set(owner, names)
    const list = names.get(name)
    if (list === undefined) names.set(name, [assignment])
    else list.push(assignment)
  }
  return all
}
