import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RipstopError } from '@ripstop/kernel'

/** One forward step of the schema: `NNNN-name.sql`. */
export interface Migration {
  readonly version: number
  readonly name: string
  readonly sha256: string
  readonly sql: string
}

const DIRECTORY = join(import.meta.dirname, '..', '..', '..', 'migrations')

/** The steps that this binary brings, in order. Throws MIGRATION_DRIFT if their names don't make an order. */
export async function readMigrations(directory: string = DIRECTORY): Promise<readonly Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort()
  const migrations = await Promise.all(
    names.map(async (file): Promise<Migration> => {
      const [, version, name] = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file) ?? []
      if (version === undefined || name === undefined) {
        throw new RipstopError('MIGRATION_DRIFT', `migration file ${file} is not named NNNN-name.sql`)
      }
      const sql = await readFile(join(directory, file), 'utf8')
      // A checkout on Windows may have other line ends: that is no change.
      const sha256 = createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex')
      return { version: Number(version), name, sha256, sql }
    }),
  )
  migrations.forEach(({ version, name }, index) => {
    const before = migrations[index - 1]
    if (before?.version !== version) return
    throw new RipstopError('MIGRATION_DRIFT', `migrations ${before.name} and ${name} have the same number ${version}`)
  })
  return migrations
}
