// Expressions, as values. Every call and assignment on the way is written down; what has no form of its own becomes `other` with its text.

import { foldNumbers, STRING_MAX, TEXT_MAX } from '../../facts/draft.ts'
import type { CallUse, Path, Value } from '../../facts/facts.ts'
import { bare, bound, child, children, isNode, keyOf, type Node, text } from './node.ts'
import { type Reader, readPath } from './reader.ts'

export function readValue(reader: Reader, node: Node, use: CallUse): Value {
  switch (node.type) {
    case 'Literal':
      return readLiteral(node)
    case 'TemplateLiteral':
      return readTemplate(reader, node)
    case 'Identifier':
    case 'MemberExpression':
    case 'ThisExpression':
    case 'MetaProperty':
      return readReference(reader, node)
    case 'CallExpression':
    case 'NewExpression':
    case 'ImportExpression':
      return { kind: 'call', call: readCall(reader, node, use) }
    case 'AwaitExpression':
      return { kind: 'await', value: reader.value(child(node, 'argument'), 'awaited') }
    case 'ObjectExpression':
      return readObject(reader, node)
    case 'ArrayExpression':
      return readList(reader, node)
    case 'ArrowFunctionExpression':
      return { kind: 'function', block: reader.fn(node, '', 'arrow') }
    case 'FunctionExpression':
      return { kind: 'function', block: reader.fn(node, text(child(node, 'id'), 'name'), 'function') }
    case 'UnaryExpression':
      return readUnary(reader, node)
    case 'LogicalExpression':
    case 'BinaryExpression':
      return readOperation(reader, node)
    case 'ConditionalExpression':
      return readChoice(reader, node)
    case 'AssignmentExpression':
      return readAssignment(reader, node)
    case 'UpdateExpression':
      return readUpdate(reader, node)
    case 'SequenceExpression':
      return children(node, 'expressions').reduce<Value>((_, each) => reader.value(each, 'dropped'), { kind: 'null' })
    default:
      reader.through(node)
      return { kind: 'other', text: reader.cut(node) }
  }
}

function readLiteral(node: Node): Value {
  const { value } = node
  if (typeof value === 'string') return { kind: 'string', value: value.slice(0, STRING_MAX) }
  if (typeof value === 'number') return { kind: 'number', value }
  if (typeof value === 'boolean') return { kind: 'boolean', value }
  return value === null && text(node, 'raw') === 'null'
    ? { kind: 'null' }
    : { kind: 'other', text: text(node, 'raw').slice(0, TEXT_MAX) }
}

function readTemplate(reader: Reader, node: Node): Value {
  const parts = children(node, 'quasis').map((quasi) => {
    const { value } = quasi
    return String((value as { readonly cooked?: unknown } | undefined)?.cooked ?? '').slice(0, STRING_MAX)
  })
  const values = children(node, 'expressions').map((each) => reader.value(each))
  return values.length === 0 ? { kind: 'string', value: parts.join('') } : { kind: 'template', parts, values }
}

function readReference(reader: Reader, node: Node): Value {
  if (node.type === 'Identifier' && text(node, 'name') === 'undefined') return { kind: 'null' }
  const { path, on } = readPath(reader, node)
  const name = environmentName(path)
  if (name !== undefined) reader.envReads.push({ ...reader.at(node), name, fallback: undefined })
  return on === -1 || path.text !== '()' ? { kind: 'path', path } : { kind: 'call', call: on }
}

/** X of process.env.X, import.meta.env.X. */
export function environmentName({ text: dotted, root }: Path): string | undefined {
  if (root !== 'global' && !root.startsWith('import:')) return undefined
  return /^(?:process\.env|import\.meta\.env|env)\.([A-Za-z_]\w*)$/.exec(dotted)?.[1]
}

export function readCall(reader: Reader, node: Node, use: CallUse): number {
  const callee = child(node, 'callee')
  const { path, on } = node.type === 'ImportExpression' ? IMPORT : readCallee(reader, callee)
  const index = reader.calls.length
  const call = {
    ...reader.at(node),
    callee: path,
    args: [] as Value[],
    named: [],
    hasSpread: false,
    isNew: node.type === 'NewExpression',
    use,
    on,
    target: undefined,
  }
  reader.calls.push(call)
  const args = node.type === 'ImportExpression' ? [child(node, 'source')] : children(node, 'arguments')
  for (const arg of args) {
    if (arg?.type === 'SpreadElement') {
      reader.value(child(arg, 'argument'))
      call.hasSpread = true
    } else call.args.push(reader.value(arg))
  }
  const [first] = call.args
  if (path.text === 'Deno.env.get' && first?.kind === 'string')
    reader.envReads.push({ ...reader.at(node), name: first.value, fallback: undefined })
  return index
}

const IMPORT: { readonly path: Path; readonly on: number } = {
  path: { text: 'import', isOwn: false, root: 'global' },
  on: -1,
}

function readCallee(reader: Reader, callee: Node | undefined): { readonly path: Path; readonly on: number } {
  if (callee === undefined) return IMPORT
  const inner = bare(callee)
  const isFunction = inner.type === 'ArrowFunctionExpression' || inner.type === 'FunctionExpression'
  if (!isFunction) return readPath(reader, inner)
  // (async () => { … })(): its body is a block of its own, and it is called here.
  reader.value(inner)
  return { path: { text: '()', isOwn: false, root: 'local' }, on: -1 }
}

