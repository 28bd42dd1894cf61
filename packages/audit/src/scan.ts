// A scan: from a folder to everything that reports are made of. Nothing of the folder is executed, and nothing outside of it is read.
//   AX1. Whatever lies in the folder, the scan ends with what could be read and the names of what could not.

import type { Clock } from '@ripstop/kernel'
import { type Found, findAll } from './findings/findings.ts'
import { buildGraph } from './graph/build.ts'
import { readFacts } from './readers/read-facts.ts'
import type { Configuration } from './repository/configuration.ts'
import { createFileIndex } from './repository/file-index.ts'
import { readConfiguration } from './repository/read-configuration.ts'
import type { Repository, Unread } from './repository/repository.ts'
import { walk } from './repository/walk.ts'
import { RULES } from './rules/index.ts'
import type { Rule } from './rules/rule.ts'

export interface ScanOptions {
  readonly clock: Pick<Clock, 'wallMs'>
  readonly rules?: readonly Rule[]
  /** What is being done, for people who wait. */
  readonly progress?: (what: string) => void
}

export interface Scan extends Found {
  readonly repository: Repository
  readonly rules: readonly Rule[]
  /** When, for the report. */
  readonly wallMs: number
}

/** Throws AUDIT_TARGET_INVALID where there is nothing to read; nothing else. */
export function scan(target: string, { clock, rules = RULES, progress = () => {} }: ScanOptions): Scan {
  const wallMs = clock.wallMs()
  progress('walking')
  const walked = walk(target)
  const files = createFileIndex(walked)
  const { facts, unread } = readFacts(files, (done, all) => progress(`reading sources: ${done} of ${all}`))
  progress('reading configuration')
  const configuration = readConfiguration(files)
  const repository: Repository = {
    root: walked.root,
    files,
    facts,
    configuration,
    graph: buildGraph(configuration),
    unread: [...walked.unread, ...unread, ...problemsOf(configuration)],
  }
  progress(`applying ${rules.length} rules`)
  return { ...findAll(rules, repository, wallMs), repository, rules, wallMs }
}

/** What compose files name and is not there, or can't be merged. */
function problemsOf({ compose }: Configuration): readonly Unread[] {
  return compose.flatMap(({ problems }) =>
    problems.map(
      ({ value, loc }): Unread => ({ path: loc.file, why: 'broken syntax', detail: `line ${loc.line}: ${value}` }),
    ),
  )
}
