// Facts of the sources of one repository, as the last audit read them: one file for all, looked up by path and by the hash of the content.
//   CA4. What is found is of just this content, read by just these readers.

import type { KeptFacts } from '../sources/read-sources.ts'
import { type CacheFolder, FILE_BYTES_MAX, readKept, startWriting, type Writing } from './folder.ts'

const HASH_BYTES = 32

interface Entry {
  readonly hash: string
  readonly bytes: Uint8Array
}

export interface OpenFacts extends KeptFacts {
  /** Writes what was kept this time, if it is something else than before. */
  readonly close: () => void
}

export function openFacts(folder: CacheFolder, key: string, identity: string): OpenFacts {
  const name = `${key}.facts`
  const before = parse(readKept(folder, name, identity))
  const kept = new Map<string, Entry>()
  let writing: Writing | undefined
  let sum = 0
  const append = (file: string, { hash, bytes }: Entry): void => {
    const path = Buffer.from(file)
    const head = Buffer.alloc(8)
    head.writeUInt32LE(path.length, 0)
    head.writeUInt32LE(bytes.length, 4)
    const parts = [head, path, Buffer.from(hash, 'hex'), bytes]
    sum += parts.reduce((all, { length }) => all + length, 0)
    if (sum < FILE_BYTES_MAX - 100) for (const part of parts) writing?.write(part)
  }
  const isNew = (file: string, hash: string): boolean => before.get(file)?.hash !== hash
  let hasBegun = false
  const begin = (): void => {
    hasBegun = true
    writing = startWriting(folder, name, identity)
    for (const [file, entry] of kept) append(file, entry)
    kept.clear()
  }
  return {
    find: (file, hash) => (isNew(file, hash) ? undefined : before.get(file)?.bytes),
    keep: (file, hash, bytes) => {
      if (!hasBegun && isNew(file, hash)) begin()
      if (hasBegun) append(file, { hash, bytes })
      else kept.set(file, { hash, bytes })
    },
    close: () => {
      if (!hasBegun && kept.size < before.size) begin()
      writing?.finish()
    },
  }
}

/** Of whatever bytes: as much as makes sense. */
function parse(bytes: Buffer | undefined): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>()
  if (bytes === undefined) return entries
  for (let at = 0; at + 8 <= bytes.length; ) {
    const pathEnd = at + 8 + bytes.readUInt32LE(at)
    const hashEnd = pathEnd + HASH_BYTES
    const end = hashEnd + bytes.readUInt32LE(at + 4)
    if (end > bytes.length) break
    const path = bytes.toString('utf8', at + 8, pathEnd)
    entries.set(path, { hash: bytes.toString('hex', pathEnd, hashEnd), bytes: bytes.subarray(hashEnd, end) })
    at = end
  }
  return entries
}
