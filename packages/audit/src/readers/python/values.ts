// Expressions, as values. Every call on the way is written down; what has no form of its own becomes `other` with its text.

import { foldNumbers } from '../../facts/draft.ts'
import type { Value } from '../../facts/facts.ts'
import { DEPTH_MAX, NOTHING, OPERATORS_MAX, type Reader } from './reader.ts'
import { DEDENT, END, INDENT, NAME, NEWLINE } from './tokens.ts'

const PRECEDENCE: Readonly<Record<string, number>> = Object.assign(Object.create(null), {
  or: 1,
  and: 2,
  in: 4,
  not: 4,
  is: 4,
  '<': 4,
  '>': 4,
  '<=': 4,
  '>=': 4,
  '==': 4,
  '!=': 4,
  '|': 5,
  '^': 6,
  '&': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '//': 10,
  '%': 10,
  '@': 10,
  '**': 12,
})
const NOT = 3
const UNARY = 11

/** One expression: also a lambda, a choice, a walrus. */
export function readTest(reader: Reader): Value {
  if (reader.depth >= DEPTH_MAX) return skip(reader)
  reader.depth++
  const value = readChoice(reader)
  reader.depth--
  return value
}

function readChoice(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at
  if (tokens.is('lambda')) return readLambda(reader)
  if (tokens.is('yield')) return readYield(reader)
  const calls = reader.calls.length
  const blocks = reader.blocks.length
  const envReads = reader.envReads.length
  if (tokens.kinds[from] === NAME && tokens.texts[from + 1] === ':=') return readWalrus(reader)
  const left = readBinary(reader, 1)
  if (!tokens.take('if')) return left
  const test = reader.mark(readBinary(reader, 1), 'tested')
  if (!tokens.is('else')) {
    // The condition of a comprehension reads on its own: this is none, so the text is broken here.
    tokens.broken(tokens.lines[tokens.at] ?? 1)
    return left
  }
  const outer = reader.block
  const branch = reader.open('branch', from, { test })
  reader.block = outer
  reader.adopt(branch, calls, blocks, envReads)
  reader.block = branch
  reader.close(branch)
  tokens.at++
  const otherwise = reader.open('otherwise', tokens.at, { of: branch })
  const right = readTest(reader)
  reader.close(otherwise)
  return { kind: 'operation', operator: '?:', left, right }
}

function readWalrus(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at
  const name = tokens.texts[from] as string
  tokens.at += 2
  const value = readTest(reader)
  reader.scopes.declare(name, reader.scopes.isModule ? 'module' : 'local')
  reader.assign(reader.path(name, ''), from, value, '=', true)
  return value
}

function readYield(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at++
  tokens.take('from')
  const value = isExpressionNext(reader) ? readTests(reader) : undefined
  reader.hasYield = true
  reader.exits.push({ ...reader.at(from), kind: 'yield', value })
  return reader.other(from)
}

function readLambda(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at++
  reader.scopes.enter(false)
  const params: string[] = []
  const block = reader.open('function', from)
  while (!tokens.is(':') && tokens.kinds[tokens.at] !== NEWLINE && tokens.kinds[tokens.at] !== END) {
    if (tokens.kinds[tokens.at] === NAME) {
      const name = tokens.texts[tokens.at++] as string
      params.push(name)
      reader.scopes.declare(name, 'param')
    } else if (tokens.take('=')) readTest(reader)
    else tokens.at++
  }
  tokens.take(':')
  const body = tokens.at
  const value = reader.mark(readTest(reader), 'returned')
  reader.exits.push({ ...reader.at(body), kind: 'return', value })
  reader.close(block)
  reader.scopes.leave()
  const fn = {
    isAsync: false,
    isGenerator: false,
    isExported: false,
    kind: 'lambda',
    isStatic: false,
    params,
    decorators: [],
  } as const
  Object.assign(reader.blocks[block] ?? {}, { fn })
  return { kind: 'function', block }
}

