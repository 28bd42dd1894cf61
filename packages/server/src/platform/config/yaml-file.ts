// The file. YAML with a bounded size and bounded aliases, and the place of everything in it. The library's own messages
// quote the source (`Could not resolve tag: …`), so they are not used: its codes are put into our words.

import { type Document, isAlias, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, visit } from 'yaml'
import type { Locate, Origin } from './problems.ts'
import type { Path } from './schema-reading.ts'

export const FILE_BYTES_MAX = 1_048_576
const ALIASES_MAX = 100

const IN_WORDS: Readonly<Record<string, readonly [wrong: string, instead: string]>> = {
  TAB_AS_INDENT: ['is indented with a tab', 'indent with spaces'],
  BAD_INDENT: ['is indented wrongly', 'give entries that belong together the same number of spaces'],
  BAD_ALIAS: ['uses an alias that cannot be resolved', 'set its anchor before it'],
  MULTIPLE_DOCS: ['holds several documents', 'keep everything before the second ---'],
  MISSING_CHAR: ['lacks a closing quote, bracket, colon or comma', 'add it'],
  BAD_SCALAR_START: ['starts a value with a character that YAML reserves', 'put the value in quotes'],
  BAD_DQ_ESCAPE: ['has a \\ in double quotes that escapes nothing', 'use single quotes'],
  RESOURCE_EXHAUSTION: ['is nested too deeply', 'write fewer levels'],
}
const NOT_YAML = ['is not YAML that can be read', 'correct it there'] as const

export interface ParsedFile {
  /** Mappings, lists and scalars, without interpolation yet; undefined if nothing could be read. */
  readonly tree: unknown
  readonly locate: Locate
  /** What the syntax is found guilty of; to be added to the list that `locate` serves. */
  readonly faults: readonly { readonly origin: Origin; readonly wrong: string; readonly instead: string }[]
}

/** Never throws. */
export function parseYaml(text: string, file: string): ParsedFile {
  const lines = new LineCounter()
  const at = (offset: number): Origin => {
    const { line, col } = lines.linePos(offset)
    return { kind: 'file', file, line: Math.max(1, line), column: Math.max(1, col) }
  }
  const whole: Origin = { kind: 'file', file, line: 1, column: 1 }
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'error',
      merge: true,
      version: '1.2',
      uniqueKeys: false, // the library compares all pairs: 143 s for a file of 88,000 keys (2026-11)
    })
    const faults = document.errors.map((error) => {
      const [wrong, instead] = IN_WORDS[error.code] ?? NOT_YAML
      return { origin: at(error.pos[0]), wrong, instead }
    })
    const index = indexKeys(document)
    for (const offset of index.repeated) {
      faults.push({ origin: at(offset), wrong: 'names a setting twice', instead: 'leave one of them' })
    }
    const locate: Locate = (path, part) => {
      const offset = offsetOf(document, index, path, part)
      return offset === undefined ? whole : at(offset)
    }
    const tree: unknown = faults.length > 0 ? undefined : (document.toJS({ maxAliasCount: ALIASES_MAX }) ?? {})
    return { tree, locate, faults }
  } catch {
    // Too many aliases, or nested so deeply that the parser itself gave up. Its message may quote the file.
    const fault = { origin: whole, wrong: 'has too many aliases or levels', instead: 'write it plainly' }
    return { tree: undefined, locate: () => whole, faults: [fault] }
  }
}

interface KeyIndex {
  /** The entries of each mapping by name, so that finding many places stays cheap. */
  readonly entries: ReadonlyMap<unknown, ReadonlyMap<string, Pair>>
  /** Offsets of keys that their mapping already has. */
  readonly repeated: readonly number[]
}

function indexKeys(document: Document): KeyIndex {
  const entries = new Map<unknown, ReadonlyMap<string, Pair>>()
  const repeated: number[] = []
  visit(document, {
    Map: (_key, map) => {
      const byName = new Map<string, Pair>()
      for (const pair of map.items) {
        if (!isScalar(pair.key)) continue
        const name = String(pair.key.value)
        if (byName.has(name)) repeated.push(pair.key.range?.[0] ?? 0)
        byName.set(name, pair)
      }
      entries.set(map, byName)
    },
  })
  return { entries, repeated }
}

/** Where the last part of `path` that exists was written. */
function offsetOf(document: Document, index: KeyIndex, path: Path, part: 'key' | 'value'): number | undefined {
  let node: unknown = document.contents
  let found = document.contents?.range?.[0]
  for (const [depth, key] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document)
    const pair = index.entries.get(node)?.get(String(key))
    const value: unknown = isSeq(node) && typeof key === 'number' ? node.items[key] : pair?.value
    const atValue = pair === undefined || (part === 'value' && depth === path.length - 1 && isScalar(value))
    const offset = ((atValue ? value : pair.key) as Node | undefined)?.range?.[0]
    if (offset === undefined) return found
    found = offset
    node = value
  }
  return found
}
