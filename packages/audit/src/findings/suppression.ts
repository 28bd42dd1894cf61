// Suppressions: what the authors have decided to live with, with the reason and, if they like, until when. Either a comment on the line
// of the finding or right above it, or an entry in a file at the root:
//   // ripstop-ignore swallowed-error until=2027-01-31: the cache is only a hint
//   suppressions: [{ rule: swallowed-error, file: 'src/cache/**', until: 2027-01-31, reason: the cache is only a hint }]
//   FG5. Without a reason, or past its day, a suppression does nothing and is told.
//   FG6. A suppression counts for its rule alone, and for the last day that it names.
//   FG7. An entry of the file that fits nothing is told: what it stood for is gone.

import { parse } from 'yaml'
import { isWithin, type Pattern, parsePattern } from '../repository/pattern.ts'
import type { FileIndex } from '../repository/repository.ts'

export const SUPPRESSION_FILE = 'ripstop.suppressions.yaml'

const FILE_CHARS_MAX = 200_000
const COMMENT_LINES_MAX = 20
const DAY_MS = 86_400_000
const COMMENT =
  /(?:\/\/|#|\/\*|\*|--|<!--)\s*ripstop-ignore\s+([\w-]+)(?:\s+until=(\S+?))?\s*(?::\s*(.*?))?\s*(?:\*\/|-->)?\s*$/
const COMMENT_LINE = /^\s*(?:\/\/|#|\/\*|\*|--|<!--)/

export interface Suppressed {
  readonly reason: string
  readonly until: string | undefined
}

/** Something about a suppression that a person should know. */
export interface SuppressionProblem {
  readonly file: string
  readonly line: number
  readonly problem: string
}

export interface Suppressions {
  readonly find: (rule: string, file: string, line: number) => Suppressed | undefined
  /** After all were asked for: FG5 and FG7. */
  readonly problems: () => readonly SuppressionProblem[]
}

interface Entry {
  readonly rule: string
  readonly pattern: Pattern
  readonly suppressed: Suppressed
  readonly index: number
}

export function readSuppressions(files: FileIndex, wallMs: number): Suppressions {
  const problems = new Map<string, SuppressionProblem>()
  const tell = (file: string, line: number, problem: string): undefined => {
    problems.set(`${file}:${line}:${problem}`, { file, line, problem })
  }
  const entries = readFile(files, wallMs, tell)
  const used = new Set<number>()
  // What a rule finds comes file by file: one that has thousands of places is cut into lines once.
  let last: { readonly file: string; readonly lines: readonly string[] | undefined } | undefined
  const linesOf = (file: string): readonly string[] | undefined => {
    if (last?.file !== file) last = { file, lines: files.read(file)?.split('\n') }
    return last.lines
  }
  return {
    find: (rule, file, line) => {
      const inline = findComment(linesOf(file), rule, file, line, wallMs, tell)
      if (inline !== undefined) return inline
      const entry = entries.find((entry) => entry.rule === rule && isWithin(entry.pattern, file))
      if (entry !== undefined) used.add(entry.index)
      return entry?.suppressed
    },
    problems: () => {
      for (const { rule, index } of entries)
        if (!used.has(index)) tell(SUPPRESSION_FILE, 1, `entry ${index + 1} (${rule}) fits nothing any more`)
      return [...problems.values()]
    },
  }
}

type Tell = (file: string, line: number, problem: string) => undefined

function findComment(
  lines: readonly string[] | undefined,
  rule: string,
  file: string,
  line: number,
  wallMs: number,
  tell: Tell,
): Suppressed | undefined {
  if (lines === undefined) return undefined
  for (let at = line; at >= 1 && at > line - COMMENT_LINES_MAX; at--) {
    const text = lines[at - 1] ?? ''
    if (at !== line && !COMMENT_LINE.test(text)) return undefined
    const [whole, named, until, reason = ''] = COMMENT.exec(text.slice(0, 500).replace(/\s+/g, ' ')) ?? []
    if (whole !== undefined && named === rule) return valid({ reason, until }, wallMs, (why) => tell(file, at, why))
  }
  return undefined
}

/** FG5, FG6. */
function valid(suppressed: Suppressed, wallMs: number, tell: (why: string) => undefined): Suppressed | undefined {
  const { reason, until } = suppressed
  if (reason.trim() === '') return tell('a suppression without a reason: it does nothing')
  if (until === undefined) return suppressed
  const lastMs = /^\d{4}-\d{2}-\d{2}$/.test(until) ? Date.parse(`${until}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(lastMs)) return tell(`until=${until.slice(0, 40)} is no day (YYYY-MM-DD): it does nothing`)
  return wallMs >= lastMs + DAY_MS ? tell(`expired after ${until}: the finding is back`) : suppressed
}

function readFile(files: FileIndex, wallMs: number, tell: Tell): readonly Entry[] {
  const text = files.read(SUPPRESSION_FILE)
  if (text === undefined) return []
  const fail = (problem: string): readonly Entry[] => tell(SUPPRESSION_FILE, 1, problem) ?? []
  if (text.length > FILE_CHARS_MAX) return fail('too large: it does nothing')
  let body: unknown
  try {
    body = parse(text, { maxAliasCount: 10 })
  } catch {
    return fail('is no YAML: it does nothing')
  }
  const listed = (body as { readonly suppressions?: unknown } | null)?.suppressions
  if (!Array.isArray(listed)) return fail('has no list `suppressions`: it does nothing')
  return listed.flatMap((entry: unknown, index) => {
    const problem = (why: string): undefined => tell(SUPPRESSION_FILE, 1, `entry ${index + 1}: ${why}`)
    return parseEntry(entry, index, wallMs, problem) ?? []
  })
}

function parseEntry(
  entry: unknown,
  index: number,
  wallMs: number,
  problem: (why: string) => undefined,
): Entry | undefined {
  if (typeof entry !== 'object' || entry === null) return problem('is no entry')
  const { rule, file, until, reason } = entry as Readonly<Record<string, unknown>>
  if (typeof rule !== 'string' || typeof file !== 'string') return problem('names no rule, or no file')
  const pattern = parsePattern(file)
  if (pattern === undefined) return problem('its file is no pattern')
  const day = until instanceof Date ? until.toISOString().slice(0, 10) : until === undefined ? undefined : String(until)
  const suppressed = valid({ reason: typeof reason === 'string' ? reason : '', until: day }, wallMs, problem)
  return suppressed === undefined ? undefined : { rule, pattern, suppressed, index }
}
