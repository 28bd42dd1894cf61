// Functions and classes of Python with their decorators. What the object itself is called (`self`, `cls`) is no parameter here, so that the
// arguments of a call stand beside the parameters of what it calls, as they do in TypeScript.

import type { Call, FunctionFacts, Path, Value } from '../../facts/facts.ts'
import { readArguments } from './primary.ts'
import type { Reader } from './reader.ts'
import { NAME, NEWLINE } from './tokens.ts'
import { readTest } from './values.ts'

const CONSTRUCTORS = new Set(['__init__', '__new__', '__post_init__'])

/** With the decorators and the `async` before it. */
export function readFunction(reader: Reader): void {
  const { tokens } = reader
  const from = tokens.at
  const decorators: Call[] = []
  while (tokens.take('@')) {
    decorators.push(readDecorator(reader))
    reader.endLine()
  }
  if (tokens.is('class')) return readClass(reader, from, decorators)
  const isAsync = tokens.take('async')
  if (!tokens.take('def') || tokens.kinds[tokens.at] !== NAME) return
  const name = tokens.texts[tokens.at++] as string
  readDefinition(reader, name, tokens.at - 2 - (isAsync ? 1 : 0), isAsync, decorators)
}

function readDecorator(reader: Reader): Call {
  const from = reader.tokens.at
  const value = reader.mark(readTest(reader), 'dropped')
  if (value.kind === 'call') return reader.calls[value.call] as Call
  const callee: Path = value.kind === 'path' ? value.path : { text: '', isOwn: false, root: '' }
  return {
    ...reader.at(from),
    callee,
    args: [],
    named: [],
    hasSpread: false,
    isNew: false,
    use: 'dropped',
    on: -1,
    target: undefined,
  }
}

function readDefinition(
  reader: Reader,
  name: string,
  from: number,
  isAsync: boolean,
  decorators: readonly Call[],
): void {
  const { tokens, scopes } = reader
  const isMember = scopes.isClass
  const isStatic = decorators.some(({ callee }) => callee.text === 'staticmethod')
  const isModule = scopes.isModule
  if (!isMember) scopes.declare(name, isModule ? 'module' : 'local')
  const isExported = isModule && !name.startsWith('_')
  if (isExported) reader.exports.push(name)
  skipTypeParameters(reader)
  const own =
    isMember && !isStatic && tokens.kinds[tokens.at + 1] === NAME ? (tokens.texts[tokens.at + 1] as string) : ''
  scopes.enter(false, own)
  const before = reader.hasYield
  reader.hasYield = false
  const block = reader.open('function', from, { name })
  const types: (Path | null)[] = []
  const params = readParams(reader, own, types)
  if (tokens.take('->')) readTest(reader)
  reader.walk.suite(reader)
  reader.close(block)
  scopes.leave()
  const fn: FunctionFacts = {
    isAsync,
    isGenerator: reader.hasYield,
    isExported,
    kind: isMember ? kindOf(name, decorators) : 'function',
    isStatic: isStatic || decorators.some(({ callee }) => callee.text === 'classmethod'),
    params,
    ...(types.some((type) => type !== null) ? { types } : {}),
    decorators,
  }
  Object.assign(reader.blocks[block] ?? {}, { fn })
  reader.hasYield = before
}

function kindOf(name: string, decorators: readonly Call[]): FunctionFacts['kind'] {
  if (CONSTRUCTORS.has(name)) return 'constructor'
  for (const { callee } of decorators) {
    if (/(?:^|\.)(?:cached_)?property$/.test(callee.text)) return 'getter'
    if (callee.text.endsWith('.setter')) return 'setter'
  }
  return 'method'
}

function skipTypeParameters({ tokens }: Reader): void {
  const closing = tokens.is('[') ? (tokens.partners[tokens.at] as number) : 0
  if (closing > 0) tokens.at = closing + 1
}

function firstName({ text }: Path): string {
  return text.split('.', 1)[0] as string
}

/** What was imported, or is a class of the module. */
function isNamed(root: string): boolean {
  return root === 'module' || root.startsWith('import:')
}

