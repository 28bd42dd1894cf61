// A scan: from a folder to everything that reports are made of. Nothing of the folder is executed, and nothing outside of it is read.
//   AX1. Whatever lies in the folder, the scan ends with what could be read and the names of what could not.
//   QF5. It ends soon: neither blank lines, nor long words, nor many statements in one function make it take a time that grows with their square.

import { availableParallelism } from 'node:os'
import type { Clock } from '@ripstop/kernel'
import { type Found, findAll } from './findings/findings.ts'
import { buildGraph } from './graph/build.ts'
import type { SystemGraph } from './model/graph.ts'
import { type BrokenPart, Parts } from './parts.ts'
import { programOf } from './program/index.ts'
import type { Configuration } from './repository/configuration.ts'
import { createFileIndex } from './repository/file-index.ts'
import { readConfiguration } from './repository/read-configuration.ts'
import type { Repository, Unread } from './repository/repository.ts'
import { type Walked, walk } from './repository/walk.ts'
import { RULES } from './rules/index.ts'
import type { Rule } from './rules/rule.ts'
import { hashOf } from './sources/read-one.ts'
import { type KeptFacts, readSources } from './sources/read-sources.ts'
import { entriesOf } from './system/entries.ts'
import { outboundOf } from './system/outbound.ts'
import { createTimings, type Timings } from './timings.ts'

/** More of them take more memory than they save time. */
const THREADS_MAX = 4
const DETAIL_MAX = 200

export interface ScanOptions {
  readonly clock: Clock
  readonly rules?: readonly Rule[]
  /** What is being done, for people who wait; with how far it is. */
  readonly progress?: (what: string, howFar?: string) => void
  /** How many read sources: as many as there are cores, up to THREADS_MAX. */
  readonly threads?: number
  readonly kept?: KeptFacts | undefined
  readonly timings?: Timings
}

export interface Scan extends Found {
  readonly brokenParts: readonly BrokenPart[]
  readonly repository: Repository
  readonly rules: readonly Rule[]
  /** When, for the report. */
  readonly wallMs: number
  /** Every file of which anything was read, and the hash of what was; undefined: nothing, or different things. */
  readonly reads: ReadonlyMap<string, string | undefined>
}

/** Throws AUDIT_TARGET_INVALID where there is nothing to read; nothing else. */
export function scan(target: string, options: ScanOptions): Promise<Scan> {
  return scanWalked(walk(target), options)
}

export async function scanWalked(walked: Walked, options: ScanOptions): Promise<Scan> {
  const { clock, rules = RULES, progress = () => {}, timings = createTimings(clock) } = options
  const wallMs = clock.wallMs()
  const reads = new Map<string, string | undefined>()
  const onRead = (path: string, hash: string | undefined): void => {
    reads.set(path, reads.has(path) && reads.get(path) !== hash ? undefined : hash)
  }
  const sources = await readSources(walked, {
    clock,
    threads: options.threads ?? Math.min(availableParallelism(), THREADS_MAX),
    kept: options.kept,
    progress: (done, all) => progress('reading sources', `${done} of ${all}`),
    took: (reader, ms) => timings.add('reader', reader, ms),
  })
  for (const [path, hash] of sources.hashes) onRead(path, hash)
  progress('reading configuration')
  const files = createFileIndex(walked, (path, bytes) => onRead(path, bytes && hashOf(bytes)))
  const unread = new Map<string, Unread>()
  const parts = new Parts()
  const configuration = readConfiguration(files, {
    tell: (path, problem) => unread.set(path, { path, why: 'broken syntax', detail: problem.slice(0, DETAIL_MAX) }),
    run: (reader, read, nothing) =>
      parts.run(`reader of ${reader}`, () => timings.time('reader', reader, read), nothing),
    facts: sources.facts,
  })
  const build = (): SystemGraph => timings.time('shared', 'graph', () => buildGraph(configuration, files))
  const graph = parts.run('graph of what is declared', build, { components: [], links: [] })
  const { root } = walked
  parts.run('names of modules', () => void programOf(sources.facts, configuration.moduleNames), undefined)
  const all = [...walked.unread, ...sources.unread, ...unread.values(), ...problemsOf(configuration)]
  const repository: Repository = { root, files, facts: sources.facts, configuration, graph, unread: all }
  if (rules.length > 0) findShared(repository, timings)
  progress(`applying ${rules.length} rules`)
  const found = findAll(rules, repository, wallMs, (rule, run) => timings.time('rule', rule, run))
  return { ...found, brokenParts: parts.broken, repository, rules, wallMs, reads }
}

/** What many rules ask for, found before them so that no rule is charged with it. One that fails is told by the rules that need it. */
function findShared(repository: Repository, timings: Timings): void {
  for (const [name, find] of [
    ['calls that leave the process', outboundOf],
    ['entries', entriesOf],
  ] as const) {
    try {
      timings.time('shared', name, () => find(repository))
    } catch {
      // It is asked for again, by the rules: each that can't do without it is told as broken.
    }
  }
}

/** What compose files name and is not there, or can't be merged. */
function problemsOf({ compose }: Configuration): readonly Unread[] {
  return compose.flatMap(({ problems }) =>
    problems.map(
      ({ value, loc }): Unread => ({ path: loc.file, why: 'broken syntax', detail: `line ${loc.line}: ${value}` }),
    ),
  )
}
