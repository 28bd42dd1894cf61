// What makes a finding the same finding tomorrow: its rule, its file, the symbol around it and the text there without layout. Never the line,
// so that a change elsewhere in the file moves nothing. Findings with a cause are known by that cause.
//   FG2. Blank lines, indentation and quotes don't change a fingerprint; the rule, the file, the symbol and the words do.
//   FG3. Two findings of one report never have the same fingerprint: the second with the same text in the same symbol is the second.

import { createHash } from 'node:crypto'
import type { Loc } from '../model/evidence.ts'
import type { FileIndex } from '../repository/repository.ts'

const LINES_MAX = 3
const TEXT_MAX = 400
const DIGEST_CHARS = 24

export interface Identity {
  readonly rule: string
  readonly file: string
  readonly symbol: string
  /** The cause where there is one, else the text. */
  readonly text: string
}

/** FG2. */
export function normalised(files: FileIndex, loc: Loc | undefined): string {
  const lines = loc === undefined ? undefined : files.read(loc.file)?.split('\n')
  if (loc === undefined || lines === undefined) return ''
  const text = lines.slice(loc.line - 1, Math.min(loc.endLine, loc.line - 1 + LINES_MAX)).join('')
  return text.replace(/\s+/g, '').replace(/["'`]/g, "'").slice(0, TEXT_MAX)
}

/** FG3: hands out fingerprints of one report. */
export function createFingerprints(): (identity: Identity) => string {
  const seen = new Map<string, number>()
  return ({ rule, file, symbol, text }) => {
    const key = JSON.stringify([rule, file, symbol, text])
    const times = (seen.get(key) ?? 0) + 1
    seen.set(key, times)
    const hashed = times === 1 ? key : `${key}#${times}`
    return createHash('sha256').update(hashed).digest('hex').slice(0, DIGEST_CHARS)
  }
}
