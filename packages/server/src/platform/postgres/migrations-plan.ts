// What to do about a database, given what was applied to it and what this binary brings: a pure decision.

import { RipstopError } from '@ripstop/kernel'
import '@ripstop/protocol' // registers the codes of the edge
import type { Migration } from './migrations-files.ts'

export interface Applied {
  readonly version: number
  readonly name: string
  readonly sha256: string
}

/**
 * The steps that are still to be applied, in order. Throws SCHEMA_TOO_NEW if a newer binary migrated the database, and
 * MIGRATION_DRIFT that names every applied step whose file is missing, changed or overtaken.
 */
export function planMigrations(files: readonly Migration[], applied: readonly Applied[]): readonly Migration[] {
  const newest = files.at(-1)?.version ?? 0
  const reached = applied.at(-1)?.version ?? 0
  if (reached > newest) {
    const message = `the database is at migration ${reached}, this binary only knows ${newest}`
    throw new RipstopError('SCHEMA_TOO_NEW', message, { details: { database: reached, binary: newest } })
  }
  const problems = findFileDrift(files, applied, reached)
  if (problems.length > 0) throw new RipstopError('MIGRATION_DRIFT', problems.join('; '), { details: { problems } })
  return files.filter(({ version }) => version > reached)
}

function findFileDrift(files: readonly Migration[], applied: readonly Applied[], reached: number): string[] {
  const byVersion = new Map(files.map((file) => [file.version, file]))
  const appliedVersions = new Set(applied.map(({ version }) => version))
  const problems: string[] = []
  for (const { version, name, sha256 } of applied) {
    const file = byVersion.get(version)
    if (file === undefined) problems.push(`migration ${version} (${name}) was applied, but its file is missing`)
    else if (file.sha256 !== sha256) problems.push(`migration ${version} (${name}) was changed after it was applied`)
  }
  for (const { version, name } of files) {
    if (version > reached || appliedVersions.has(version)) continue
    problems.push(`migration ${version} (${name}) appeared after migration ${reached} was applied`)
  }
  return problems
}
