// One source file to its facts, whatever is in it.
//   QF4. A file with a name of over NAME_MAX characters is not read: nobody wrote it, and what rules ask of names takes a time that grows with their square.
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
    if (hasEndlessName(source, facts))
      return { facts: undefined, unread: broken(`a name of over ${NAME_MAX} characters`) }
    return { facts, unread: brokenIn(facts) }
  } catch (error) {
    // A parser or reader that gives up: deep nesting is enough. Our defect or theirs, the file was not read.
    return { facts: undefined, unread: broken(error instanceof Error ? error.message.slice(0, 100) : '') }
  }
}

const NAME_MAX = 1_000

/** QF4. Of most files the text says already that there is none; what strings hold is no name. */
function hasEndlessName(source: string, facts: FileFacts): boolean {
  return hasEndlessRun(source) && isEndless({ ...facts, comments: [] }, '')
}

/** Of what names and paths are made of, with any space between. */
function hasEndlessRun(source: string): boolean {
  let run = 0
  for (let at = 0; at < source.length; at++) {
    const char = source.charCodeAt(at)
    if (char <= 32) continue
    const isOfName =
      char > 127 ||
      (char >= 97 && char <= 122) ||
      (char >= 65 && char <= 90) ||
      (char >= 48 && char <= 57) ||
      char === 95
    run = isOfName || char === 46 || char === 36 ? run + 1 : 0
    if (run > NAME_MAX) return true
  }
  return false
}

function isEndless(value: unknown, key: string): boolean {
  if (typeof value === 'string') return key !== 'value' && value.length > NAME_MAX
  if (typeof value !== 'object' || value === null || key === 'parts') return false
  return Array.isArray(value)
    ? value.some((each) => isEndless(each, key))
    : Object.entries(value).some(([name, each]) => isEndless(each, name))
}

/** What is told of facts that a broken place was left out of. */
export function brokenIn({ file, brokenAt }: FileFacts): Unread | undefined {
  return brokenAt === undefined ? undefined : { path: file, why: 'broken syntax', detail: `line ${brokenAt}` }
}
