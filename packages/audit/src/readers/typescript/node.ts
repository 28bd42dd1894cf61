// Nodes of the syntax tree (ESTree, as oxc-parser gives it), seen loosely: the reader asks for the fields that a type of node has, and whatever
// it doesn't know it walks through. So a new kind of syntax costs facts, never a crash.

export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'
}

export function child(node: Node, field: string): Node | undefined {
  const value = node[field]
  return isNode(value) ? value : undefined
}

export function children(node: Node, field: string): readonly Node[] {
  const value = node[field]
  return Array.isArray(value) ? value.filter(isNode) : []
}

export function text(node: Node | undefined, field: string): string {
  const value = node?.[field]
  return typeof value === 'string' ? value : ''
}

/** All nodes below, in the order of the source; types are not code and are left out. */
export function eachBelow(node: Node, visit: (inner: Node) => void): void {
  for (const field in node) {
    const value = node[field]
    if (typeof value !== 'object' || value === null) continue
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item) && !isType(item)) visit(item)
    } else if (isNode(value) && !isType(value)) visit(value)
  }
}

const EXPRESSIONS_OF_TYPESCRIPT = new Set([
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSTypeAssertion',
  'TSInstantiationExpression',
])

function isType({ type }: Node): boolean {
  return type[0] === 'T' && type[1] === 'S' && !EXPRESSIONS_OF_TYPESCRIPT.has(type) && !CODE_OF_TYPESCRIPT.has(type)
}

const CODE_OF_TYPESCRIPT = new Set([
  'TSExportAssignment',
  'TSModuleDeclaration',
  'TSModuleBlock',
  'TSParameterProperty',
])

/** Without what changes nothing: parentheses, assertions of types, optional chains. */
export function bare(node: Node): Node {
  let inner = node
  for (;;) {
    const next =
      inner.type === 'ParenthesizedExpression' ||
      inner.type === 'ChainExpression' ||
      EXPRESSIONS_OF_TYPESCRIPT.has(inner.type)
        ? child(inner, 'expression')
        : undefined
    if (next === undefined) return inner
    inner = next
  }
}

/** The name of a property: of `a.b`, `{ b: … }` and `a['b']`; undefined where it is computed. */
export function keyOf(node: Node, field: 'key' | 'property'): string | undefined {
  const key = child(node, field)
  if (key === undefined) return undefined
  if (key.type === 'PrivateIdentifier') return `#${text(key, 'name')}`
  if (node.computed !== true && key.type === 'Identifier') return text(key, 'name')
  return key.type === 'Literal' && typeof key.value !== 'object' ? String(key.value) : undefined
}

/** The names that a pattern binds. */
export function* bound(pattern: Node | undefined): Iterable<string> {
  if (pattern === undefined) return
  switch (pattern.type) {
    case 'Identifier':
      yield text(pattern, 'name')
      return
    case 'AssignmentPattern':
      yield* bound(child(pattern, 'left'))
      return
    case 'RestElement':
      yield* bound(child(pattern, 'argument'))
      return
    case 'ObjectPattern':
      for (const property of children(pattern, 'properties'))
        yield* bound(property.type === 'RestElement' ? property : child(property, 'value'))
      return
    case 'ArrayPattern':
      for (const element of children(pattern, 'elements')) yield* bound(element)
      return
    case 'TSParameterProperty':
      yield* bound(child(pattern, 'parameter'))
      return
    default:
  }
}
