// Source files as the architecture test sees them: code without the contents of comments, strings and regular
// expressions, what is imported, and where functions begin and end. A small scanner, exact enough for our own style and
// tested on its hard cases: a parser would be a dependency, and TypeScript 7's own is still called unstable.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export interface Import {
  readonly specifier: string
  readonly line: number
}

export interface FunctionSpan {
  readonly name: string
  readonly line: number
  readonly lines: number
}

export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string
  readonly text: string
  /** The text with everything blanked that is not code; every character keeps its place. */
  readonly code: string
  /** The text of comments alone, likewise in place. */
  readonly comments: string
  readonly lines: number
}

const SKIPPED = new Set(['node_modules', '.git', '.ripstop', 'coverage', 'dist'])

/** Every file below `root` whose name ends in one of `endings`, with dependencies and generated folders left out. */
export function readSources(root: string, folders: readonly string[], endings: readonly string[]): SourceFile[] {
  const files: SourceFile[] = []
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) {
        if (!SKIPPED.has(entry.name)) visit(path)
      } else if (endings.some((ending) => entry.name.endsWith(ending))) {
        files.push(parseSource(relative(root, path).replaceAll('\\', '/'), readFileSync(path, 'utf8')))
      }
    }
  }
  for (const folder of folders) visit(join(root, folder))
  return files.sort((one, other) => (one.path < other.path ? -1 : 1))
}

export function parseSource(path: string, text: string): SourceFile {
  const { code, comments } = separate(text)
  return { path, text, code, comments, lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0) }
}

// A slash begins a regular expression where no value can stand before it.
const BEFORE_REGEX = /(^|[=(,:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|throw|await|yield|void|delete))\s*$/

/** Splits a text into code and comments, each with the other and the contents of literals blanked. */
function separate(text: string): { code: string; comments: string } {
  const code: string[] = []
  const comments: string[] = []
  const keep = (into: string[], char: string): void => {
    const blank = char === '\n' ? '\n' : ' '
    code.push(into === code ? char : blank)
    comments.push(into === comments ? char : blank)
  }
  const nothing: string[] = []
  const templates: number[] = [] // depth of braces at which each open `${` ends
  let depth = 0
  let at = 0
  const skipTo = (end: number, into: string[]): void => {
    for (; at < end; at++) keep(into, text[at] as string)
  }
  const template = (): void => {
    for (; at < text.length; at++) {
      if (text[at] === '\\') {
        skipTo(at + 1, nothing)
      } else if (text[at] === '`') {
        return skipTo(at + 1, code)
      } else if (text.startsWith('${', at)) {
        templates.push(depth++)
        return skipTo(at + 2, code)
      }
      keep(nothing, text[at] as string)
    }
  }
  while (at < text.length) {
    const char = text[at] as string
    if (text.startsWith('//', at) || (at === 0 && text.startsWith('#!'))) skipTo(endOf(text, '\n', at), comments)
    else if (text.startsWith('/*', at)) skipTo(endOf(text, '*/', at + 2) + 2, comments)
    else if (char === "'" || char === '"') {
      const end = endOfLiteral(text, char, at)
      skipTo(at + 1, code)
      skipTo(end, nothing)
      skipTo(end + 1, code)
    } else if (char === '`') {
      skipTo(at + 1, code)
      template()
    } else if (char === '/' && BEFORE_REGEX.test(code.slice(-40).join(''))) {
      skipTo(endOfRegex(text, at) + 1, nothing)
    } else if (char === '}' && templates.length > 0 && templates.at(-1) === depth - 1) {
      depth--
      templates.pop()
      skipTo(at + 1, code)
      template()
    } else {
      if (char === '{') depth++
      if (char === '}') depth--
      skipTo(at + 1, code)
    }
  }
  return { code: code.join(''), comments: comments.join('') }
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from)
  return end < 0 ? text.length : end
}

