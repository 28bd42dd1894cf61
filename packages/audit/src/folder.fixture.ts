// A folder that a test wrote, removed when it ends.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { FileIndex } from './repository/repository.ts'

/** Its path. Files by path; what ends with a slash is an empty folder. */
export function createFolder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = mkdtempSync(join(tmpdir(), 'audited-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    const place = join(root, path)
    mkdirSync(path.endsWith('/') ? place : dirname(place), { recursive: true })
    if (!path.endsWith('/')) writeFileSync(place, content)
  }
  return root
}

/** An index without a disk: all of it source. */
export function indexOf(files: Readonly<Record<string, string>>): FileIndex {
  return {
    has: (path) => Object.hasOwn(files, path),
    read: (path) => files[path],
    role: (path) => (Object.hasOwn(files, path) ? 'source' : undefined),
    list: () => Object.keys(files).sort(),
  }
}
