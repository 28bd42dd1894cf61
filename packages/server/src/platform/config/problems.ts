// Problems. What is wrong with a setting, where it was written, and what to write instead. Nothing of a value ever gets
// in: zod's own messages are not used, and a key is shown only if it looks like a name and not like a misplaced secret.

import { RipstopError } from '@ripstop/kernel'
import type { z } from 'zod'
import { expectation, isMapping, type Path, schemaAt, settingNames } from './schema-reading.ts'
import { closest } from './spelling.ts'

/** Where a setting was written. */
export type Origin =
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  /** A variable or an option. */
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'unknown' }

export interface Problem {
  /** `routes[0].path`; empty for the whole. */
  readonly path: string
  /** `ripstop.yaml:3:9`, a variable's name, or empty. */
  readonly where: string
  /** A predicate: `is missing`. */
  readonly wrong: string
  readonly instead: string
}

/** More would help nobody, and a file of a megabyte can hold a hundred thousand. */
const PROBLEMS_MAX = 200

export function writeOrigin(origin: Origin): string {
  if (origin.kind === 'file') return `${origin.file}:${origin.line}:${origin.column}`
  return origin.kind === 'named' ? origin.name : ''
}

/** `upstreams.orders.deadline_ms`, `routes[0].path`; what doesn't look like a name is left out. */
export function writePath(path: Path): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else text += `${text === '' ? '' : '.'}${isName(key) ? key : '(unnamed)'}`
  }
  return text
}

function isName(key: string): boolean {
  return /^[a-z][a-z0-9_-]{0,62}$/i.test(key)
}

/** Where the key or the value at a path was written. */
export type Locate = (path: Path, part: 'key' | 'value') => Origin

/** Collects problems, in the order of the file. */
export class ProblemList {
  readonly #found = new Map<string, { readonly problem: Problem; readonly origin: Origin }>()
  readonly #paths = new Set<string>()
  readonly #locate: Locate

  constructor(locate: Locate) {
    this.#locate = locate
  }

  /** `part`: what is at fault there, the key or its value. `shown`: what to show in place of the path. */
  add(path: Path, wrong: string, instead: string, part: 'key' | 'value' = 'value', shown: Path = path): void {
    this.#paths.add(JSON.stringify(path))
    this.addAt(this.#locate(path, part), wrong, instead, shown)
  }

  /** For what has no path: the syntax of the file, the environment. */
  addAt(origin: Origin, wrong: string, instead: string, shown: Path = []): void {
    const problem = { path: writePath(shown), where: writeOrigin(origin), wrong, instead }
    this.#found.set(JSON.stringify(problem), { problem, origin })
  }

  /** Is something known to be wrong with this very setting? */
  has(path: Path): boolean {
    return this.#paths.has(JSON.stringify(path))
  }

  get size(): number {
    return this.#found.size
  }

  /** In the order of the file; what is not from the file comes last. */
  sorted(): readonly Problem[] {
    const line = (origin: Origin) =>
      origin.kind === 'file' ? origin.line * 10_000 + Math.min(origin.column, 9_999) : Infinity
    const byPlace = [...this.#found.values()].sort((a, b) =>
      line(a.origin) === line(b.origin) ? 0 : line(a.origin) - line(b.origin),
    )
    return byPlace.map(({ problem }) => problem)
  }

  /** Throws CONFIG_INVALID with all of them, if there is any. */
  throwIfAny(): void {
    if (this.size === 0) return
    const all = this.sorted()
    const shown = all.slice(0, PROBLEMS_MAX)
    const rest = all.length - shown.length
    const lines = shown.map((problem) => `  ${writeProblem(problem)}`)
    if (rest > 0) lines.push(`  and ${rest} more`)
    const count = all.length === 1 ? 'a problem' : `${all.length} problems`
    throw new RipstopError('CONFIG_INVALID', `the configuration has ${count}:\n${lines.join('\n')}`, {
      details: { problems: shown },
    })
  }
}

export function writeProblem({ path, where, wrong, instead }: Problem): string {
  const subject = [where, path].filter((part) => part !== '').join(' ')
  return `${subject === '' ? 'the configuration' : subject}: ${wrong}; ${instead}`
}

/** Adds what zod found wrong with `tree`. */
export function addIssues(
  problems: ProblemList,
  schema: z.ZodType,
  tree: unknown,
  issues: readonly z.core.$ZodIssue[],
): void {
  for (const issue of issues) {
    const path = issue.path.filter((key) => typeof key !== 'symbol')
    if (problems.has(path)) continue // one that was found earlier explains it better
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) addUnknownKey(problems, schema, tree, [...path, key])
    } else if (issue.code === 'invalid_key') {
      problems.add(path, 'is not a usable name', NAME_RULE, 'key')
    } else {
      const { wrong, instead } = explain(issue, schema, valueAt(tree, path), path)
      problems.add(path, wrong, instead)
    }
  }
}

const NAME_RULE = 'write lower-case letters, digits, - and _, at most 63, a letter first'

function addUnknownKey(problems: ProblemList, schema: z.ZodType, tree: unknown, path: Path): void {
  const key = String(path.at(-1))
  const known = settingNames(schema, path.slice(0, -1))
  const meant = closest(key, known)
  // `{ hunter2 }` is a key without a value: it may be a secret that slipped.
  const shown = meant !== undefined || (valueAt(tree, path) ?? null) !== null ? path : [...path.slice(0, -1), '?']
  const hint = meant === undefined ? `the settings here are ${known.join(', ')}` : `did you mean ${meant}?`
  problems.add(path, 'is not a setting', hint, 'key', shown)
}

function explain(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  value: unknown,
  path: Path,
): { wrong: string; instead: string } {
  const found = schemaAt(schema, path)
  const instead = found === undefined ? 'see the documentation' : `write ${expectation(found)}`
  if (value === undefined) return { wrong: 'is missing', instead }
  if (value === null) return { wrong: 'is empty', instead: `${instead}, or leave the line out` }
  switch (issue.code) {
    case 'custom': {
      const given: unknown = issue.params?.instead
      return { wrong: issue.message, instead: typeof given === 'string' ? given : instead }
    }
    case 'invalid_format':
      return { wrong: issue.message, instead }
    case 'too_small':
      return { wrong: issue.origin === 'number' || issue.origin === 'int' ? 'is too small' : 'is too short', instead }
    case 'too_big':
      if (issue.origin === 'array') return { wrong: 'is too long', instead: `write at most ${issue.maximum} entries` }
      if (issue.origin === 'string')
        return { wrong: 'is too long', instead: `write at most ${issue.maximum} characters` }
      return { wrong: 'is too large', instead }
    case 'invalid_value':
      return { wrong: 'is not one of the choices', instead }
    default:
      return { wrong: 'is the wrong kind of value', instead }
  }
}

/** What is at `path` in a tree of mappings and lists. */
export function valueAt(tree: unknown, path: Path): unknown {
  let value = tree
  for (const key of path) {
    if (Array.isArray(value)) value = typeof key === 'number' ? value[key] : undefined
    else value = isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined
  }
  return value
}