function readObject(reader: Reader, node: Node): Value {
  const entries: (readonly [string, Value])[] = []
  const spreads: Value[] = []
  for (const property of children(node, 'properties')) {
    if (property.type === 'SpreadElement') {
      spreads.push(reader.value(child(property, 'argument')))
      continue
    }
    const name = keyOf(property, 'key') ?? '[]'
    const value = child(property, 'value')
    entries.push([name, isNode(value) ? readNamed(reader, value, name) : { kind: 'null' }])
  }
  return spreads.length === 0
    ? { kind: 'object', entries, hasSpread: false }
    : { kind: 'object', entries, hasSpread: true, spreads }
}

/** A function that is given a name by where it stands. */
export function readNamed(reader: Reader, node: Node, name: string, isExported = false): Value {
  const inner = bare(node)
  if (inner.type === 'ArrowFunctionExpression')
    return { kind: 'function', block: reader.fn(inner, name, 'arrow', { isExported }) }
  if (inner.type === 'FunctionExpression')
    return { kind: 'function', block: reader.fn(inner, name, 'function', { isExported }) }
  return reader.value(node, 'assigned')
}

function readList(reader: Reader, node: Node): Value {
  let hasSpread = false
  const items: Value[] = []
  for (const element of children(node, 'elements')) {
    if (element.type === 'SpreadElement') {
      reader.value(child(element, 'argument'))
      hasSpread = true
    } else items.push(reader.value(element))
  }
  return { kind: 'list', items, hasSpread }
}

function readUnary(reader: Reader, node: Node): Value {
  const operator = text(node, 'operator')
  const argument = child(node, 'argument')
  if (operator === 'void') {
    reader.value(argument, 'void')
    return { kind: 'null' }
  }
  if (operator === 'delete' && argument !== undefined) {
    reader.assign(reader.path(argument), node, { kind: 'null' }, 'delete', false)
    return { kind: 'boolean', value: true }
  }
  const value = reader.value(argument, operator === '!' ? 'tested' : 'argument')
  if (operator === '!') return { kind: 'not', value }
  if (operator === '-' && value.kind === 'number') return { kind: 'number', value: -value.value }
  return { kind: 'operation', operator, left: value, right: { kind: 'null' } }
}

function readOperation(reader: Reader, node: Node): Value {
  const operator = text(node, 'operator')
  const before = reader.envReads.length
  const use: CallUse = node.type === 'LogicalExpression' ? 'tested' : 'argument'
  const left = reader.value(child(node, 'left'), use)
  const read = reader.envReads.at(-1)
  const right = reader.value(child(node, 'right'))
  const isFallback = (operator === '||' || operator === '??') && reader.envReads.length > before && left.kind === 'path'
  if (isFallback && read !== undefined) reader.envReads[before] = { ...read, fallback: right }
  const folded = foldNumbers(operator, left, right)
  return folded ?? { kind: 'operation', operator, left, right }
}

function readChoice(reader: Reader, node: Node): Value {
  const test = reader.value(child(node, 'test'), 'tested')
  const consequent = child(node, 'consequent') as Node
  const alternate = child(node, 'alternate') as Node
  let left: Value = { kind: 'null' }
  let right: Value = { kind: 'null' }
  const branch = reader.within('branch', consequent, { test }, () => {
    left = reader.value(consequent)
  })
  reader.within('otherwise', alternate, { of: branch }, () => {
    right = reader.value(alternate)
  })
  return { kind: 'operation', operator: '?:', left, right }
}

const OPERATORS = new Set(['=', '+=', '-=', '??=', '||=', '&&='])

export function readAssignment(reader: Reader, node: Node): Value {
  const left = child(node, 'left')
  const right = child(node, 'right')
  const written = text(node, 'operator')
  const operator = (OPERATORS.has(written) ? written : 'other') as '=' | 'other'
  if (left === undefined || right === undefined) return { kind: 'null' }
  const target = bare(left)
  if (target.type === 'ObjectPattern' || target.type === 'ArrayPattern') {
    const value = reader.value(right, 'assigned')
    for (const name of bound(target))
      reader.assign({ text: name, isOwn: false, root: reader.scopes.rootOf(name) }, node, value, '=', false)
    return value
  }
  const path = reader.path(target)
  const value = readNamed(reader, right, path.text.slice(path.text.lastIndexOf('.') + 1))
  setTarget(reader, value, path)
  reader.assign(path, node, value, operator, false)
  return value
}

function readUpdate(reader: Reader, node: Node): Value {
  const argument = child(node, 'argument')
  if (argument === undefined) return { kind: 'null' }
  const path = reader.path(argument)
  const operator = text(node, 'operator') === '++' ? '+=' : '-='
  reader.assign(path, node, { kind: 'number', value: 1 }, operator, false)
  return { kind: 'path', path }
}

/** What a call's result is kept in, so that what is done with it later can be found. */
export function setTarget(reader: Reader, value: Value, target: Path): void {
  const call =
    value.kind === 'call' ? value.call : value.kind === 'await' && value.value.kind === 'call' ? value.value.call : -1
  const found = reader.calls[call]
  if (found !== undefined) found.target = target
}