function readParams(reader: Reader, own: string, types: (Path | null)[]): string[] {
  const { tokens, scopes } = reader
  const params: string[] = []
  if (!tokens.is('(')) {
    tokens.broken(tokens.lines[tokens.at] ?? 1)
    return params
  }
  const closing = tokens.partners[tokens.at++] as number
  while (!tokens.is(')') && (closing > 0 ? tokens.at < closing : tokens.kinds[tokens.at] !== NEWLINE)) {
    const from = tokens.at
    if (tokens.kinds[from] !== NAME) {
      tokens.at++
      continue
    }
    const name = tokens.texts[tokens.at++] as string
    const isOwn = name === own && params.length === 0
    if (!isOwn) {
      params.push(name)
      scopes.declare(name, 'param')
    }
    const type = tokens.take(':') ? readAnnotation(reader) : undefined
    if (!isOwn) types.push(type !== undefined && isNamed(scopes.rootOf(firstName(type))) ? type : null)
    if (tokens.take('=')) reader.assign(reader.path(name, ''), from, readTest(reader), '=', true)
    if (tokens.at < closing && !tokens.is(',')) {
      tokens.broken(tokens.lines[tokens.at] ?? 1)
      tokens.at = closing
    }
  }
  tokens.take(')')
  return params
}

/** The type that is meant: `T` of `Annotated[T, …]`, `Optional[T]` and `T | None`. */
function readAnnotation(reader: Reader): Path | undefined {
  const { tokens } = reader
  const from = tokens.at
  const read = readTest(reader)
  const type = read.kind === 'operation' && read.operator === '|' ? read.left : read
  if (type.kind !== 'path') return undefined
  if (!/(?:^|\.)(?:Annotated|Optional)\.\[\]$/.test(type.path.text)) return type.path
  const opening = tokens.texts.indexOf('[', from)
  const name = tokens.texts[opening + 1] ?? ''
  let rest = ''
  for (let at = opening + 2; /^[\w.]+$/.test(tokens.texts[at] ?? ''); at++) rest += tokens.texts[at]
  return /^\w+$/.test(name) ? reader.path(name, rest) : undefined
}

export function readClass(reader: Reader, from: number, decorators: readonly Call[] = []): void {
  const { tokens, scopes } = reader
  const start = tokens.at++
  if (tokens.kinds[tokens.at] !== NAME) return
  const name = tokens.texts[tokens.at++] as string
  scopes.declare(name, scopes.isModule ? 'module' : 'local')
  if (scopes.isModule && !name.startsWith('_')) reader.exports.push(name)
  skipTypeParameters(reader)
  const heads = { args: [] as Value[], named: [] as [string, Value][], hasSpread: false }
  if (tokens.is('(')) readArguments(reader, heads)
  const bases = heads.args.flatMap((base) => (base.kind === 'path' ? [base.path.text.replace(/\.\[\]$/, '')] : []))
  const block = reader.open('class', decorators.length > 0 ? start : from, { name })
  reader.classes.push({ block, name, bases, decorators })
  const since = reader.assignments.length
  scopes.enter(true)
  reader.walk.suite(reader)
  reader.close(block)
  scopes.leave()
  if (bases.some((base) => /(?:^|\.)BaseSettings$/.test(base))) readSettings(reader, block, since)
}

/** The fields of a settings class of pydantic are read from the environment by their names. */
function readSettings(reader: Reader, block: number, since: number): void {
  const own = reader.assignments.slice(since)
  const prefix = prefixOf(reader, own)
  for (const { line, endLine, block: where, target, value, isDeclaration } of own) {
    if (where !== block || !isDeclaration || !target.isOwn || /^(?:model_config|_.*)$/.test(target.text)) continue
    const call = value.kind === 'call' ? reader.calls[value.call] : undefined
    const isField = call !== undefined && /(?:^|\.)Field$/.test(call.callee.text)
    const given = isField
      ? call.named.find(([key]) => key === 'env' || key === 'validation_alias' || key === 'alias')?.[1]
      : undefined
    const fallback = isField ? (call.named.find(([key]) => key === 'default')?.[1] ?? call.args[0]) : value
    const name = given?.kind === 'string' ? given.value : `${prefix}${target.text}`.toUpperCase()
    const isRequired =
      fallback === undefined ||
      (fallback.kind === 'other' && fallback.text === '...') ||
      isBare(reader, line, target.text)
    reader.envReads.push({ line, endLine, block: where, name, fallback: isRequired ? undefined : fallback })
  }
}

/** `name: str`, which has no value of its own. */
function isBare(reader: Reader, line: number, name: string): boolean {
  const pattern = new RegExp(`^\\s*${name}\\s*:[^=]*$`)
  return pattern.test(reader.lineText(line))
}

function prefixOf(reader: Reader, own: Reader['assignments']): string {
  for (const { target, value } of own) {
    if (target.text === 'env_prefix' && value.kind === 'string') return value.value
    const call = target.text === 'model_config' && value.kind === 'call' ? reader.calls[value.call] : undefined
    const given = call?.named.find(([key]) => key === 'env_prefix')?.[1]
    if (given?.kind === 'string') return given.value
  }
  return ''
}
