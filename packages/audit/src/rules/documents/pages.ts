// Documents that tell people how to run and call the system, line by line, with what of them is code. Plans, reports and what is kept for history are left out: they
// need not be true today.

import type { Loc } from '../../model/evidence.ts'
import { nameOf } from '../../repository/paths.ts'
import type { FileIndex } from '../../repository/repository.ts'

export interface Page {
  readonly file: string
  readonly lines: readonly Line[]
}

export interface Line {
  readonly loc: Loc
  readonly text: string
  /** In a fenced block: its language, '' for none. Undefined: prose. */
  readonly fence: string | undefined
  /** Folder that the last `cd` of the page leads to, as written. */
  readonly folder: string
  /** It, its comment or the line that leads to its block says that this is not to be done. */
  readonly isRefused: boolean
  /** In a block of nothing but settings. */
  readonly isSettings: boolean
  /** What of it is code: all of it in a block, what is between backticks in prose. */
  readonly code: readonly string[]
}

const GUIDE =
  /^(readme|contributing|install(ation|ing)?|set-?up|quick-?start|getting[-_]?started|develop(ment|ing)?|deploy(ment|ing)?|api([-_]?(docs?|reference|usage))?|usage|runbook|operations|configuration|environment|local[-_]development|docker|running)([._-].*)?\.(md|mdx|markdown|rst|adoc|txt)$/i
const ASIDE =
  /(^|\/)(archived?|archives?|history|old|legacy|deprecated|reports?|audits?|plans?|planning|proposals?|rfcs?|adrs?|decisions?|designs?|notes|vendor|node_modules|third_party|examples?|samples?|templates?|(tests?|evals?)([-_]\w+)?|fixtures|\.[\w-]+|docs-to-migrate|specs?|i18n|locales?|translations?)\//i
const PAGES_MAX = 200
const LINES_MAX = 5_000
const CHARS_MAX = 400

export function pagesOf(files: FileIndex): readonly Page[] {
  const paths = files.list('document').filter((path) => GUIDE.test(nameOf(path)) && !ASIDE.test(path))
  return paths.slice(0, PAGES_MAX).flatMap((file) => {
    const text = files.read(file)
    return text === undefined ? [] : [readPage(file, text)]
  })
}

const REFUSED =
  /\b(remove|removed|delete|deprecated|obsolete|no longer|instead of|do not|don't|never|avoid|wrong|bad|incorrect|redundant|unnecessary|anti-?pattern|before|old way|previously|legacy|planned|future|todo|coming soon|not yet)\b|❌|🚫/i

export function readPage(file: string, text: string): Page {
  const lines: Line[] = []
  let fence: string | undefined
  let folder = ''
  let lead = ''
  let isSettings = false
  const all = text.split(/\r?\n/).slice(0, LINES_MAX)
  for (const [index, raw] of all.entries()) {
    const line = raw.slice(0, CHARS_MAX)
    const mark = /^\s*(?:```|~~~)\s*([\w+-]*)/.exec(line)
    if (mark !== null) {
      fence = fence === undefined ? (mark[1] ?? '').toLowerCase() : undefined
      isSettings = fence !== undefined && isOnlySettings(all, index + 1)
      continue
    }
    if (fence === undefined && line.trim() !== '') lead = line
    const loc = { file, line: index + 1, endLine: index + 1 }
    const code = fence === undefined ? [...line.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '') : [line]
    lines.push({
      loc,
      text: line,
      fence,
      folder,
      isRefused: REFUSED.test(line) || REFUSED.test(lead),
      isSettings,
      code,
    })
    if (fence !== undefined) folder = /^\s*[$#>]?\s*(?:cd|pushd)\s+(\S+)/.exec(line)?.[1] ?? folder
  }
  return { file, lines }
}

const SETTING = /^\s*(#.*|(export\s+)?[A-Z][A-Z0-9_]*=.*)?$/

function isOnlySettings(lines: readonly string[], from: number): boolean {
  let count = 0
  for (const line of lines.slice(from, from + 200)) {
    if (/^\s*(```|~~~)/.test(line)) break
    if (!SETTING.test(line)) return false
    if (/^\s*(export\s+)?[A-Z]/.test(line)) count++
  }
  return count > 1
}

/** Something that the page says and that is not so. */
export interface Drift {
  readonly loc: Loc
  readonly what: string
}
