// Patterns of paths, as .gitignore and CODEOWNERS write them. They come from the audited repository, so they are matched by hand and never
// become regular expressions: `*a*a*a*a*b` costs its length times the path's, not its power.
//   WA1. A pattern matches as git's own does: `*` stays in a segment, `**` crosses them, a slash inside anchors it to its folder.

export interface Pattern {
  readonly segments: readonly string[]
  /** `build/`: folders only. */
  readonly isFolderOnly: boolean
  /** `!keep.log`. */
  readonly isNegated: boolean
}

const PATTERN_LENGTH_MAX = 500

/** Undefined: a comment, an empty line, or something that is no pattern. */
export function parsePattern(line: string): Pattern | undefined {
  let text = line.replace(/(?<!\\)\s+$/, '')
  if (text === '' || text.startsWith('#') || text.length > PATTERN_LENGTH_MAX) return undefined
  const isNegated = text.startsWith('!')
  if (isNegated) text = text.slice(1)
  if (/^\\[#!]/.test(text)) text = text.slice(1)
  const isFolderOnly = text.endsWith('/')
  if (isFolderOnly) text = text.slice(0, -1)
  const isAnchored = text.includes('/')
  const segments = text.split('/').filter((segment) => segment !== '')
  if (segments.length === 0) return undefined
  return { segments: isAnchored ? segments : ['**', ...segments], isFolderOnly, isNegated }
}

/** WA1: does it match this path itself (not: a folder above it)? */
export function isMatch(pattern: Pattern, path: string, isFolder: boolean): boolean {
  if (pattern.isFolderOnly && !isFolder) return false
  return matchSegments(pattern.segments, path.split('/'))
}

/** The path, or a folder that it is in. */
export function isWithin(pattern: Pattern, path: string): boolean {
  const segments = path.split('/')
  for (let length = 1; length <= segments.length; length++) {
    if (isMatch(pattern, segments.slice(0, length).join('/'), length < segments.length)) return true
  }
  return false
}

/** Two pointers and one way back: to the last `**`. */
function matchSegments(pattern: readonly string[], path: readonly string[]): boolean {
  let at = 0
  let star = -1
  let resumed = 0
  let index = 0
  while (index < path.length) {
    const segment = pattern[at]
    if (segment === '**') {
      star = at++
      resumed = index
    } else if (segment !== undefined && matchText(segment, path[index] ?? '')) {
      at++
      index++
    } else if (star !== -1) {
      at = star + 1
      index = ++resumed
    } else return false
  }
  // What is left must be nothing: `a/**` is what is in a, not a itself. (With `**` last and something in it, all of it was taken.)
  return at === pattern.length
}

/** The same for `*` inside of a segment. `[…]` is one character of a set. */
function matchText(pattern: string, text: string): boolean {
  let at = 0
  let star = -1
  let resumed = 0
  let index = 0
  while (index < text.length) {
    const step = stepOf(pattern, at, text[index] ?? '')
    if (pattern[at] === '*') {
      star = at++
      resumed = index
    } else if (step > 0) {
      at += step
      index++
    } else if (star !== -1) {
      at = star + 1
      index = ++resumed
    } else return false
  }
  while (pattern[at] === '*') at++
  return at >= pattern.length
}

/** How far the pattern goes on when its next part takes this character; 0: it doesn't. */
function stepOf(pattern: string, at: number, char: string): number {
  const next = pattern[at]
  if (next === undefined || next === '*') return 0
  if (next === '?') return 1
  if (next === '\\') return pattern[at + 1] === char ? 2 : 0
  if (next !== '[') return next === char ? 1 : 0
  const end = pattern.indexOf(']', at + 2)
  if (end === -1) return char === '[' ? 1 : 0
  const set = pattern.slice(at + 1, end)
  const isOut = set.startsWith('!') || set.startsWith('^')
  return inSet(isOut ? set.slice(1) : set, char) !== isOut ? end - at + 1 : 0
}

function inSet(set: string, char: string): boolean {
  for (let at = 0; at < set.length; at++) {
    const low = set[at] ?? ''
    const high = set[at + 1] === '-' && at + 2 < set.length ? (set[at + 2] ?? '') : low
    if (char >= low && char <= high) return true
    if (high !== low) at += 2
  }
  return false
}
