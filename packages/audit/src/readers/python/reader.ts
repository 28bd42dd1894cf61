// The reader of Python: one walk over the tokens that writes facts down while it goes; no tree is built. Nothing is decided here, and nothing is executed.
// Bounded: brackets, blocks and operators deeper than their limits are passed over as `other`.

import { FactsDraft, type Growing, TEXT_MAX } from '../../facts/draft.ts'
import type { Assignment, Block, BlockKind, Call, CallUse, FileFacts, Path, Value } from '../../facts/facts.ts'
import { Scopes } from './scope.ts'
import { END, NEWLINE, Tokens } from './tokens.ts'

/** CPython refuses more than 200 brackets in each other, and more than 100 blocks. */
export const DEPTH_MAX = 100
export const OPERATORS_MAX = 64

export const NOTHING: Value = { kind: 'null' }

/** Given, since what is walked by them walks with the reader. */
export interface Walk {
  readonly suite: (reader: Reader) => void
  readonly primary: (reader: Reader) => Value
}

export class Reader extends FactsDraft {
  readonly walk: Walk
  tokens: Tokens
  readonly scopes = new Scopes()
  /** Local names of objects that read the environment: `env = environ.Env()`. */
  readonly environments = new Set<string>()
  /** Brackets and blocks that the reader is in. */
  depth = 0
  /** Of the function that is being read. */
  hasYield = false

  constructor(source: string, walk: Walk) {
    super()
    this.walk = walk
    this.tokens = new Tokens(source)
  }

  /** From a token to the one before the current. */
  at(from: number): { line: number; endLine: number; block: number } {
    const { tokens, block } = this
    const line = tokens.lines[from] ?? 1
    return { line, endLine: Math.max(line, tokens.endLines[tokens.at - 1] ?? line), block }
  }

  other(from: number): Value {
    const { tokens } = this
    const start = tokens.starts[from] ?? 0
    const end = tokens.ends[Math.max(from, tokens.at - 1)] ?? start
    return { kind: 'other', text: tokens.source.slice(start, Math.min(end, start + TEXT_MAX)) }
  }

  lineText(line: number): string {
    const { tokens } = this
    const found = tokens.lines.indexOf(line)
    const start = tokens.starts[found] ?? 0
    const end = tokens.source.indexOf('\n', start)
    return tokens.source.slice(start, end === -1 ? undefined : end).replace(/\s+#.*$/, '')
  }

  /** Opens a block; `close` says where it ends. */
  open(kind: BlockKind, from: number, more: Partial<Block> = {}): number {
    const index = this.blocks.length
    const line = this.tokens.lines[from] ?? 1
    this.blocks.push({ kind, parent: this.block, line, endLine: line, name: '', ...more })
    this.block = index
    return index
  }

  close(index: number): void {
    const block = this.blocks[index]
    if (block === undefined) return
    const { tokens } = this
    let last = tokens.at - 1
    while (last > 0 && (tokens.kinds[last] as number) >= NEWLINE) last--
    block.endLine = Math.max(block.line, tokens.endLines[last] ?? block.line)
    this.block = block.parent
  }

  /** What was read since then belongs to a block that only now is seen to be one: the value of `x if y`, of `x for y in z`. */
  adopt(index: number, calls: number, blocks: number, envReads: number): void {
    const { block } = this
    const move = (each: { block: number } | undefined): void => {
      if (each?.block === block) each.block = index
    }
    for (let at = calls; at < this.calls.length; at++) move(this.calls[at])
    for (let at = envReads; at < this.envReads.length; at++) move(this.envReads[at])
    for (let at = blocks; at < this.blocks.length; at++) {
      const each = this.blocks[at]
      if (each?.parent === block && at !== index) each.parent = index
    }
  }

  path(name: string, rest: string): Path {
    if (name === '') return { text: rest === '' ? '()' : `().${rest}`, isOwn: false, root: '' }
    if (this.scopes.isOwn(name)) return { text: rest, isOwn: true, root: '' }
    const path = { text: rest === '' ? name : `${name}.${rest}`, isOwn: false, root: '' }
    this.scopes.settle(name, path)
    return path
  }

  call(
    from: number,
    callee: Path,
    on: number,
    use: CallUse = 'argument',
  ): Growing<Call> & { args: Value[]; named: [string, Value][] } {
    const call = {
      ...this.at(from),
      callee,
      args: [] as Value[],
      named: [] as [string, Value][],
      hasSpread: false,
      isNew: false,
      use,
      on,
      target: undefined,
    }
    this.calls.push(call)
    return call
  }

  /** How the value of a call is used is seen after it was read. */
  mark(value: Value, use: CallUse): Value {
    if (value.kind === 'call') {
      const call = this.calls[value.call]
      if (call !== undefined) call.use = use
    }
    return value
  }

  assign(target: Path, from: number, value: Value, operator: Assignment['operator'], isDeclaration: boolean): void {
    const inner = value.kind === 'await' ? value.value : value
    const call = inner.kind === 'call' ? this.calls[inner.call] : undefined
    if (call !== undefined && operator === '=') {
      call.target = target
      if (call.use !== 'awaited') call.use = 'assigned'
      if (
        /^(?:environs|environ)\b/.test(this.#moduleOf(call.callee)) &&
        /(?:^|\.)(?:Fast|File)?(?:Aware)?Env$/.test(call.callee.text)
      )
        this.environments.add(target.text)
    }
    this.assignments.push({ ...this.at(from), target, operator, value, isDeclaration })
  }

  #moduleOf({ text }: Path): string {
    return this.scopes.rootOf(text.split('.', 1)[0] ?? '').replace('import:', '')
  }

  environment(from: number, name: string, fallback: Value | undefined): void {
    this.envReads.push({ ...this.at(from), name, fallback })
  }

  /** Past the end of a statement; what is left of it is broken. */
  endLine(): void {
    const { tokens } = this
    const kind = tokens.kinds[tokens.at]
    if (kind === NEWLINE) tokens.at++
    else if (kind !== END) {
      tokens.broken(tokens.lines[tokens.at] ?? 1)
      tokens.skipLine()
    }
  }

  finish(file: string): FileFacts {
    const { comments, brokenAt, line: lines } = this.tokens
    return this.seal({ file, language: 'python', lines, comments, brokenAt })
  }
}