export function readBinary(reader: Reader, least: number): Value {
  const { tokens } = reader
  const from = tokens.at
  let left = readUnary(reader, least)
  for (let count = 0; ; count++) {
    const written = tokens.texts[tokens.at] as string
    const precedence = PRECEDENCE[written]
    if (precedence === undefined || precedence < least) return left
    const operator = readOperator(reader, written)
    if (operator === undefined) return left
    if (operator === 'or' || operator === 'and') reader.mark(left, 'tested')
    const isLast = operator === '**'
    const before = reader.envReads.length
    const right = isLast ? deeper(reader, UNARY) : readBinary(reader, precedence + 1)
    if (operator === 'or') fallBack(reader, left, right, before)
    left =
      count < OPERATORS_MAX
        ? (foldNumbers(operator, left, right) ?? { kind: 'operation', operator, left, right })
        : reader.other(from)
  }
}

function readOperator(reader: Reader, written: string): string | undefined {
  const { tokens } = reader
  if (written === 'not') {
    if (tokens.texts[tokens.at + 1] !== 'in') return undefined
    tokens.at += 2
    return 'not in'
  }
  tokens.at++
  return written === 'is' && tokens.take('not') ? 'is not' : written
}

/** `os.getenv('X') or 'y'`. */
function fallBack(reader: Reader, left: Value, right: Value, before: number): void {
  const read = reader.envReads[before - 1]
  if (read === undefined || read.fallback !== undefined) return
  const last = left.kind === 'call' ? reader.calls[left.call] : undefined
  const isRead =
    last === undefined
      ? left.kind === 'path' && left.path.text.endsWith(`.${read.name}`)
      : isNamed(last.args[0], read.name)
  if (isRead) read.fallback = right
}

function isNamed(value: Value | undefined, name: string): boolean {
  return value?.kind === 'string' && value.value === name
}

/** Operators before their value, which may stand before each other. */
function deeper(reader: Reader, least: number): Value {
  if (reader.depth >= DEPTH_MAX) return skip(reader)
  reader.depth++
  const value = readBinary(reader, least)
  reader.depth--
  return value
}

function readUnary(reader: Reader, least: number): Value {
  const { tokens } = reader
  const written = tokens.texts[tokens.at] as string
  switch (written) {
    case 'not': {
      tokens.at++
      return { kind: 'not', value: reader.mark(deeper(reader, NOT), 'tested') }
    }
    case 'await':
      tokens.at++
      return { kind: 'await', value: reader.mark(readAwaited(reader), 'awaited') }
    case '-':
    case '+':
    case '~': {
      tokens.at++
      const value = deeper(reader, UNARY)
      if (written === '-' && value.kind === 'number') return { kind: 'number', value: -value.value }
      return written === '+' && value.kind === 'number'
        ? value
        : { kind: 'operation', operator: written, left: value, right: NOTHING }
    }
    case '*':
    case '**':
      tokens.at++
      return deeper(reader, 5)
    default:
      return least > 0 ? reader.walk.primary(reader) : NOTHING
  }
}

function readAwaited(reader: Reader): Value {
  return reader.tokens.is('await') ? deeper(reader, UNARY) : reader.walk.primary(reader)
}

/** One expression, or several with commas between: a list of them. */
export function readTests(reader: Reader): Value {
  const { tokens } = reader
  const first = readTest(reader)
  if (!tokens.is(',')) return first
  const items = [first]
  while (tokens.take(',')) {
    if (!isExpressionNext(reader)) break
    items.push(readTest(reader))
  }
  return { kind: 'list', items, hasSpread: false }
}

const ENDS = new Set([')', ']', '}', ':', '=', ';', ',', ''])

export function isExpressionNext(reader: Reader): boolean {
  const { tokens } = reader
  const kind = tokens.kinds[tokens.at] as number
  if (kind === NEWLINE || kind === END || kind === INDENT || kind === DEDENT) return false
  const text = tokens.texts[tokens.at] as string
  return text === '' || !ENDS.has(text)
}

/** Over an expression that is nested too deep. */
function skip(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at
  for (; isExpressionNext(reader); tokens.at++) {
    const partner = tokens.partners[tokens.at] as number
    if (partner > 0) tokens.at = partner
  }
  return reader.other(from)
}
