// The files of a repository, by path. Texts are read when they are asked for and kept as long as they fit.
//   WA7. Paths are relative with slashes; one that climbs out of the root is not there.

import { join, posix } from 'node:path'
import { readBytes, toText } from './read-file.ts'
import type { FileIndex, FileRole } from './repository.ts'
import { WALK_LIMITS, type Walked, type WalkedFile } from './walk.ts'

const KEPT_CHARS_MAX = 8_000_000

/** Of what was walked. `has` knows folders too. `onRead` is told every file whose text was asked for, with what was there; undefined: nothing. */
export function createFileIndex(
  { root, files, folders }: Walked,
  onRead: (path: string, bytes: Buffer | undefined) => void = () => {},
): FileIndex {
  const byPath = new Map<string, WalkedFile>(files.map((file) => [file.path, file]))
  const lists = new Map<FileRole | undefined, readonly string[]>()
  const texts = new Map<string, string>()
  let kept = 0
  const read = (asked: string): string | undefined => {
    const path = normal(asked)
    const known = texts.get(path)
    if (known !== undefined) return known
    const file = byPath.get(path)
    if (file === undefined || file.isOpaque) return undefined
    const bytes = readBytes(join(root, path), WALK_LIMITS.fileBytesMax)
    onRead(path, bytes)
    const text = bytes === undefined ? undefined : toText(bytes)
    if (text === undefined) return undefined
    for (const [oldest, { length }] of texts) {
      if (kept + text.length <= KEPT_CHARS_MAX) break
      texts.delete(oldest)
      kept -= length
    }
    texts.set(path, text)
    kept += text.length
    return text
  }
  return {
    has: (path) => byPath.has(normal(path)) || folders.has(normal(path)) || normal(path) === '.',
    read,
    role: (path) => byPath.get(normal(path))?.role,
    list: (role) => {
      const known = lists.get(role)
      if (known !== undefined) return known
      const paths = files.filter((file) => role === undefined || file.role === role).map(({ path }) => path)
      lists.set(role, paths)
      return paths
    },
  }
}

/** WA7. A path that climbs keeps its `..` and so names nothing that was walked. */
function normal(path: string): string {
  const clean = posix.normalize(path)
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean
}
