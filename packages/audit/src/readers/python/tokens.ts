// Tokens of Python: names, numbers, strings, operators, and the lines and indentation that its blocks are made of. One pass over the text; a file that is
// broken somewhere gives tokens all the same. A line inside of brackets that opens with a word no expression has (`def`, `return` …) ends the
// brackets: so one that was never closed costs a statement, not the rest of the file.

export const NAME = 1
export const NUMBER = 2
export const STRING = 3
export const OPERATOR = 4
export const NEWLINE = 5
export const INDENT = 6
export const DEDENT = 7
export const END = 8

const COMMENT_MAX = 200
const ENDS_BRACKETS = new Set(
  'def class import return with try raise while except finally pass del global assert break continue'.split(' '),
)
const THREE = new Set(['**=', '//=', '>>=', '<<=', '...'])
const TWO = new Set('-> := == != <= >= ** // << >> += -= *= /= %= @= &= |= ^='.split(' '))

export interface Comment {
  readonly line: number
  readonly text: string
}

function isNameStart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code > 127
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

/** The tokens of a text, and where the reader is in them. */
export class Tokens {
  readonly kinds: number[] = []
  readonly starts: number[] = []
  readonly ends: number[] = []
  readonly lines: number[] = []
  readonly endLines: number[] = []
  /** Of names and operators; '' of the others. */
  readonly texts: string[] = []
  /** Of an opening bracket: the index of the one that closes it; 0: none does. */
  readonly partners: number[] = []
  readonly comments: Comment[] = []
  brokenAt: number | undefined
  at = 0
  readonly source: string
  #pos: number
  #line: number
  readonly #isInside: boolean
  readonly #open: number[] = []
  readonly #indents = [0]

  /** `isInside`: a part of an expression (of an f-string), where lines mean nothing. */
  constructor(source: string, line = 1, isInside = false) {
    this.source = source
    this.#line = line
    this.#isInside = isInside
    this.#pos = source.charCodeAt(0) === 0xfeff ? 1 : 0
    this.#scan()
  }

  get line(): number {
    return this.#line
  }

  is(text: string): boolean {
    return this.texts[this.at] === text
  }

  take(text: string): boolean {
    if (this.texts[this.at] !== text) return false
    this.at++
    return true
  }

  broken(line: number): void {
    if (this.brokenAt === undefined || line < this.brokenAt) this.brokenAt = line
  }

  /** To the end of the statement, over whatever is in it. */
  skipLine(): void {
    while (this.kinds[this.at] !== NEWLINE && this.kinds[this.at] !== END) this.at++
    if (this.kinds[this.at] === NEWLINE) this.at++
  }

  #push(kind: number, start: number, end: number, line: number, text = ''): void {
    this.kinds.push(kind)
    this.starts.push(start)
    this.ends.push(end)
    this.lines.push(line)
    this.endLines.push(this.#line)
    this.texts.push(text)
    this.partners.push(0)
  }

