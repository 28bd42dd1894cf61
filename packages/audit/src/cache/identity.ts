// Who wrote what is kept: the hash of the auditor's own code, so that nobody has to remember to raise a number when a rule or a reader changes.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What facts depend on. Versions of parsers are in the manifest. */
const OF_FACTS = ['facts', 'readers', 'sources']
const CODE = /\.(ts|js)$/
const NO_CODE = /\.(test|fixture|d)\.ts$/

export interface Identity {
  readonly facts: string
  readonly report: string
}

export function readIdentity(): Identity {
  const root = join(import.meta.dirname, '..')
  const manifest = readFileSync(join(root, '..', 'package.json'))
  const code = list(root, '')
  const hash = (paths: readonly string[]): string => {
    const digest = createHash('sha256').update(manifest)
    for (const path of paths)
      digest
        .update(path)
        .update('\0')
        .update(readFileSync(join(root, path)))
    return digest.digest('hex')
  }
  return { facts: hash(code.filter((path) => OF_FACTS.includes(path.split('/')[0] ?? ''))), report: hash(code) }
}

function list(root: string, folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) return list(root, path)
      return CODE.test(entry.name) && !NO_CODE.test(entry.name) ? [path] : []
    })
}
