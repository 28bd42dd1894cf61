// Paths inside an audited repository: relative to its root, with slashes. '' is the root itself.

import { posix } from 'node:path'

/** Where `path`, written in `file`, leads to; undefined: out of the repository. '..' alone, to a folder above it, is 'above'. */
export function resolveFrom(file: string, path: string): { readonly path: string } | 'outside' | 'above' {
  return resolveIn(folderOf(file), path)
}

export function resolveIn(folder: string, path: string): { readonly path: string } | 'outside' | 'above' {
  if (posix.isAbsolute(path) || path.startsWith('~')) return 'outside'
  const joined = posix.join(folder === '' ? '.' : folder, path).replace(/\/+$/, '')
  if (/^\.\.(\/\.\.)*$/.test(joined)) return 'above'
  if (joined.startsWith('../')) return 'outside'
  return { path: joined === '.' ? '' : joined }
}

export function folderOf(file: string): string {
  const folder = posix.dirname(file)
  return folder === '.' ? '' : folder
}

export function nameOf(path: string): string {
  return posix.basename(path)
}

/** Of `folder`, or anywhere below it. */
export function isBelow(path: string, folder: string): boolean {
  return folder === '' || path === folder || path.startsWith(`${folder}/`)
}

export function join(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}
