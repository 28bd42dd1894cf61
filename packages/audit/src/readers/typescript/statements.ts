// Statements: what they open (blocks), declare (names, functions, classes), and how they leave.

import type { CallUse, Path, Value } from '../../facts/facts.ts'
import { bare, bound, child, children, keyOf, type Node, text } from './node.ts'
import type { Reader } from './reader.ts'
import { environmentName, readNamed, setTarget } from './values.ts'

export function readStatement(reader: Reader, node: Node): void {
  switch (node.type) {
    case 'ExpressionStatement':
      reader.value(child(node, 'expression'), 'dropped')
      return
    case 'VariableDeclaration':
      for (const declarator of children(node, 'declarations')) readDeclarator(reader, declarator, false)
      return
    case 'FunctionDeclaration':
      readFunction(reader, node, false)
      return
    case 'ClassDeclaration':
    case 'ClassExpression':
      readClass(reader, node)
      return
    case 'IfStatement':
      readIf(reader, node)
      return
    case 'SwitchStatement':
      readSwitch(reader, node)
      return
    case 'TryStatement':
      readTry(reader, node)
      return
    case 'ForStatement':
    case 'ForInStatement':
    case 'ForOfStatement':
    case 'WhileStatement':
    case 'DoWhileStatement':
      readLoop(reader, node)
      return
    case 'BlockStatement':
    case 'StaticBlock':
      reader.statements(children(node, 'body'))
      return
    case 'ReturnStatement':
    case 'ThrowStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
    case 'YieldExpression':
      readExit(reader, node)
      return
    case 'ImportDeclaration':
      readImport(reader, node)
      return
    case 'ExportNamedDeclaration':
    case 'ExportDefaultDeclaration':
    case 'ExportAllDeclaration':
      readExport(reader, node)
      return
    default:
      if (node.type.endsWith('Expression') || node.type === 'Identifier' || node.type.endsWith('Literal'))
        reader.value(node, 'dropped')
      else reader.through(node)
  }
}

function readDeclarator(reader: Reader, node: Node, isExported: boolean): void {
  const id = child(node, 'id')
  const init = child(node, 'init')
  if (id === undefined) return
  const names = [...bound(id)]
  const required = requiredModule(init)
  if (required !== undefined) {
    for (const name of names)
      declareImport(reader, node, required, id.type === 'Identifier' ? '*' : importedAs(id, name), name)
    return
  }
  const root = reader.scopes.isModule ? 'module' : 'local'
  for (const name of names) reader.scopes.declare(name, root)
  if (isExported) reader.exports.push(...names)
  if (init === undefined) {
    for (const name of names) reader.assign({ text: name, isOwn: false, root }, node, { kind: 'null' }, '=', true)
    return
  }
  const [name = ''] = names
  const value = id.type === 'Identifier' ? readNamed(reader, init, name, isExported) : reader.value(init, 'assigned')
  if (id.type === 'ObjectPattern') readEnvironmentPattern(reader, id, value)
  if (id.type === 'Identifier') setTarget(reader, value, { text: name, isOwn: false, root })
  for (const each of names) reader.assign({ text: each, isOwn: false, root }, node, value, '=', true)
}

/** `const { PORT = '80' } = process.env`. */
function readEnvironmentPattern(reader: Reader, id: Node, value: Value): void {
  if (value.kind !== 'path') return
  for (const property of children(id, 'properties')) {
    const key = property.type === 'Property' ? keyOf(property, 'key') : undefined
    if (key === undefined) continue
    const name = environmentName({ ...value.path, text: `${value.path.text}.${key}` })
    if (name === undefined) continue
    const pattern = child(property, 'value')
    const right = pattern?.type === 'AssignmentPattern' ? child(pattern, 'right') : undefined
    const fallback = right === undefined ? undefined : reader.value(right)
    reader.envReads.push({ ...reader.at(property), name, fallback })
  }
}

/** x of `require('x')` and `await import('x')`. */
function requiredModule(init: Node | undefined): string | undefined {
  if (init === undefined) return undefined
  let node = bare(init)
  if (node.type === 'AwaitExpression') node = bare(child(node, 'argument') ?? node)
  const [source] =
    node.type === 'ImportExpression'
      ? [child(node, 'source')]
      : node.type === 'CallExpression' && text(child(node, 'callee'), 'name') === 'require'
        ? children(node, 'arguments')
        : []
  return source !== undefined && typeof source.value === 'string' ? source.value : undefined
}

