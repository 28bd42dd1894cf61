// One source file to its facts, whatever is in it.
//   WA8. One broken file costs its own facts, never another's: whatever a reader does, the scan goes on and the file is told.

import type { FileFacts } from '../facts/facts.ts'
import type { Unread } from '../repository/repository.ts'
import { isTooDeep } from './nesting.ts'
import { readPython } from './python/index.ts'
import { readTypeScript } from './typescript/index.ts'

interface SourceReader {
  /** For people. */
  readonly name: string
  readonly ends: RegExp
  readonly read: (file: string, source: string) => FileFacts
}

/** By what the name ends with. */
const READERS: readonly SourceReader[] = [
  { name: 'TypeScript and JavaScript', ends: /\.[cm]?[jt]sx?$/, read: readTypeScript },
  { name: 'Python', ends: /\.py$/, read: readPython },
]

export interface SourceRead {
  /** Undefined: nothing of it was read. */
  readonly facts: FileFacts | undefined
  readonly unread: Unread | undefined
}

/** Undefined: nobody reads this language. */
export function readerOf(file: string): string | undefined {
  return READERS.find(({ ends }) => ends.test(file))?.name
}

/** WA8. */
export function readSource(file: string, source: string): SourceRead {
  const reader = READERS.find(({ ends }) => ends.test(file))
  if (reader === undefined) return { facts: undefined, unread: { path: file, why: 'unknown language' } }
  const broken = (detail: string): Unread => ({ path: file, why: 'broken syntax', detail })
  if (isTooDeep(source)) return { facts: undefined, unread: broken('nested too deep to be read') }
  try {
    const facts = reader.read(file, source)
    return { facts, unread: brokenIn(facts) }
  } catch (error) {
    // A parser or reader that gives up: deep nesting is enough. Our defect or theirs, the file was not read.
    return { facts: undefined, unread: broken(error instanceof Error ? error.message.slice(0, 100) : '') }
  }
}

/** What is told of facts that a broken place was left out of. */
export function brokenIn({ file, brokenAt }: FileFacts): Unread | undefined {
  return brokenAt === undefined ? undefined : { path: file, why: 'broken syntax', detail: `line ${brokenAt}` }
}
