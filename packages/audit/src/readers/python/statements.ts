// Statements: what they open (blocks), bind (names), and how they leave.

import type { Value } from '../../facts/facts.ts'
import { readClass, readFunction } from './definitions.ts'
import { readImport, readImportFrom } from './imports.ts'
import { readTargets } from './primary.ts'
import { DEPTH_MAX, NOTHING, type Reader } from './reader.ts'
import { DEDENT, END, INDENT, NAME, NEWLINE, OPERATOR, STRING } from './tokens.ts'
import { isExpressionNext, readBinary, readTest, readTests } from './values.ts'

type Statement = (reader: Reader, from: number) => void

const COMPOUND: Readonly<Record<string, Statement>> = Object.assign(Object.create(null), {
  if: readIf,
  while: readLoop,
  for: readLoop,
  try: readTry,
  with: readWith,
  def: readFunction,
  class: readClass,
  async: readAsync,
  '@': readFunction,
})

const SIMPLE: Readonly<Record<string, Statement>> = Object.assign(Object.create(null), {
  return: readExit,
  raise: readExit,
  break: readExit,
  continue: readExit,
  pass: (reader: Reader) => reader.tokens.at++,
  import: readImport,
  from: readImportFrom,
  global: readOuter,
  nonlocal: readOuter,
  del: readDelete,
  assert: readAssert,
})

export function readStatements(reader: Reader, isEnd: (kind: number) => boolean): void {
  const { tokens } = reader
  for (;;) {
    const kind = tokens.kinds[tokens.at] as number
    if (kind === END || isEnd(kind)) return
    if (kind === NEWLINE || kind === DEDENT) tokens.at++
    else if (kind === INDENT) {
      tokens.broken(tokens.lines[tokens.at] ?? 1)
      tokens.at++
    } else readStatement(reader)
  }
}

function readStatement(reader: Reader): void {
  const { tokens } = reader
  const from = tokens.at
  const text = tokens.texts[from] as string
  const compound = COMPOUND[text]
  if (compound !== undefined) compound(reader, from)
  else if (text === 'match' && isMatch(reader)) readMatch(reader)
  else readSimples(reader)
  if (tokens.at === from) {
    tokens.broken(tokens.lines[from] ?? 1)
    tokens.skipLine()
  }
}

/** A line of simple statements. */
function readSimples(reader: Reader): void {
  const { tokens } = reader
  do {
    const from = tokens.at
    const kind = tokens.kinds[from]
    if (kind === NEWLINE) break
    const simple = SIMPLE[tokens.texts[from] as string]
    if (simple !== undefined) simple(reader, from)
    // A string that stands alone says something to people only.
    else if (kind === STRING && tokens.kinds[from + 1] === NEWLINE) tokens.at++
    else readExpression(reader, from)
  } while (tokens.take(';'))
  reader.endLine()
}

/** The block behind a `:`: its lines, or what stands on the same one. */
export function readSuite(reader: Reader): void {
  const { tokens } = reader
  if (!tokens.take(':')) {
    tokens.broken(tokens.lines[tokens.at] ?? 1)
    tokens.skipLine()
    tokens.at--
  }
  if (tokens.kinds[tokens.at] !== NEWLINE) return readSimples(reader)
  tokens.at++
  if (tokens.kinds[tokens.at] !== INDENT) return tokens.broken(tokens.lines[tokens.at] ?? 1)
  if (reader.depth >= DEPTH_MAX) return skipBlock(reader)
  tokens.at++
  reader.depth++
  readStatements(reader, (kind) => kind === DEDENT)
  reader.depth--
  if (tokens.kinds[tokens.at] === DEDENT) tokens.at++
}

function skipBlock({ tokens }: Reader): void {
  tokens.broken(tokens.lines[tokens.at] ?? 1)
  let depth = 0
  for (; tokens.kinds[tokens.at] !== END; tokens.at++) {
    if (tokens.kinds[tokens.at] === INDENT) depth++
    else if (tokens.kinds[tokens.at] === DEDENT && --depth === 0) break
  }
  if (tokens.kinds[tokens.at] === DEDENT) tokens.at++
}

function readAsync(reader: Reader): void {
  const { tokens } = reader
  const from = tokens.at
  const next = tokens.texts[from + 1]
  if (next === 'def') return readFunction(reader)
  tokens.at++
  if (next === 'for') readLoop(reader, from)
  else if (next === 'with') readWith(reader, from)
}

function readIf(reader: Reader, from: number): void {
  const { tokens } = reader
  tokens.at++
  const opened: number[] = []
  for (let start = from; ; ) {
    const test = reader.mark(readTest(reader), 'tested')
    const branch = reader.open('branch', start, { test })
    readSuite(reader)
    reader.close(branch)
    start = tokens.at
    if (tokens.take('elif')) opened.push(reader.open('otherwise', start, { of: branch }))
    else if (tokens.take('else')) {
      const otherwise = reader.open('otherwise', start, { of: branch })
      readSuite(reader)
      reader.close(otherwise)
      break
    } else break
  }
  for (const otherwise of opened.reverse()) reader.close(otherwise)
}

