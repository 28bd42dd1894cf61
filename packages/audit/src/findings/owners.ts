// Owners, from CODEOWNERS. The last line that matches wins, as with git's hosts; a line without owners takes them away.
//   FG4. What no line matches is unassigned: nobody is guessed.

import { isWithin, type Pattern, parsePattern } from '../repository/pattern.ts'
import type { FileIndex } from '../repository/repository.ts'

const PLACES = ['.github/CODEOWNERS', 'CODEOWNERS', 'docs/CODEOWNERS', '.gitlab/CODEOWNERS']
const LINES_MAX = 5_000

interface Owning {
  readonly pattern: Pattern
  readonly owners: string
}

/** From a path to its owners, separated by spaces; undefined: unassigned. */
export function readOwners(files: FileIndex): (path: string) => string | undefined {
  const place = PLACES.find((path) => files.has(path))
  const text = place === undefined ? undefined : files.read(place)
  const owning: Owning[] = (text ?? '')
    .split(/\r?\n/)
    .slice(0, LINES_MAX)
    .flatMap((line) => parseLine(line) ?? [])
  const known = new Map<string, string | undefined>()
  return (path) => {
    if (!known.has(path))
      known.set(path, owning.findLast(({ pattern }) => isWithin(pattern, path))?.owners || undefined)
    return known.get(path)
  }
}

function parseLine(line: string): Owning | undefined {
  const [text = '', ...names] = (line.split(/\s#/)[0] ?? '').trim().split(/\s+/)
  if (/^\^?\[/.test(text)) return undefined // a section of GitLab
  const pattern = parsePattern(text)
  return pattern === undefined ? undefined : { pattern, owners: names.join(' ') }
}
