// Names, calls, subscripts, brackets and comprehensions: what an expression of Python begins with, and what follows it closely.

import type { Call, Value } from '../../facts/facts.ts'
import { environmentOfCall, environmentOfPath } from './environment.ts'
import { readNumber, readStrings } from './literals.ts'
import { NOTHING, type Reader } from './reader.ts'
import { NAME, NUMBER, OPERATOR, STRING } from './tokens.ts'
import { isExpressionNext, readBinary, readTest } from './values.ts'

const KEYWORDS = new Set(
  'and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield'.split(
    ' ',
  ),
)
const CONSTANTS: Readonly<Record<string, Value>> = Object.assign(Object.create(null), {
  None: NOTHING,
  True: { kind: 'boolean', value: true },
  False: { kind: 'boolean', value: false },
})

/** What the dots, calls and subscripts so far come to. */
interface Chain {
  readonly from: number
  /** The name that it begins with; '': it begins with a value. */
  name: string
  rest: string
  /** The call that it begins with; -1: none. */
  on: number
}

export function readPrimary(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at
  const chain: Chain = { from, name: '', rest: '', on: -1 }
  if (tokens.kinds[from] === NAME) {
    const text = tokens.texts[from] as string
    const constant = CONSTANTS[text]
    if (constant !== undefined || KEYWORDS.has(text)) {
      if (constant === undefined) return unexpected(reader)
      tokens.at++
      return readChain(reader, chain, constant)
    }
    tokens.at++
    chain.name = text
    return readChain(reader, chain, undefined)
  }
  const base = readAtom(reader)
  const next = tokens.texts[tokens.at]
  if (next !== '.' && next !== '(' && next !== '[') return base
  const inner = base.kind === 'await' ? base.value : base
  if (inner.kind === 'call') {
    chain.on = inner.call
    if (base.kind === 'call') reader.mark(base, 'chained')
  } else if (base.kind === 'path' && !base.path.isOwn) {
    const [name = '', ...rest] = base.path.text.split('.')
    chain.name = name === '()' ? '' : name
    chain.rest = rest.join('.')
  }
  return readChain(reader, chain, base)
}

function readAtom(reader: Reader): Value {
  const { tokens } = reader
  switch (tokens.kinds[tokens.at]) {
    case NUMBER: {
      const at = tokens.at++
      return readNumber(tokens.source.slice(tokens.starts[at], tokens.ends[at]))
    }
    case STRING:
      return readStrings(reader)
    case OPERATOR:
      switch (tokens.texts[tokens.at]) {
        case '(':
          return readBracket(reader, ')')
        case '[':
          return readBracket(reader, ']')
        case '{':
          return readBraces(reader)
        case '...':
          tokens.at++
          return { kind: 'other', text: '...' }
        default:
      }
  }
  return unexpected(reader)
}

function unexpected(reader: Reader): Value {
  const { tokens } = reader
  tokens.broken(tokens.lines[tokens.at] ?? 1)
  return { kind: 'other', text: '' }
}

function readChain(reader: Reader, chain: Chain, base: Value | undefined): Value {
  const { tokens } = reader
  let isBare = base !== undefined
  for (;;) {
    const text = tokens.texts[tokens.at]
    if (text === '.') {
      tokens.at++
      if (tokens.kinds[tokens.at] !== NAME) unexpected(reader)
      else follow(chain, tokens.texts[tokens.at++] as string)
    } else if (text === '(') {
      const call = reader.calls.length
      readCall(reader, chain)
      chain.name = ''
      chain.rest = ''
      chain.on = call
    } else if (text === '[') follow(chain, readSubscript(reader))
    else break
    isBare = false
  }
  if (isBare && base !== undefined) return base
  if (chain.on !== -1 && chain.name === '') {
    const value: Value = { kind: 'call', call: chain.on }
    if (chain.rest === '') return value
    reader.mark(value, 'chained')
  }
  const path = reader.path(chain.name, chain.rest)
  const variable = environmentOfPath(reader, path)
  if (variable !== undefined) reader.environment(chain.from, variable, undefined)
  return { kind: 'path', path }
}

function follow(chain: Chain, name: string): void {
  chain.rest = chain.rest === '' ? name : `${chain.rest}.${name}`
}

function readCall(reader: Reader, chain: Chain): void {
  const callee = reader.path(chain.name, chain.rest)
  const before = chain.on === -1 ? undefined : reader.calls[chain.on]
  if (before !== undefined) reader.mark({ kind: 'call', call: chain.on }, 'chained')
  const call = reader.call(chain.from, callee, chain.on)
  readArguments(reader, call)
  call.endLine = reader.at(chain.from).endLine
  const variable = environmentOfCall(reader, call as Call)
  if (variable !== undefined) reader.environment(chain.from, variable.name, variable.fallback)
}

/** From the bracket that opens to behind the one that closes. */
export function readArguments(
  reader: Reader,
  call: { args: Value[]; named: [string, Value][]; hasSpread: boolean },
): void {
  const { tokens } = reader
  const closing = tokens.partners[tokens.at++] as number
  while (!tokens.is(')') && isMore(reader, closing)) {
    const from = tokens.at
    if (tokens.is('*') || tokens.is('**')) {
      tokens.at++
      readTest(reader)
      call.hasSpread = true
    } else if (tokens.kinds[from] === NAME && tokens.texts[from + 1] === '=') {
      tokens.at += 2
      call.named.push([tokens.texts[from] as string, readTest(reader)])
    } else call.args.push(readElement(reader))
    separate(reader, from, closing)
  }
  tokens.take(')')
}

