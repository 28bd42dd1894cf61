// The arguments of the command line.
//   AX5. What is not understood is refused with AUDIT_USAGE, and says which word, and which known one is near; nothing is guessed.

import { auditError } from './codes.ts'
import { ENDINGS, FORMATS, type Format } from './reports/formats.ts'
import { wrap } from './reports/words.ts'
import { suggest } from './suggest.ts'

/** Of this program, or of `ripstop audit`. */
export function usageOf(program: string, columns?: number): string {
  const lines = USAGE.replaceAll('ripstop-audit', program).split('\n')
  return lines.map((line) => wrap(line, columns, '      ')).join('\n')
}

const USAGE = `ripstop-audit DIR [--format md,html,json,sarif,junit] [--out FILE] [--baseline REPORT.json]
ripstop-audit --mesh URL           the same of a running mesh, from its own graph (RIPSTOP_KEY: an API key that may read it)
ripstop-audit diff A.json B.json   what appeared, grew and went between two JSON reports
ripstop-audit explain RULE         why a rule exists, and what mends it; without RULE: all of them
ripstop-audit readiness RESULTS    a readiness report (md, json) from a file of test results

  --format    one or more; without it what the ending of --out says, else Markdown, or at a terminal a few words and a page
  --out       where to write, else stdout; of several formats each gets its own ending, and in a folder each is called audit
  --baseline  an earlier JSON report: only what is new or worse counts for the exit code
  --cache     folder for what was read, so that the next time is faster; default ~/.cache/ripstop. --no-cache: none
  --timings   says how long every reader and rule took

exit: 0 nothing strong, 1 something strong, 2 the command was wrong, a rule broke, or nothing was read
`

export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'mesh'
      readonly address: string
      /** Empty: whatever fits where it goes. */
      readonly formats: readonly Format[]
      readonly out: string | undefined
      readonly baseline: string | undefined
    }
  | {
      readonly kind: 'audit'
      readonly target: string
      /** Empty: whatever fits where it goes. */
      readonly formats: readonly Format[]
      readonly out: string | undefined
      readonly baseline: string | undefined
      /** Undefined: where this user's caches are. */
      readonly cache: string | undefined
      readonly isCached: boolean
      readonly isTimed: boolean
    }
  | { readonly kind: 'diff'; readonly before: string; readonly after: string }
  | {
      readonly kind: 'readiness'
      readonly results: string
      readonly formats: readonly Format[]
      readonly out: string | undefined
    }
  | { readonly kind: 'explain'; readonly rule: string | undefined }

const OPTIONS = ['--format', '--out', '--baseline', '--cache', '--mesh'] as const
const FLAGS = ['--no-cache', '--timings']
type Option = (typeof OPTIONS)[number]

/** AX5. */
export function parseArguments(args: readonly string[]): Command {
  if (args.includes('--help') || args.includes('-h')) return { kind: 'help' }
  if (args.includes('--version')) return { kind: 'version' }
  const { words, options, flags } = split(args)
  const [first, ...rest] = words
  const out = options.get('--out')
  const formats = parseFormats(options.get('--format'), out)
  const baseline = options.get('--baseline')
  const address = options.get('--mesh')
  if (address !== undefined) {
    if (first !== undefined) throw usage(`a mesh or a folder, not both: ${first} is too much`)
    return { kind: 'mesh', address, formats, out, baseline }
  }
  switch (first) {
    case undefined:
      throw usage('name the folder to audit', true)
    case 'diff': {
      const [before, after] = exactly(rest, 2, 'diff takes two JSON reports')
      return { kind: 'diff', before: before as string, after: after as string }
    }
    case 'explain':
      if (rest.length > 1) throw usage('explain takes one rule')
      return { kind: 'explain', rule: rest[0] }
    case 'readiness': {
      const [results] = exactly(rest, 1, 'readiness takes one file of results')
      const other = formats.find((format) => format !== 'md' && format !== 'json')
      if (other !== undefined) throw usage(`readiness is written as md or json, not ${other}`)
      return { kind: 'readiness', results: results as string, formats: formats.length === 0 ? ['md'] : formats, out }
    }
    default:
      exactly(rest, 0, `one folder at a time: ${rest.join(' ')} is too much`)
      return {
        kind: 'audit',
        target: first,
        formats,
        out,
        baseline,
        cache: options.get('--cache'),
        isCached: !flags.has('--no-cache'),
        isTimed: flags.has('--timings'),
      }
  }
}

function split(args: readonly string[]): {
  readonly words: readonly string[]
  readonly options: ReadonlyMap<Option, string>
  readonly flags: ReadonlySet<string>
} {
  const words: string[] = []
  const options = new Map<Option, string>()
  const flags = new Set<string>()
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string
    if (!arg.startsWith('--')) {
      words.push(arg)
      continue
    }
    if (FLAGS.includes(arg)) {
      flags.add(arg)
      continue
    }
    const [name = '', ...inline] = arg.split('=')
    const option = OPTIONS.find((known) => known === name)
    if (option === undefined) throw usage(`${name} is no option${suggest(name, [...OPTIONS, ...FLAGS])}`)
    const value = inline.length > 0 ? inline.join('=') : args[++at]
    if (value === undefined || value === '') throw usage(`${name} needs a value`)
    options.set(option, value)
  }
  return { words, options, flags }
}

function parseFormats(text: string | undefined, out: string | undefined): readonly Format[] {
  if (text === undefined) return FORMATS.filter((format) => out?.endsWith(ENDINGS[format]))
  return [...new Set(text.split(',').map((word) => word.trim()))].map((word) => {
    const format = FORMATS.find((known) => known === word)
    if (format === undefined) throw usage(`${word} is no format: ${FORMATS.join(', ')}`)
    return format
  })
}

function exactly(words: readonly string[], count: number, problem: string): readonly string[] {
  if (words.length !== count) throw usage(problem)
  return words
}

/** `isLost`: whoever said nothing needs all of it; a slip needs its own word only. */
function usage(problem: string, isLost = false): Error {
  return auditError('AUDIT_USAGE', problem, { details: { isLost } })
}