  #scan(): void {
    const { source } = this
    const size = source.length
    let isLineStart = !this.#isInside
    while (this.#pos < size) {
      if (isLineStart) {
        isLineStart = false
        if (!this.#indentation()) {
          isLineStart = true
          continue
        }
      }
      const code = source.charCodeAt(this.#pos)
      if (code === 32 || code === 9 || code === 13 || code === 12) this.#pos++
      else if (code === 10) {
        const isNewline = this.#open.length === 0 && !this.#isInside
        if (isNewline) this.#push(NEWLINE, this.#pos, this.#pos, this.#line)
        this.#line++
        this.#pos++
        isLineStart = isNewline
        if (!isNewline && this.#open.length > 0) isLineStart = this.#endsBrackets()
      } else if (code === 35) this.#comment()
      else if (code === 92) this.#continued()
      else this.#token(code)
    }
    const last = this.kinds.at(-1)
    if (!this.#isInside && last !== undefined && last !== NEWLINE) this.#push(NEWLINE, size, size, this.#line)
    const unclosed = this.#open[0]
    if (unclosed !== undefined) this.broken(this.lines[unclosed] ?? 1)
    for (let depth = this.#indents.length; depth > 1; depth--) this.#push(DEDENT, size, size, this.#line)
    this.#push(END, size, size, this.#line)
  }

  /** False: the line is empty, and was passed. */
  #indentation(): boolean {
    const { source } = this
    let width = 0
    for (; ; this.#pos++) {
      const code = source.charCodeAt(this.#pos)
      if (code === 32) width++
      else if (code === 9) width = (width | 7) + 1
      else if (code === 12) width = 0
      else break
    }
    const code = source.charCodeAt(this.#pos)
    if (code === 35) this.#comment()
    if (source.charCodeAt(this.#pos) === 13) this.#pos++
    if (this.#pos >= source.length) return false
    if (source.charCodeAt(this.#pos) === 10) {
      this.#pos++
      this.#line++
      return false
    }
    const indents = this.#indents
    if (width > (indents.at(-1) ?? 0)) {
      indents.push(width)
      this.#push(INDENT, this.#pos, this.#pos, this.#line)
    }
    while (width < (indents.at(-1) ?? 0)) {
      indents.pop()
      this.#push(DEDENT, this.#pos, this.#pos, this.#line)
    }
    if (width !== indents.at(-1)) this.broken(this.#line)
    return true
  }

  #comment(): void {
    const start = this.#pos + 1
    const found = this.source.indexOf('\n', start)
    this.#pos = found === -1 ? this.source.length : found
    this.comments.push({
      line: this.#line,
      text: this.source.slice(start, Math.min(this.#pos, start + COMMENT_MAX)).trim(),
    })
  }

  #continued(): void {
    this.#pos++
    if (this.source.charCodeAt(this.#pos) === 13) this.#pos++
    if (this.source.charCodeAt(this.#pos) !== 10) return this.broken(this.#line)
    this.#pos++
    this.#line++
  }

  /** At the beginning of a line inside of brackets. */
  #endsBrackets(): boolean {
    const pattern = /[ \t]*([a-z]+)\b(?![ \t]*=)/y
    pattern.lastIndex = this.#pos
    const word = pattern.exec(this.source)?.[1]
    if (word === undefined || !ENDS_BRACKETS.has(word)) return false
    this.broken(this.lines[this.#open[0] ?? 0] ?? 1)
    this.#open.length = 0
    this.#push(NEWLINE, this.#pos, this.#pos, this.#line - 1)
    return true
  }

  #token(code: number): void {
    const { source } = this
    const start = this.#pos
    if (isNameStart(code)) {
      let end = start + 1
      for (let next = source.charCodeAt(end); isNameStart(next) || isDigit(next); next = source.charCodeAt(end)) end++
      const quote = source.charCodeAt(end)
      if ((quote === 34 || quote === 39) && end - start <= 2) {
        const prefix = source.slice(start, end).toLowerCase()
        if (/^(?:[rbuft]|[bft]r|r[bft])$/.test(prefix)) {
          const line = this.#line
          this.#string(end, prefix.includes('f') || prefix.includes('t'))
          return this.#push(STRING, start, this.#pos, line)
        }
      }
      this.#pos = end
      return this.#push(NAME, start, end, this.#line, source.slice(start, end))
    }
    if (code === 34 || code === 39) {
      const line = this.#line
      this.#string(start, false)
      return this.#push(STRING, start, this.#pos, line)
    }
    if (isDigit(code) || (code === 46 && isDigit(source.charCodeAt(start + 1)))) return this.#number(start)
    this.#operator(code, start)
  }

  #number(start: number): void {
    const pattern = /0[xXoObB][\da-fA-F_]+|(?:\d[\d_]*)?\.?(?:\d[\d_]*)?(?:[eE][+-]?\d[\d_]*)?[jJlL]?/y
    pattern.lastIndex = start
    const found = pattern.exec(this.source)?.[0] ?? ''
    this.#pos = start + Math.max(1, found.length)
    this.#push(NUMBER, start, this.#pos, this.#line)
  }

  #operator(code: number, start: number): void {
    const { source } = this
    const isBracket = code === 40 || code === 41 || code === 91 || code === 93 || code === 123 || code === 125
    let size = 1
    if (!isBracket && code !== 44) {
      if (THREE.has(source.slice(start, start + 3))) size = 3
      else if (TWO.has(source.slice(start, start + 2))) size = 2
    }
    this.#pos = start + size
    this.#push(OPERATOR, start, this.#pos, this.#line, source.slice(start, start + size))
    if (code === 40 || code === 91 || code === 123) this.#open.push(this.kinds.length - 1)
    else if (isBracket) {
      const opened = this.#open.pop()
      if (opened === undefined) this.broken(this.#line)
      else this.partners[opened] = this.kinds.length - 1
    }
  }

  /** From its quote to behind its end. */
  #string(from: number, isFormatted: boolean): void {
    const { source } = this
    const quote = source.charCodeAt(from)
    const isTriple = source.charCodeAt(from + 1) === quote && source.charCodeAt(from + 2) === quote
    let pos = from + (isTriple ? 3 : 1)
    let depth = 0
    const line = this.#line
    for (; ; pos++) {
      const code = source.charCodeAt(pos)
      if (pos >= source.length || (code === 10 && !isTriple && depth === 0)) {
        this.broken(line)
        break
      }
      if (code === 10) this.#line++
      else if (code === 92) {
        pos++
        if (source.charCodeAt(pos) === 13) pos++
        if (source.charCodeAt(pos) === 10) this.#line++
      } else if (code === quote && !isTriple) {
        if (depth === 0 || !this.#isNested(pos, quote)) {
          pos++
          break
        }
        pos = source.indexOf(String.fromCharCode(quote), pos + 1)
      } else if (code === quote && source.charCodeAt(pos + 1) === quote && source.charCodeAt(pos + 2) === quote) {
        pos += 3
        break
      } else if (isFormatted && code === 123) {
        if (source.charCodeAt(pos + 1) === 123 && depth === 0) pos++
        else depth++
      } else if (isFormatted && code === 125 && depth > 0) depth--
    }
    this.#pos = Math.min(pos, source.length)
  }

  /** The same quote inside of an f-string's braces, as since 3.12: `f"{x["a"]}"`. It is one if it ends on that line, and the braces do too. */
  #isNested(pos: number, quote: number): boolean {
    const mark = String.fromCharCode(quote)
    const lineEnd = this.source.indexOf('\n', pos)
    const end = this.source.indexOf(mark, pos + 1)
    const within = lineEnd === -1 ? this.source.length : lineEnd
    if (end === -1 || end > within) return false
    const closing = this.source.indexOf('}', end)
    return closing !== -1 && closing < within && this.source.indexOf(mark, closing) !== -1
  }
}