function isMore(reader: Reader, closing: number): boolean {
  const { tokens } = reader
  return closing === 0 ? isExpressionNext(reader) || tokens.is(',') : tokens.at < closing
}

/** After an element there is a comma or the end; anything else is broken, and passed over as far as the end. */
function separate(reader: Reader, from: number, closing: number): void {
  const { tokens } = reader
  if (tokens.take(',') || tokens.at === closing) return
  unexpected(reader)
  if (closing > 0) tokens.at = closing
  else if (tokens.at === from) tokens.at++
}

/** An element of brackets, which may be the value of a comprehension. */
function readElement(reader: Reader): Value {
  const { tokens } = reader
  const from = tokens.at
  const calls = reader.calls.length
  const blocks = reader.blocks.length
  const envReads = reader.envReads.length
  const value = readTest(reader)
  const isComprehension = tokens.is('for') || (tokens.is('async') && tokens.texts[tokens.at + 1] === 'for')
  return isComprehension ? readComprehension(reader, from, calls, blocks, envReads) : value
}

function readComprehension(reader: Reader, from: number, calls: number, blocks: number, envReads: number): Value {
  const { tokens } = reader
  const outer = reader.block
  // Only what was read before the first `for` moves into it; what that walks over is read outside.
  const element = {
    calls: reader.calls.slice(calls),
    envReads: reader.envReads.slice(envReads),
    blocks: reader.blocks.slice(blocks),
  }
  let inner = outer
  for (;;) {
    const isAsync = tokens.is('async') && tokens.texts[tokens.at + 1] === 'for'
    if (isAsync) tokens.at++
    if (tokens.take('for')) {
      const names = readTargets(reader)
      tokens.take('in')
      const test = readBinary(reader, 1)
      inner = reader.open('loop', from, { test, binds: names.join(',') })
    } else if (tokens.take('if')) {
      const test = reader.mark(readBinary(reader, 1), 'tested')
      inner = reader.open('branch', from, { test })
    } else break
  }
  for (let at = reader.block; at !== outer; at = reader.block) reader.close(at)
  for (const each of [...element.calls, ...element.envReads]) if (each.block === outer) each.block = inner
  for (const each of element.blocks) if (each.parent === outer) each.parent = inner
  return reader.other(from)
}

/** What `for` and `with … as` bind. */
export function readTargets(reader: Reader): string[] {
  const { tokens } = reader
  const names: string[] = []
  const collect = (value: Value): void => {
    if (value.kind === 'list') for (const item of value.items) collect(item)
    else if (value.kind === 'path') names.push(value.path.isOwn ? `self.${value.path.text}` : value.path.text)
  }
  do {
    tokens.take('*')
    if (tokens.is('in') || !isExpressionNext(reader)) break
    collect(readPrimary(reader))
  } while (tokens.take(','))
  for (const name of names)
    if (!name.includes('.')) reader.scopes.declare(name, reader.scopes.isModule ? 'module' : 'local')
  return names
}

/** `(…)` and `[…]`: a value in parentheses, a tuple, a list, a comprehension. */
function readBracket(reader: Reader, close: ')' | ']'): Value {
  const { tokens } = reader
  const closing = tokens.partners[tokens.at++] as number
  const items: Value[] = []
  let hasSpread = false
  let hasComma = close === ']'
  let isComprehension = false
  while (!tokens.is(close) && isMore(reader, closing)) {
    const from = tokens.at
    if (tokens.is('*')) {
      hasSpread = true
      hasComma = true
    }
    const blocks = reader.blocks.length
    items.push(readElement(reader))
    isComprehension ||=
      tokens.at === closing && items.length === 1 && reader.blocks.length > blocks && items[0]?.kind === 'other'
    if (tokens.is(',')) hasComma = true
    separate(reader, from, closing)
  }
  tokens.take(close)
  const [only] = items
  if (only !== undefined && items.length === 1 && (!hasComma || isComprehension)) return only
  return { kind: 'list', items, hasSpread }
}

function readBraces(reader: Reader): Value {
  const { tokens } = reader
  const closing = tokens.partners[tokens.at++] as number
  const entries: (readonly [string, Value])[] = []
  const items: Value[] = []
  const spreads: Value[] = []
  let isObject = true
  while (!tokens.is('}') && isMore(reader, closing)) {
    const from = tokens.at
    if (tokens.take('**')) spreads.push(readBinary(reader, 5))
    else {
      const key = readElement(reader)
      if (tokens.take(':')) entries.push([key.kind === 'string' ? key.value : '[]', readElement(reader)])
      else {
        isObject = false
        items.push(key)
      }
    }
    separate(reader, from, closing)
  }
  tokens.take('}')
  const hasSpread = spreads.length > 0
  if (!isObject) return { kind: 'list', items, hasSpread }
  return hasSpread ? { kind: 'object', entries, hasSpread, spreads } : { kind: 'object', entries, hasSpread }
}

/** The key where it is a fixed string; '[]' otherwise. */
function readSubscript(reader: Reader): string {
  const { tokens } = reader
  const closing = tokens.partners[tokens.at++] as number
  let key = '[]'
  let count = 0
  while (!tokens.is(']') && isMore(reader, closing)) {
    const from = tokens.at
    if (!tokens.take(':')) {
      const value = readTest(reader)
      if (value.kind === 'string' && value.value !== '' && value.value.length <= 80) key = value.value
      count++
      if (tokens.take(':')) count++
      else separate(reader, from, closing)
    } else count++
  }
  tokens.take(']')
  return count === 1 ? key : '[]'
}