function importedAs(pattern: Node, local: string): string {
  for (const property of children(pattern, 'properties')) {
    const value = child(property, 'value')
    if (value !== undefined && [...bound(value)].includes(local)) return keyOf(property, 'key') ?? local
  }
  return local
}

function declareImport(
  reader: Reader,
  node: Node,
  module: string,
  imported: string,
  local: string,
  isTypeOnly = false,
): void {
  reader.imports.push({ module, imported, local, line: reader.at(node).line, isTypeOnly })
  const root = imported === '*' || imported === 'default' ? `import:${module}` : `import:${module}#${imported}`
  reader.scopes.declare(local, root)
}

function readImport(reader: Reader, node: Node): void {
  const module = String(child(node, 'source')?.value ?? '')
  const specifiers = children(node, 'specifiers')
  const isTypeOnly = text(node, 'importKind') === 'type'
  if (specifiers.length === 0)
    reader.imports.push({ module, imported: '', local: '', line: reader.at(node).line, isTypeOnly })
  for (const specifier of specifiers) {
    const imported =
      specifier.type === 'ImportNamespaceSpecifier'
        ? '*'
        : specifier.type === 'ImportDefaultSpecifier'
          ? 'default'
          : text(child(specifier, 'imported'), 'name') || String(child(specifier, 'imported')?.value ?? '')
    const isType = isTypeOnly || text(specifier, 'importKind') === 'type'
    declareImport(reader, node, module, imported, text(child(specifier, 'local'), 'name'), isType)
  }
}

function readExport(reader: Reader, node: Node): void {
  const source = child(node, 'source')
  if (source !== undefined) {
    reader.imports.push({
      module: String(source.value),
      imported: '*',
      local: '',
      line: reader.at(node).line,
      isTypeOnly: false,
    })
    for (const specifier of children(node, 'specifiers'))
      reader.exports.push(text(child(specifier, 'exported'), 'name'))
    return
  }
  for (const specifier of children(node, 'specifiers')) reader.exports.push(text(child(specifier, 'exported'), 'name'))
  const declaration = child(node, 'declaration')
  if (declaration === undefined) return
  if (node.type === 'ExportDefaultDeclaration') {
    reader.exports.push('default')
    readDefault(reader, node, declaration)
  }
  switch (declaration.type) {
    case 'FunctionDeclaration':
      readFunction(reader, declaration, true)
      return
    case 'ClassDeclaration':
      reader.exports.push(text(child(declaration, 'id'), 'name'))
      readClass(reader, declaration)
      return
    case 'VariableDeclaration':
      for (const declarator of children(declaration, 'declarations')) readDeclarator(reader, declarator, true)
      return
    default:
      if (node.type !== 'ExportDefaultDeclaration') readStatement(reader, declaration)
  }
}

/** What a module exports as one thing is written to `default`. */
function readDefault(reader: Reader, node: Node, declaration: Node): void {
  const target: Path = { text: 'default', isOwn: false, root: 'module' }
  const name = text(child(declaration, 'id'), 'name')
  if (/^(?:Function|Class|TS\w+)Declaration$/.test(declaration.type)) {
    const path: Path = { text: name, isOwn: false, root: 'module' }
    if (name !== '') reader.assign(target, node, { kind: 'path', path }, '=', true)
    return
  }
  const value = readNamed(reader, declaration, 'default', true)
  setTarget(reader, value, target)
  reader.assign(target, node, value, '=', true)
}

function readFunction(reader: Reader, node: Node, isExported: boolean): void {
  const name = text(child(node, 'id'), 'name')
  if (name !== '') reader.scopes.declare(name, reader.scopes.isModule ? 'module' : 'local')
  if (isExported && name !== '') reader.exports.push(name)
  reader.fn(node, name, 'function', { isExported })
}

function readClass(reader: Reader, node: Node): void {
  const name = text(child(node, 'id'), 'name')
  if (name !== '') reader.scopes.declare(name, reader.scopes.isModule ? 'module' : 'local')
  const decorators = reader.decorators(node)
  const base = child(node, 'superClass')
  const bases = base === undefined ? [] : [reader.path(base).text]
  const block = reader.within('class', node, { name }, () => {
    for (const member of children(child(node, 'body') ?? node, 'body')) readMember(reader, member)
  })
  reader.classes.push({ block, name, bases, decorators })
}