function readLoop(reader: Reader, from: number): void {
  const { tokens } = reader
  const isFor = tokens.texts[tokens.at++] === 'for'
  const binds = isFor ? readTargets(reader).join(',') : undefined
  if (isFor) tokens.take('in')
  const test = isFor ? readTests(reader) : reader.mark(readTest(reader), 'tested')
  const isEndless = !isFor && ((test.kind === 'boolean' && test.value) || (test.kind === 'number' && test.value !== 0))
  const loop = reader.open('loop', from, { ...(isEndless ? {} : { test }), ...(binds === undefined ? {} : { binds }) })
  readSuite(reader)
  reader.close(loop)
  if (tokens.take('else')) readSuite(reader)
}

function readTry(reader: Reader, from: number): void {
  const { tokens } = reader
  tokens.at++
  const of = reader.open('try', from)
  readSuite(reader)
  reader.close(of)
  for (let start = tokens.at; ; start = tokens.at) {
    if (tokens.take('except')) readHandler(reader, start, of)
    else if (tokens.take('else')) readSuite(reader)
    else if (tokens.take('finally')) {
      const last = reader.open('finally', start, { of })
      readSuite(reader)
      reader.close(last)
    } else return
  }
}

function readHandler(reader: Reader, from: number, of: number): void {
  const { tokens } = reader
  tokens.take('*')
  const type = isExpressionNext(reader) ? readTests(reader) : undefined
  let binds = ''
  if (tokens.take('as') && tokens.kinds[tokens.at] === NAME) {
    binds = tokens.texts[tokens.at++] as string
    reader.scopes.declare(binds, 'local')
  }
  const handler = reader.open('handler', from, { of, binds, name: type === undefined ? '' : classesOf(type) })
  readSuite(reader)
  reader.close(handler)
}

function classesOf(type: Value): string {
  if (type.kind === 'path') return type.path.text
  return type.kind === 'list' ? type.items.map(classesOf).join('|') : ''
}

function readWith(reader: Reader, from: number): void {
  const { tokens } = reader
  const isAsync = tokens.texts[from] === 'async'
  tokens.at++
  const closing = tokens.is('(') ? (tokens.partners[tokens.at] as number) : 0
  const isGrouped = closing > 0 && tokens.texts[closing + 1] === ':'
  if (isGrouped) tokens.at++
  const opened: number[] = []
  do {
    if (!isExpressionNext(reader)) break
    const start = tokens.at
    const test = reader.mark(readTest(reader), isAsync ? 'awaited' : 'argument')
    const names = tokens.take('as') ? readBound(reader, start, test) : []
    opened.push(reader.open('with', from, { test, ...(names.length === 0 ? {} : { binds: names.join(',') }) }))
  } while (tokens.take(','))
  if (isGrouped) tokens.take(')')
  readSuite(reader)
  for (const each of opened.reverse()) reader.close(each)
}

function readBound(reader: Reader, from: number, value: Value): string[] {
  const { tokens } = reader
  const target = tokens.at
  const isTuple = tokens.is('(')
  const written = readTestAsTarget(reader)
  if (isTuple) return written
  const [name] = written
  if (name === undefined) return written
  const isOwn = name.startsWith('self.')
  const path = isOwn ? { text: name.slice('self.'.length), isOwn, root: '' } : reader.path(name, '')
  if (tokens.at > target) reader.assign(path, from, value, '=', true)
  return written
}

/** One target, not the ones behind a comma: those are further items. */
function readTestAsTarget(reader: Reader): string[] {
  const value = readTest(reader)
  const items = value.kind === 'list' ? value.items : [value]
  const names = items.flatMap((item) =>
    item.kind === 'path' ? [`${item.path.isOwn ? 'self.' : ''}${item.path.text}`] : [],
  )
  for (const name of names)
    if (!name.includes('.')) reader.scopes.declare(name, reader.scopes.isModule ? 'module' : 'local')
  return names
}

/** `match` is a name like any other, unless its line ends with a colon and a `case` follows. */
function isMatch({ tokens }: Reader): boolean {
  let at = tokens.at + 1
  if (tokens.kinds[at] === OPERATOR && /^[=.,)\]:;]$/.test(tokens.texts[at] ?? '')) return false
  while (tokens.kinds[at] !== NEWLINE && tokens.kinds[at] !== END) at++
  return tokens.texts[at - 1] === ':' && tokens.kinds[at + 1] === INDENT && tokens.texts[at + 2] === 'case'
}

function readMatch(reader: Reader): void {
  const { tokens } = reader
  tokens.at++
  const left = reader.mark(readTests(reader), 'tested')
  if (!tokens.take(':')) return
  tokens.at += 2
  while (tokens.is('case')) {
    const start = tokens.at++
    const right = readPattern(reader)
    const isAny = right.kind === 'path' && right.path.text === '_'
    const test: Value = { kind: 'operation', operator: '==', left, right }
    const block = isAny ? reader.open('otherwise', start) : reader.open('branch', start, { test })
    if (tokens.take('if')) readTest(reader)
    readSuite(reader)
    reader.close(block)
  }
  if (tokens.kinds[tokens.at] === DEDENT) tokens.at++
}

