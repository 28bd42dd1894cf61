// From files to facts, one after the other on this thread: what fixtures do. A scan reads through `sources/`, on several threads and from the cache.

import type { FileFacts } from '../facts/facts.ts'
import type { FileIndex, Unread } from '../repository/repository.ts'
import { readSource } from './read-source.ts'

export interface ReadFacts {
  readonly facts: ReadonlyMap<string, FileFacts>
  readonly unread: readonly Unread[]
}

/** Facts of every source of the index. */
export function readFacts(files: FileIndex): ReadFacts {
  const facts = new Map<string, FileFacts>()
  const unread: Unread[] = []
  for (const file of files.list('source')) {
    const text = files.read(file)
    if (text === undefined) continue
    const read = readSource(file, text)
    if (read.facts !== undefined) facts.set(file, read.facts)
    if (read.unread !== undefined) unread.push(read.unread)
  }
  return { facts, unread }
}
