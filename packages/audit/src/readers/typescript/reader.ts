// The reader of TypeScript and JavaScript: one walk over the syntax tree that writes facts down. Nothing is decided here, and nothing is executed.

import { FactsDraft, TEXT_MAX } from '../../facts/draft.ts'
import type {
  Assignment,
  Block,
  BlockKind,
  Call,
  CallUse,
  FunctionFacts,
  Path,
  TypeName,
  Value,
} from '../../facts/facts.ts'
import { bare, bound, child, children, eachBelow, keyOf, type Node, text } from './node.ts'
import { Scopes } from './scope.ts'

/** How the parts of a file are walked: given, since they walk with the reader. */
export interface Walk {
  readonly statement: (reader: Reader, node: Node) => void
  readonly value: (reader: Reader, node: Node, use: CallUse) => Value
}

/** What is being written while a file is walked. */
export class Reader extends FactsDraft {
  readonly scopes = new Scopes()
  readonly #walk: Walk
  readonly #source: string
  readonly #lineStarts: Uint32Array

  constructor(source: string, walk: Walk) {
    super()
    this.#walk = walk
    this.#source = source
    const starts = [0]
    for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) starts.push(at + 1)
    this.#lineStarts = Uint32Array.from(starts)
  }

  get lines(): number {
    return this.#lineStarts.length
  }

  lineAt(offset: number): number {
    let low = 0
    let high = this.#lineStarts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }

  at(node: Node): { readonly line: number; readonly endLine: number; readonly block: number } {
    return { line: this.lineAt(node.start), endLine: this.lineAt(node.end), block: this.block }
  }

  cut(node: Node): string {
    return this.#source.slice(node.start, Math.min(node.end, node.start + TEXT_MAX))
  }

  /** Walks what belongs to a block. Gives its index. */
  within(kind: BlockKind, node: Node, more: Partial<Block>, walk: () => void): number {
    const index = this.blocks.length
    const { line, endLine, block: parent } = this.at(node)
    this.blocks.push({ kind, parent, line, endLine, name: '', ...more })
    const before = this.block
    this.block = index
    walk()
    this.block = before
    return index
  }

  value(node: Node | undefined, use: CallUse = 'argument'): Value {
    return node === undefined ? { kind: 'null' } : this.#walk.value(this, bare(node), use)
  }

  statement(node: Node): void {
    this.#walk.statement(this, node)
  }

  statements(nodes: readonly Node[]): void {
    for (const node of nodes) this.#walk.statement(this, node)
  }

  /** Anything that has no meaning of its own here: what is in it may. */
  through(node: Node): void {
    eachBelow(node, (inner) => this.#walk.statement(this, inner))
  }

  path(node: Node): Path {
    return readPath(this, node).path
  }

  assign(target: Path, node: Node, value: Value, operator: Assignment['operator'], isDeclaration: boolean): void {
    const isField = node.type === 'PropertyDefinition' || node.type === 'TSParameterProperty'
    const type = isField ? typeOf(this, node) : null
    const assignment = { ...this.at(node), target, operator, value, isDeclaration }
    this.assignments.push(type === null ? assignment : { ...assignment, type })
  }

  /** A function with its own scope. Gives its block. */
  fn(node: Node, name: string, kind: FunctionFacts['kind'], how: FunctionHow = {}): number {
    const params = children(node, 'params')
    const types = params.map((param) => typeOf(this, param))
    this.scopes.enter()
    const fn: FunctionFacts = {
      isAsync: node.async === true,
      isGenerator: node.generator === true,
      isExported: how.isExported ?? false,
      kind,
      isStatic: how.isStatic ?? false,
      params: params.map((param) => declareParam(this, param)),
      ...(types.some((type) => type !== null) ? { types } : {}),
      decorators: how.decorators ?? [],
    }
    const index = this.within('function', node, { name, fn }, () => {
      for (const param of params) readDefault(this, param)
      const body = child(node, 'body')
      if (body === undefined) return
      if (body.type === 'BlockStatement') this.statements(children(body, 'body'))
      else this.exits.push({ ...this.at(body), kind: 'return', value: this.value(body, 'returned') })
    })
    this.scopes.leave()
    return index
  }

  /** Decorators are calls that nobody uses, and are told with what they decorate. */
  decorators(node: Node): readonly Call[] {
    return children(node, 'decorators').map((decorator) => {
      const from = this.calls.length
      const value = this.value(child(decorator, 'expression'), 'dropped')
      if (value.kind === 'call') return this.calls[value.call] as Call
      const callee: Path = value.kind === 'path' ? value.path : { text: '', isOwn: false, root: '' }
      return (
        this.calls[from] ?? {
          ...this.at(decorator),
          callee,
          args: [],
          named: [],
          hasSpread: false,
          isNew: false,
          use: 'dropped',
          on: -1,
          target: undefined,
        }
      )
    })
  }
}

export interface FunctionHow {
  readonly isExported?: boolean
  readonly isStatic?: boolean
  readonly decorators?: readonly Call[]
}

/** The name that a parameter or field is annotated with, where that was imported, or is one of the module. */
function typeOf(reader: Reader, node: Node): TypeName | null {
  const inner = node.type === 'TSParameterProperty' ? child(node, 'parameter') : node
  const target = inner?.type === 'AssignmentPattern' ? child(inner, 'left') : inner
  const annotation = target === undefined ? undefined : child(target, 'typeAnnotation')
  const reference = child(annotation ?? node, 'typeAnnotation') ?? node
  const name = child(reference, 'typeName')
  if (name?.type !== 'Identifier') return null
  const root = reader.scopes.rootOf(text(name, 'name'))
  if (root !== 'module' && !root.startsWith('import:')) return null
  const given = child(reference, 'typeArguments')
  const [first] = given === undefined ? [] : children(given, 'params')
  const of = text(first === undefined ? undefined : child(first, 'typeName'), 'name')
  return { text: text(name, 'name'), isOwn: false, root, ...(of === '' ? {} : { of }) }
}

function declareParam(reader: Reader, param: Node): string {
  const names = [...bound(param)]
  for (const name of names) reader.scopes.declare(name, 'param')
  return names.length === 1 ? (names[0] as string) : `{${names.join(',')}}`
}

/** A constructor's `private x: T` and defaults are assignments of the function's beginning. */
function readDefault(reader: Reader, param: Node): void {
  if (param.type === 'TSParameterProperty') {
    const [name = ''] = bound(param)
    const path: Path = { text: name, isOwn: false, root: 'param' }
    reader.assign({ text: name, isOwn: true, root: '' }, param, { kind: 'path', path }, '=', true)
    const inner = child(param, 'parameter')
    if (inner !== undefined) readDefault(reader, inner)
    return
  }
  if (param.type !== 'AssignmentPattern') return
  const [name = ''] = bound(param)
  const right = child(param, 'right')
  reader.assign({ text: name, isOwn: false, root: 'param' }, param, reader.value(right, 'assigned'), '=', true)
}

/** A path, and the call in its middle, if any. */
export function readPath(reader: Reader, node: Node): { readonly path: Path; readonly on: number } {
  const names: string[] = []
  let inner = bare(node)
  while (inner.type === 'MemberExpression') {
    const key = keyOf(inner, 'property')
    if (key === undefined) {
      const computed = child(inner, 'property')
      if (computed !== undefined) reader.value(computed)
    }
    names.unshift(key ?? '[]')
    const object = child(inner, 'object')
    if (object === undefined) break
    inner = bare(object)
  }
  const rest = names.join('.')
  const dotted = (first: string): string => (rest === '' ? first : `${first}.${rest}`)
  switch (inner.type) {
    case 'ThisExpression':
      return { path: { text: rest, isOwn: true, root: '' }, on: -1 }
    case 'Super':
      return { path: { text: dotted('super'), isOwn: false, root: 'global' }, on: -1 }
    case 'Identifier': {
      const name = text(inner, 'name')
      return { path: { text: dotted(name), isOwn: false, root: reader.scopes.rootOf(name) }, on: -1 }
    }
    case 'MetaProperty':
      return { path: { text: dotted('import.meta'), isOwn: false, root: 'global' }, on: -1 }
    default: {
      const value = reader.value(inner, 'chained')
      const call = value.kind === 'call' ? value.call : awaited(value)
      return { path: { text: dotted('()'), isOwn: false, root: '' }, on: call }
    }
  }
}

function awaited(value: Value): number {
  return value.kind === 'await' && value.value.kind === 'call' ? value.value.call : -1
}
