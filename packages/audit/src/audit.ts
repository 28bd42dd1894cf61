// An audit with its cache: the report of last time where nothing changed, else a scan that reads anew only the files that did.
//   CA6. A report from the cache is the one that a scan would give, but for its time; a broken rule, or a cache that is not there, is never kept.

import { resolve } from 'node:path'
import type { Clock } from '@ripstop/kernel'
import type { CacheFolder } from './cache/folder.ts'
import { readIdentity } from './cache/identity.ts'
import { openFacts } from './cache/kept-facts.ts'
import { findReport, keepReport } from './cache/kept-report.ts'
import { buildReport } from './reports/build.ts'
import { brokenIn } from './reports/coverage.ts'
import type { Report } from './reports/report.ts'
import { readBytes } from './repository/read-file.ts'
import { WALK_LIMITS, type Walked, walk } from './repository/walk.ts'
import { type ScanOptions, scanWalked } from './scan.ts'
import { hashOf } from './sources/read-one.ts'
import type { Timings } from './timings.ts'

export interface AuditOptions extends Pick<ScanOptions, 'threads'> {
  readonly clock: Clock
  readonly version: string
  /** Undefined: nothing is kept. */
  readonly cachePath: string | undefined
  readonly progress: (what: string, howFar?: string) => void
  readonly problem: (what: string) => void
  readonly timings: Timings
}

export interface Audited {
  readonly report: Report
  readonly isFromCache: boolean
}

/** Throws AUDIT_TARGET_INVALID. */
export async function audit(target: string, options: AuditOptions): Promise<Audited> {
  const { cachePath, clock, timings, problem, progress } = options
  progress('walking')
  const walked = timings.time('phase', 'walking', () => walk(target))
  if (cachePath === undefined) return { report: await auditWalked(walked, options), isFromCache: false }
  const told = new Set<string>()
  const folder: CacheFolder = {
    path: resolve(cachePath),
    wallMs: clock.wallMs(),
    problem: (what) => {
      if (!told.has(what)) problem(what)
      told.add(what)
    },
  }
  return auditKept(walked, hashOf(Buffer.from(resolve(target))).slice(0, 32), folder, options)
}

async function auditKept(walked: Walked, key: string, folder: CacheFolder, options: AuditOptions): Promise<Audited> {
  const identity = options.timings.time('phase', 'identity', readIdentity)
  options.progress('looking into the cache')
  const found = options.timings.time('phase', 'cache', () =>
    findReport(folder, key, identity.report, walked, (path) => {
      const bytes = readBytes(`${walked.root}/${path}`, WALK_LIMITS.fileBytesMax)
      return bytes === undefined ? undefined : hashOf(bytes)
    }),
  )
  if (found !== undefined) return { report: found, isFromCache: true }
  const kept = openFacts(folder, key, identity.facts)
  const reads = new Map<string, string | undefined>()
  const report = await auditWalked(walked, { ...options, kept }, reads)
  kept.close()
  const isWhole = brokenIn(report.coverage).length === 0
  if (isWhole) keepReport(folder, key, identity.report, walked, reads, report)
  return { report, isFromCache: false }
}

async function auditWalked(
  walked: Walked,
  options: AuditOptions & Pick<ScanOptions, 'kept'>,
  reads?: Map<string, string | undefined>,
): Promise<Report> {
  const scanned = await scanWalked(walked, options)
  for (const [path, hash] of scanned.reads) reads?.set(path, hash)
  return options.timings.time('phase', 'report', () => buildReport(scanned, options.version))
}
