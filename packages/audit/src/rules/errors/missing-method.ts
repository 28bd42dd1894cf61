// Calls of methods that a class of the repository does not have, or a module does not export: they fail every time, and where a handler swallows that, nobody notices that the feature never
// worked. And `.decode()` of texts of a client that decodes already.
//   ER12. Found only where the object's class is known, with all classes above it, nothing in it makes up methods or other objects (`__getattr__`, `setattr`, `__enter__`), and no
//         assignment gives it the name. In TypeScript the compiler says it, so only JavaScript and Python are read.
//   QT13. A module that exports one object, written out, has what stands in it; what is called of it and is not there fails as well.

import type { Assignment, Call, FileFacts } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const MAKING = /^(__getattr__|__getattribute__|__init_subclass__|__new__|__enter__|__aenter__)$/
const MAKES = /(^|\.)(setattr|defineProperty|assign|promisifyAll|mixin|__dict__\.update|bind_all|Proxy)$/
/** What every object has. */
const COMMON = /^(__\w+__|toString|valueOf|hasOwnProperty|constructor|call|apply|bind)$/
/** Decorators that leave a class as it is. */
const PLAIN =
  /^(dataclass|dataclasses\.dataclass|final|typing\.final|total_ordering|functools\.total_ordering|singleton|Injectable)$/

export const missingMethod: Rule = {
  meta: {
    id: 'missing-method',
    category: 'error handling',
    severity: 'high',
    title: 'A method is called that its class does not have',
    why: 'The call fails every time. Behind a handler that catches everything the feature silently never works.',
    remedies: [
      {
        priority: 'P0',
        text: 'Add the method, or call the one that exists; let a type checker guard it.',
        effort: 'S',
      },
    ],
    sources: ['CWE-476: use of what is not there', 'https://mypy.readthedocs.io'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || facts.language === 'typescript') continue
      for (const call of facts.calls) {
        const found = missing(program, file, call) ?? notExported(program, file, call)
        if (found !== undefined) yield found
      }
    }
  },
}

function missing(program: Program, file: IndexedFile, call: Call): Discovery | undefined {
  const { facts } = file
  const { callee, block } = call
  const dot = callee.text.lastIndexOf('.')
  const name = lastName(callee)
  if (dot <= 0 || COMMON.test(name) || callee.text.startsWith('()') || call.isNew) return undefined
  const receiver = { ...callee, text: callee.text.slice(0, dot) }
  if (!isSingle(file, receiver, block)) return undefined
  const owner = ownerOf(program, file, receiver, block)
  if (owner === undefined || hasName(program, owner, name, 0) !== false || isAsked(facts, name)) return undefined
  const of = program.file(owner.file)?.facts.blocks[owner.block]
  return {
    tier: 'strong',
    symbol: symbolOf(facts, block),
    cause: `methods that ${of?.name ?? 'the class'} of ${owner.file} does not have, called in ${facts.file}`,
    symptom: 'The call fails every time.',
    rootCause: `${of?.name ?? 'The class'} has no ${name}.`,
    evidence: [
      seenAt(facts.file, call, `calls ${name}`),
      seenAt(owner.file, { line: of?.line ?? 1, endLine: of?.line ?? 1 }, `has no ${name}`),
    ],
  }
}