const OF_PATTERNS = new Set(['as', '(', '{', '[', '*', ','])

/** Patterns look like expressions, but for `as`, `|` and stars; what they bind is told as local. */
function readPattern(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at
  let end = from
  while (tokens.kinds[end] !== NEWLINE && tokens.kinds[end] !== END) {
    const text = tokens.texts[end]
    if (text === ':' || text === 'if') break
    const partner = tokens.partners[end] as number
    end = partner > 0 ? partner + 1 : end + 1
  }
  for (let at = from; at < end; at++)
    if (tokens.kinds[at] === NAME && /^[a-z_]/.test(tokens.texts[at] ?? '') && tokens.texts[at - 1] !== '.')
      reader.scopes.declare(tokens.texts[at] as string, 'local')
  const isSimple = !tokens.texts.slice(from, end).some((text) => OF_PATTERNS.has(text))
  const value = isSimple ? readBinary(reader, 1) : NOTHING
  tokens.at = Math.max(end, tokens.at)
  return isSimple ? value : reader.other(from)
}

const EXITS = { return: 'return', raise: 'throw', break: 'break', continue: 'continue' } as const

function readExit(reader: Reader, from: number): void {
  const { tokens } = reader
  const kind = EXITS[tokens.texts[tokens.at++] as keyof typeof EXITS]
  const isValued = (kind === 'return' || kind === 'throw') && isExpressionNext(reader)
  const value = isValued ? reader.mark(readTests(reader), kind === 'return' ? 'returned' : 'argument') : undefined
  if (kind === 'throw' && tokens.take('from')) readTest(reader)
  reader.exits.push({ ...reader.at(from), kind, value })
}

function readOuter(reader: Reader): void {
  const { tokens } = reader
  tokens.at++
  do {
    if (tokens.kinds[tokens.at] === NAME) reader.scopes.declare(tokens.texts[tokens.at++] as string, 'outer')
  } while (tokens.take(','))
}

function readDelete(reader: Reader, from: number): void {
  reader.tokens.at++
  const value = readTests(reader)
  for (const each of value.kind === 'list' ? value.items : [value])
    if (each.kind === 'path') reader.assign(each.path, from, NOTHING, 'delete', false)
}

function readAssert(reader: Reader): void {
  reader.tokens.at++
  reader.mark(readTests(reader), 'tested')
}

const AUGMENTED = new Set('+= -= *= /= //= %= @= &= |= ^= >>= <<= **='.split(' '))

function readExpression(reader: Reader, from: number): void {
  const { tokens } = reader
  const isType = tokens.is('type') && tokens.kinds[from + 1] === NAME
  if (isType) tokens.at++
  const first = readTests(reader)
  const next = tokens.texts[tokens.at] as string
  if (AUGMENTED.has(next)) {
    tokens.at++
    const value = reader.mark(readTests(reader), 'argument')
    bind(reader, first, from, value, next === '+=' || next === '-=' ? next : 'other', false)
    return
  }
  const isAnnotated = tokens.take(':')
  if (isAnnotated) readTest(reader)
  const targets = [first]
  while (tokens.take('=')) targets.push(readTests(reader))
  if (targets.length === 1) {
    if (isAnnotated) bind(reader, first, from, undefined, '=', true)
    else reader.mark(first, 'dropped')
    return
  }
  const value = targets.pop() ?? NOTHING
  for (const target of targets) bind(reader, target, from, value, '=', isAnnotated || reader.scopes.isClass)
}

function bind(
  reader: Reader,
  target: Value,
  from: number,
  value: Value | undefined,
  operator: '=' | '+=' | '-=' | 'other',
  isDeclared: boolean,
): void {
  if (target.kind === 'list') {
    const parts = value?.kind === 'list' && value.items.length === target.items.length ? value.items : undefined
    for (const [index, item] of target.items.entries())
      bind(reader, item, from, parts?.[index] ?? value, operator, isDeclared)
    return
  }
  if (target.kind !== 'path') return
  let { path } = target
  let isNew = isDeclared
  // A write to the environment is no read of it.
  const read = reader.envReads.at(-1)
  if (
    read !== undefined &&
    path.text.endsWith(`environ.${read.name}`) &&
    operator === '=' &&
    read.line === reader.tokens.lines[from]
  )
    reader.envReads.pop()
  const isName = !path.isOwn && !path.text.includes('.')
  if (isName && reader.scopes.isClass) path = { text: path.text, isOwn: true, root: '' }
  else if (isName) {
    const { isModule } = reader.scopes
    isNew = !reader.scopes.has(path.text)
    reader.scopes.declare(path.text, isModule ? 'module' : 'local')
    if (isModule && !path.text.startsWith('_')) reader.exports.push(path.text)
  }
  const isFunction = value?.kind === 'function' ? reader.blocks[value.block] : undefined
  if (isFunction?.name === '') isFunction.name = path.text.slice(path.text.lastIndexOf('.') + 1)
  reader.assign(path, from, value ?? NOTHING, operator, isDeclared || isNew)
}
