// What was measured of libraries, beside what the knowledge base says of them. `bench/libraries/` measures, in programs of its own that print a line of JSON for each
// thing; here they are run, read and compared.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Library, libraryNamed } from '../../packages/audit/src/knowledge/index.ts'
import { repositoryOf } from '../../packages/audit/src/repository/repository.fixture.ts'
import { unhandledErrorEvent } from '../../packages/audit/src/rules/promises/unhandled-error-event.ts'

const FOLDER = resolve(import.meta.dirname, '../../bench/libraries')
const PYTHON = '/usr/bin/python3'

export interface Row {
  readonly language: Library['language']
  readonly library: string
  readonly package: string
  readonly version: string
  readonly what: string
  readonly outcome: 'pending' | 'answered' | 'threw' | 'read' | 'missing' | 'ends' | 'stays'
  readonly ms?: number
  readonly value?: number | null
  readonly error?: string
  /** Of an emitter: the program, and what went wrong. */
  readonly text?: string
  readonly when?: string
}

/** not seen: it takes longer than was waited. not said: the knowledge base does not speak of it. */
export type Verdict = 'as said' | 'differs' | 'not seen' | 'not said'

export function mayMeasure(language: Library['language']): boolean {
  return language === 'python' ? existsSync(PYTHON) : existsSync(join(FOLDER, 'node_modules'))
}

/** Takes the seconds, a few more to begin, and for npm a minute for the emitters. */
export function measure(
  language: Library['language'],
  seconds: number,
  libraries: readonly string[] = [],
): Promise<readonly Row[]> {
  const [program, file] = language === 'python' ? [PYTHON, 'python_defaults.py'] : [process.execPath, 'npm-defaults.ts']
  return new Promise((done, failed) => {
    const args = [join(FOLDER, file), String(seconds), ...libraries]
    execFile(program, args, { maxBuffer: 4_000_000 }, (error, stdout) => {
      if (error !== null) failed(error)
      else
        done(
          stdout
            .split('\n')
            .filter((line) => line.startsWith('{'))
            .map((line) => JSON.parse(line) as Row),
        )
    })
  })
}

export function verdictOf(row: Row, boundMs: number): Verdict {
  if (row.outcome === 'missing') return 'not seen'
  if (row.what === 'unheard') return wouldFind(row) === (row.outcome === 'ends') ? 'as said' : 'differs'
  // What could not be read of this version says nothing.
  if (/^(?:size|retries|default\w*)$/.test(row.what) && row.outcome !== 'read') return 'not seen'
  const library = libraryNamed(row.language, row.library)
  if (library === undefined) return 'not said'
  switch (row.what) {
    case 'connect':
    case 'default_connect':
      return ofWait(row, { ...library.connect, ms: holding(library.connect, row.version) }, library.retries, boundMs)
    case 'answer':
    case 'default':
      return ofWait(row, { ...library.answer, ms: holding(library.answer, row.version) }, library.retries, boundMs)
    case 'pool':
    case 'default_pool':
      return library.pool === undefined ? 'not said' : ofWait(row, library.pool.wait, 0, boundMs)
    case 'size':
      return library.pool === undefined ? 'not said' : same(sizeOf(row), library.pool.size)
    case 'retries':
      return same(row.value ?? undefined, library.retries)
    case 'refusal':
      return row.outcome === 'pending'
        ? 'not seen'
        : same(row.outcome, library.refusal === 'throws' ? 'threw' : 'answered')
    case 'option':
    case 'option_connect':
      return same(row.outcome, 'threw')
    case 'late':
    case 'late_set':
      return same(row.outcome, 'pending')
    default:
      return 'not said'
  }
}

function same(measured: unknown, said: unknown): Verdict {
  return measured === said ? 'as said' : 'differs'
}

/** The version that was measured may have another default than the newest. */
function holding({ ms, since, until }: Library['answer'], version: string): number | undefined {
  const major = Number(version.split('.', 1)[0])
  return (since !== undefined && major < since) || (until !== undefined && major >= until) ? undefined : ms
}

/** Pools of two thousand million have no size. */
function sizeOf({ value }: Row): number | undefined {
  return value === null || value === undefined || value > 1_000_000 ? undefined : value
}

const SLACK_MS = 2_500

function ofWait(row: Row, { ms }: { readonly ms: number | undefined }, retries: number, boundMs: number): Verdict {
  if (row.outcome === 'read') return same(row.value, ms)
  if (row.outcome === 'pending') return same(ms === undefined || ms * 1.1 > boundMs, true)
  // What is tried again may take as long each time.
  const longest = (ms ?? 0) * (1 + (Number.isFinite(retries) ? retries : 0)) * 1.3 + SLACK_MS
  return same(ms !== undefined && (row.ms ?? 0) >= ms * 0.8 && (row.ms ?? 0) <= longest, true)
}

/** Whether the auditor says of the very program that was run that an error ends it. */
function wouldFind({ text = '' }: Row): boolean {
  return [...unhandledErrorEvent.run(repositoryOf({ 'src/a.ts': text }))].length > 0
}