/** QT13. `orders.find()` after `const orders = require('./orders')`, of `module.exports = { create }`. */
function notExported(program: Program, { facts }: IndexedFile, call: Call): Discovery | undefined {
  const { text, root } = call.callee
  const [, name = '', ...more] = text.split('.')
  if (!/^import:\.{1,2}\/[^#]+$/.test(root) || name === '' || more.length > 0 || COMMON.test(name) || call.isNew)
    return undefined
  const path = program.module(facts.file, root.slice('import:'.length))
  const of = path === undefined ? undefined : program.file(path)?.facts
  if (path === undefined || of === undefined || of.language === 'typescript' || of.brokenAt !== undefined)
    return undefined
  const writes = of.assignments.filter(({ target }) => /^(?:module\.)?exports(?:\.|$)/.test(target.text))
  const [only] = writes
  if (writes.length !== 1 || only?.target.text !== 'module.exports' || only.value.kind !== 'object') return undefined
  const isThere = only.value.hasSpread || only.value.entries.some(([key]) => key === name)
  if (isThere || of.calls.some(({ callee }) => MAKES.test(callee.text)) || isAsked(facts, name)) return undefined
  return {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    cause: `what ${path} does not export, called in ${facts.file}`,
    symptom: 'The call fails every time.',
    rootCause: `${path} exports no ${name}.`,
    evidence: [seenAt(facts.file, call, `calls ${name}, which ${path} does not export in line ${only.line}`)],
  }
}

const OWNERS = new WeakMap<IndexedFile, Map<string, BlockRef | null>>()

/** The class of what a name holds: asked once for a name and the function or class that it is in. */
function ownerOf(program: Program, file: IndexedFile, receiver: Call['callee'], block: number): BlockRef | undefined {
  const kept = OWNERS.get(file) ?? new Map<string, BlockRef | null>()
  OWNERS.set(file, kept)
  const key = receiver.isOwn
    ? `own ${file.classOf(block)} ${receiver.text}`
    : `${file.functionOf(block)} ${receiver.text}`
  const known = kept.get(key)
  if (known !== undefined) return known ?? undefined
  const found = program.classOf(file.facts.file, receiver, block) ?? handedOn(program, file, receiver, block)
  kept.set(key, found ?? null)
  return found
}

/** `self.store = store`, of something that was made elsewhere. */
function handedOn(
  program: Program,
  { facts, classOf, writes }: IndexedFile,
  { text, isOwn }: Call['callee'],
  block: number,
): BlockRef | undefined {
  const [only] = isOwn ? writes(classOf(block), text) : []
  if (only?.value.kind !== 'path' || !only.value.path.root.startsWith('import:')) return undefined
  return program.classOf(facts.file, only.value.path, only.block)
}

/** What the name holds is given once (another value may be of another class), and may be something that a class made. */
function isSingle(file: IndexedFile, { text, isOwn, root }: Call['callee'], block: number): boolean {
  if (text.includes('.')) return false
  if (!isOwn && root.startsWith('import:')) return true
  const isShared = isOwn || root === 'module'
  const writes = isShared
    ? file.writes(isOwn ? file.classOf(block) : -1, text)
    : (localWrites(file).get(`${file.functionOf(block)} ${text}`) ?? [])
  return writes.length === 1 && mayBeMade(file.facts, writes[0] as Assignment)
}

function mayBeMade({ calls }: FileFacts, { value }: Assignment): boolean {
  const inner = value.kind === 'await' ? value.value : value
  if (inner.kind === 'path') return inner.path.root.startsWith('import:')
  return inner.kind === 'call' && /(^|\.)_*[A-Z]\w*$/.test(calls[inner.call]?.callee.text ?? '')
}

const LOCAL = new WeakMap<FileFacts, ReadonlyMap<string, readonly Assignment[]>>()

/** By function and name. */
function localWrites({ facts, functionOf }: IndexedFile): ReadonlyMap<string, readonly Assignment[]> {
  const kept = LOCAL.get(facts)
  if (kept !== undefined) return kept
  const all = new Map<string, Assignment[]>()
  for (const assignment of facts.assignments) {
    if (assignment.target.isOwn) continue
    const key = `${functionOf(assignment.block)} ${assignment.target.text}`
    const list = all.get(key)
    if (list === undefined) all.set(key, [assignment])
    else list.push(assignment)
  }
  LOCAL.set(facts, all)
  return all
}

/** `hasattr(client, 'name')` somewhere in the file: its author knows. */
function isAsked({ calls, blocks }: IndexedFile['facts'], name: string): boolean {
  return (
    calls.some(
      ({ callee, args }) =>
        /^(hasattr|getattr)$/.test(callee.text) && args.some((arg) => arg.kind === 'string' && arg.value === name),
    ) || blocks.some(({ kind, name: caught }) => kind === 'handler' && /AttributeError/.test(caught))
  )
}

const DEPTH_MAX = 6

/** Undefined: it can't be told. */
function hasName(program: Program, { file: path, block }: BlockRef, name: string, depth: number): boolean | undefined {
  const file = program.file(path)
  const own = file?.facts.classes.find(({ block: at }) => at === block)
  if (file === undefined || own === undefined || depth > DEPTH_MAX) return undefined
  const methods = file.methods(block)
  if (methods.has(name) || file.writes(block, name).length > 0) return true
  const isTwice = file.facts.classes.filter((each) => each.name === own.name).length > 1
  const isMadeUp =
    isTwice ||
    [...methods.keys()].some((each) => MAKING.test(each)) ||
    !own.decorators.every(({ callee }) => PLAIN.test(callee.text)) ||
    file.facts.calls.some(({ callee }) => MAKES.test(callee.text)) ||
    file.facts.assignments.some(
      ({ target, block: at }) =>
        lastName(target) === name &&
        (target.text.includes('.') || file.facts.blocks[at]?.kind === 'class' || at === block),
    )
  if (isMadeUp || file.facts.brokenAt !== undefined) return undefined
  for (const base of own.bases) {
    if (base === 'object' || base === 'ABC' || base === 'abc.ABC') continue
    const above = baseOf(program, file, base)
    const found = above === undefined ? undefined : hasName(program, above, name, depth + 1)
    if (found !== false) return found
  }
  return false
}

function baseOf(program: Program, { facts }: IndexedFile, base: string): BlockRef | undefined {
  const [first = ''] = base.split('.')
  const imported = facts.imports.find(({ local }) => local === first)
  const root =
    imported === undefined
      ? 'module'
      : `import:${imported.module}${imported.imported === '*' ? '' : `#${imported.imported}`}`
  return program.classNamed(facts.file, { text: base, isOwn: false, root })
}
