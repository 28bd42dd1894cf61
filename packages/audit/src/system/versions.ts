// The version of a library that is declared where a file stands: the lowest that its range allows.

import { folderOf } from '../repository/paths.ts'
import type { Repository } from '../repository/repository.ts'

type Declared = ReadonlyMap<string, ReadonlyMap<string, number>>

const KEPT = new WeakMap<Repository, Declared>()

/** Infinity: declared without a version, so the newest is taken; undefined: not declared above the file. */
export function declaredMajor(repository: Repository, file: string, library: string): number | undefined {
  const kept = KEPT.get(repository) ?? readDeclared(repository)
  KEPT.set(repository, kept)
  for (let folder = folderOf(file); ; folder = folderOf(folder)) {
    const found = kept.get(folder)?.get(library)
    if (found !== undefined || folder === '') return found
  }
}

function readDeclared(repository: Repository): Declared {
  const all = new Map<string, Map<string, number>>()
  for (const { file, dependencies } of repository.configuration.manifests) {
    const folder = folderOf(file)
    const own = all.get(folder) ?? new Map<string, number>()
    all.set(folder, own)
    for (const [name, { value }] of dependencies) {
      const major = lowestMajor(value)
      if (major !== undefined) own.set(name, Math.min(own.get(name) ?? Number.POSITIVE_INFINITY, major))
    }
  }
  return all
}

function lowestMajor(range: string): number | undefined {
  const text = /version\s*=\s*["']([^"']+)["']/.exec(range)?.[1] ?? range
  const lower = /(?:[=~^]=?|>=|>|^)\s*["']?v?(\d+)/.exec(text.replace(/[<!]=?\s*[\d.*]+/g, ''))
  if (lower !== null) return Number(lower[1])
  return /^(?:["']?\*?["']?|\[.*\])$/.test(text.trim()) ? Number.POSITIVE_INFINITY : undefined
}