function endOfLiteral(text: string, quote: string, from: number): number {
  let at = from + 1
  while (at < text.length && text[at] !== quote && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1
  return at
}

function endOfRegex(text: string, from: number): number {
  let inClass = false
  for (let at = from + 1; at < text.length; at++) {
    const char = text[at]
    if (char === '\\') at++
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '\n' || (char === '/' && !inClass)) return at
  }
  return text.length
}

export function lineAt(text: string, at: number): number {
  return text.slice(0, at).split('\n').length
}

/** What a file imports or passes on, types included. */
export function importsOf({ text, code }: SourceFile): Import[] {
  const imports: Import[] = []
  for (const match of code.matchAll(/(?<![.\w])(?:from\s*|import\s*\(?\s*)(['"])/g)) {
    const from = match.index + match[0].length
    const specifier = text.slice(from, endOfLiteral(text, match[1] as string, from - 1))
    imports.push({ specifier, line: lineAt(text, match.index) })
  }
  return imports
}

/** Every match of a pattern in the code, by line. */
export function linesMatching({ code }: SourceFile, pattern: RegExp): number[] {
  return [...code.matchAll(new RegExp(pattern, 'gm'))].map((match) => lineAt(code, match.index))
}

const NOT_A_NAME = new Set([
  'async',
  'if',
  'for',
  'while',
  'switch',
  'catch',
  'return',
  'await',
  'new',
  'super',
  'typeof',
  'throw',
])
// A type goes on after these; after anything else a brace opens the body.
const TYPE_GOES_ON = /([|&:,<=>]|\b(is|extends|keyof|typeof|readonly|asserts|infer))$/

/** The functions, methods and accessors of a file, and arrow functions with a block. */
export function functionsOf({ code }: SourceFile): FunctionSpan[] {
  const spans: FunctionSpan[] = []
  const add = (name: string, head: number, body: number): void => {
    const end = closing(code, body)
    const line = lineAt(code, head)
    spans.push({ name, line, lines: lineAt(code, end) - line + 1 })
  }
  for (const match of code.matchAll(/([#\w$\]]+)\s*(?=[(<])/g)) {
    const name = match[1] as string
    if (NOT_A_NAME.has(name)) continue
    let at = match.index + match[0].length
    if (code[at] === '<') at = closing(code, at) + 1
    if (code[at] !== '(') continue
    const body = bodyAfter(code, closing(code, at) + 1)
    if (body !== undefined) add(name, match.index, body)
  }
  for (const match of code.matchAll(/=>\s*\{/g)) add('=>', match.index, match.index + match[0].length - 1)
  return spans
}

/** Where the body opens after the parameters; undefined: it is a call, a type or an arrow function. */
function bodyAfter(code: string, from: number): number | undefined {
  let at = from
  let type = ''
  for (; at < code.length; at++) {
    const char = code[at] as string
    if (char === '{' && !TYPE_GOES_ON.test(type.trimEnd())) return type === '' || type.startsWith(':') ? at : undefined
    if (char === '{' || char === '(' || char === '[' || char === '<') {
      at = closing(code, at, true)
      type += 'T'
    } else if (type === '' && !/[\s:]/.test(char)) return undefined
    else if (/[;)\]}]/.test(char) || (char === '=' && code[at + 1] !== '>') || (char === ',' && type !== ''))
      return undefined
    else if (char === '=' || type !== '' || char === ':') type += char
  }
  return undefined
}

const PAIRS: Readonly<Record<string, string>> = { '{': '}', '(': ')', '[': ']', '<': '>' }

/** Where the bracket at `from` closes; outside of types `<` may be a comparison, which closes nowhere. */
function closing(code: string, from: number, inType = false): number {
  const open = code[from] as string
  const close = PAIRS[open] as string
  let depth = 0
  for (let at = from; at < code.length; at++) {
    if (code[at] === open) depth++
    else if (code[at] === close && !(close === '>' && code[at - 1] === '=') && --depth === 0) return at
    else if (open === '<' && !inType && (code[at] === ';' || code[at] === '{')) return from
  }
  return code.length
}