function readMember(reader: Reader, member: Node): void {
  const name = keyOf(member, 'key') ?? '[]'
  const decorators = reader.decorators(member)
  const value = child(member, 'value')
  if (member.type === 'MethodDefinition' && value !== undefined) {
    const kinds = { constructor: 'constructor', get: 'getter', set: 'setter' } as const
    const kind = kinds[text(member, 'kind') as keyof typeof kinds] ?? 'method'
    reader.fn(value, name, kind, { isStatic: member.static === true, decorators })
    return
  }
  if (member.type !== 'PropertyDefinition') return reader.through(member)
  const target: Path = { text: name, isOwn: true, root: '' }
  const read: Value = value === undefined ? { kind: 'null' } : readNamed(reader, value, name)
  setTarget(reader, read, target)
  reader.assign(target, member, read, '=', true)
}

function readIf(reader: Reader, node: Node): void {
  const test = reader.value(child(node, 'test'), 'tested')
  const consequent = child(node, 'consequent')
  const alternate = child(node, 'alternate')
  if (consequent === undefined) return
  const branch = reader.within('branch', consequent, { test }, () => reader.statement(consequent))
  if (alternate !== undefined) reader.within('otherwise', alternate, { of: branch }, () => reader.statement(alternate))
}

function readSwitch(reader: Reader, node: Node): void {
  const left = reader.value(child(node, 'discriminant'), 'tested')
  for (const each of children(node, 'cases')) {
    const tested = child(each, 'test')
    const walk = (): void => reader.statements(children(each, 'consequent'))
    if (tested === undefined) reader.within('otherwise', each, {}, walk)
    else {
      const test: Value = { kind: 'operation', operator: '===', left, right: reader.value(tested) }
      reader.within('branch', each, { test }, walk)
    }
  }
}

function readTry(reader: Reader, node: Node): void {
  const block = child(node, 'block')
  if (block === undefined) return
  const of = reader.within('try', block, {}, () => reader.statement(block))
  const handler = child(node, 'handler')
  if (handler !== undefined) {
    const [binds = ''] = bound(child(handler, 'param'))
    if (binds !== '') reader.scopes.declare(binds, 'local')
    const body = child(handler, 'body')
    reader.within('handler', handler, { of, binds }, () => body !== undefined && reader.statement(body))
  }
  const finalizer = child(node, 'finalizer')
  if (finalizer !== undefined) reader.within('finally', finalizer, { of }, () => reader.statement(finalizer))
}

function readLoop(reader: Reader, node: Node): void {
  const init = child(node, 'init')
  if (init !== undefined) reader.statement(init)
  const left = child(node, 'left')
  const pattern = left?.type === 'VariableDeclaration' ? child(children(left, 'declarations')[0] ?? left, 'id') : left
  const names = [...bound(pattern)]
  for (const name of names) reader.scopes.declare(name, 'local')
  const tested = child(node, 'test') ?? child(node, 'right')
  const value = tested === undefined ? undefined : reader.value(tested, 'tested')
  const isEndless = value === undefined || (value.kind === 'boolean' && value.value)
  const more = { ...(isEndless ? {} : { test: value }), ...(names.length === 0 ? {} : { binds: names.join(',') }) }
  reader.within('loop', node, more, () => {
    const update = child(node, 'update')
    const body = child(node, 'body')
    if (body !== undefined) reader.statement(body)
    if (update !== undefined) reader.value(update, 'dropped')
  })
}

const EXITS: Readonly<Record<string, 'return' | 'throw' | 'break' | 'continue' | 'yield'>> = {
  ReturnStatement: 'return',
  ThrowStatement: 'throw',
  BreakStatement: 'break',
  ContinueStatement: 'continue',
  YieldExpression: 'yield',
}

function readExit(reader: Reader, node: Node): void {
  const kind = EXITS[node.type] ?? 'return'
  const argument = child(node, 'argument')
  const use: CallUse = kind === 'return' ? 'returned' : 'argument'
  const value = argument === undefined ? undefined : reader.value(argument, use)
  reader.exits.push({ ...reader.at(node), kind, value })
}
