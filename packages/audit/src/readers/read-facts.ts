// From files to facts. The one seam through which sources are read: worker threads and the cache by content go behind it.
//   WA8. One broken file costs its own facts, never another's: whatever a reader does, the scan goes on and the file is told.

import type { FileFacts } from '../facts/facts.ts'
import type { FileIndex, Unread } from '../repository/repository.ts'
import { isTooDeep } from './nesting.ts'
import { readPython } from './python/index.ts'
import { readTypeScript } from './typescript/index.ts'

type Read = (file: string, source: string) => FileFacts

/** Readers by what the name ends with. */
const READERS: readonly (readonly [ends: RegExp, read: Read])[] = [
  [/\.[cm]?[jt]sx?$/, readTypeScript],
  [/\.py$/, readPython],
]

export interface ReadFacts {
  readonly facts: ReadonlyMap<string, FileFacts>
  readonly unread: readonly Unread[]
}

const PROGRESS_EVERY = 200

/** Facts of every source of the index. */
export function readFacts(files: FileIndex, progress: (done: number, all: number) => void = () => {}): ReadFacts {
  const facts = new Map<string, FileFacts>()
  const unread: Unread[] = []
  const sources = files.list('source')
  for (const [index, file] of sources.entries()) {
    if (index % PROGRESS_EVERY === 0) progress(index, sources.length)
    const reader = READERS.find(([ends]) => ends.test(file))?.[1]
    const source = files.read(file)
    if (source === undefined) continue // told by the walk
    if (reader === undefined) unread.push({ path: file, why: 'unknown language' })
    else if (isTooDeep(source)) unread.push({ path: file, why: 'broken syntax', detail: 'nested too deep to be read' })
    else readOne(reader, file, source, facts, unread)
  }
  progress(sources.length, sources.length)
  return { facts, unread }
}

/** WA8. */
function readOne(read: Read, file: string, source: string, facts: Map<string, FileFacts>, unread: Unread[]): void {
  try {
    const known = read(file, source)
    facts.set(file, known)
    if (known.brokenAt !== undefined)
      unread.push({ path: file, why: 'broken syntax', detail: `line ${known.brokenAt}` })
  } catch (error) {
    // A parser or reader that gives up: deep nesting is enough. Our defect or theirs, the file was not read.
    unread.push({ path: file, why: 'broken syntax', detail: error instanceof Error ? error.message.slice(0, 100) : '' })
  }
}
