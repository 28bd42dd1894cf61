// The report of the last audit of a folder, with everything that it rests on: what was walked, and the content of every file that anybody read.
//   CA5. It is found only where all of that is as it was, on the same day (suppressions end), by the same code.

import type { Report } from '../reports/report.ts'
import type { Walked } from '../repository/walk.ts'
import { hashOf } from '../sources/read-one.ts'
import { type CacheFolder, readKept, startWriting } from './folder.ts'

const DAY_MS = 86_400_000

interface Kept {
  readonly walked: string
  readonly day: number
  readonly reads: readonly (readonly [path: string, hash: string])[]
  readonly report: Report
}

/** What was read of files. Undefined for one that was not there. */
export type HashNow = (path: string) => string | undefined

export function findReport(
  folder: CacheFolder,
  key: string,
  identity: string,
  walked: Walked,
  hashNow: HashNow,
): Report | undefined {
  const bytes = readKept(folder, `${key}.report`, identity)
  if (bytes === undefined) return undefined
  try {
    const { walked: before, day, reads, report } = JSON.parse(bytes.toString('utf8')) as Kept
    const isSame =
      before === hashOfWalk(walked) && day === dayOf(folder) && reads.every(([path, hash]) => hashNow(path) === hash)
    return isSame ? { ...report, generatedAt: new Date(folder.wallMs).toISOString() } : undefined
  } catch {
    return undefined // no JSON, or not of this form: as if it were not there
  }
}

/** `reads`: undefined where a file was not there, or was one thing and then another: such a report is not kept. */
export function keepReport(
  folder: CacheFolder,
  key: string,
  identity: string,
  walked: Walked,
  reads: ReadonlyMap<string, string | undefined>,
  report: Report,
): void {
  const known = [...reads].flatMap(([path, hash]) => (hash === undefined ? [] : [[path, hash] as const]))
  if (known.length < reads.size) return
  const kept: Kept = { walked: hashOfWalk(walked), day: dayOf(folder), reads: known, report }
  const writing = startWriting(folder, `${key}.report`, identity)
  writing?.write(Buffer.from(JSON.stringify(kept)))
  writing?.finish()
}

function dayOf({ wallMs }: CacheFolder): number {
  return Math.floor(wallMs / DAY_MS)
}

function hashOfWalk({ root, files, folders, unread }: Walked): string {
  const listed = files.map(({ path, role, bytes, isOpaque }) => [path, role, bytes, isOpaque])
  return hashOf(Buffer.from(JSON.stringify([root, listed, [...folders], unread])))
}
