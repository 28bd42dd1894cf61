// The cache's folder, outside of what is audited: a few large files, each written whole and put in its place at once, so that two audits at a time
// only ever see whole ones, and the last one stays. Everything in it can be thrown away at any time, and nothing in it is believed without a check.
// Invariants:
//   CA1. A file that was cut, changed or written by another version is not there; it is written anew.
//   CA2. All files together take at most FOLDER_BYTES_MAX: what was not used for longest goes first.
//   CA3. A cache that can't be read or written changes no audit; that it can't be written is told.

import { createHash } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { createId } from '@ripstop/kernel'
import { readBytes } from '../repository/read-file.ts'

const FOLDER_BYTES_MAX = 1_000_000_000
export const FILE_BYTES_MAX = 250_000_000
const DIGEST_BYTES = 32
const NAME = /^[0-9a-f]{32}\.(facts|report)$/
const UNFINISHED = /^[0-9a-f]{32}\.(facts|report)\.[0-9a-f-]+$/
const UNFINISHED_MS_MAX = 3_600_000

export interface CacheFolder {
  readonly path: string
  readonly wallMs: number
  /** Told once for a folder. */
  readonly problem: (what: string) => void
}

/** What was written under this name by the same `identity`; undefined: nothing (CA1). */
export function readKept({ path, wallMs }: CacheFolder, name: string, identity: string): Buffer | undefined {
  const place = join(path, name)
  const bytes = readBytes(place, FILE_BYTES_MAX)
  const head = Buffer.from(identity, 'hex')
  if (bytes === undefined || bytes.length < head.length + DIGEST_BYTES) return undefined
  const end = bytes.length - DIGEST_BYTES
  if (!bytes.subarray(0, head.length).equals(head)) return undefined
  if (!createHash('sha256').update(bytes.subarray(0, end)).digest().equals(bytes.subarray(end))) return undefined
  try {
    utimesSync(place, wallMs / 1_000, wallMs / 1_000)
  } catch {
    // Somebody else's, or gone: it only grows old sooner.
  }
  return bytes.subarray(head.length, end)
}

export interface Writing {
  readonly write: (bytes: Uint8Array) => void
  /** Puts it in its place. */
  readonly finish: () => void
}

/** Undefined: it can't be written, which is told. After a failure the rest of the writing does nothing. */
export function startWriting(folder: CacheFolder, name: string, identity: string): Writing | undefined {
  const place = join(folder.path, name)
  const unfinished = `${place}.${createId(folder.wallMs)}`
  const digest = createHash('sha256')
  let descriptor: number | undefined
  const attempt = (act: () => void): void => {
    try {
      act()
    } catch (error) {
      const { code = 'unknown' } = error as { readonly code?: string }
      folder.problem(`the cache ${folder.path} can't be written (${code})`)
      abandon(descriptor, unfinished)
      descriptor = undefined
    }
  }
  const write = (bytes: Uint8Array): void => {
    if (descriptor === undefined) return
    digest.update(bytes)
    writeAll(descriptor, bytes)
  }
  attempt(() => {
    mkdirSync(folder.path, { recursive: true, mode: 0o700 })
    descriptor = openSync(unfinished, 'wx', 0o600)
    write(Buffer.from(identity, 'hex'))
  })
  if (descriptor === undefined) return undefined
  return {
    write: (bytes) => attempt(() => write(bytes)),
    finish: () =>
      attempt(() => {
        if (descriptor === undefined) return
        writeAll(descriptor, digest.digest())
        closeSync(descriptor)
        descriptor = undefined
        renameSync(unfinished, place)
        evict(folder)
      }),
  }
}

function abandon(descriptor: number | undefined, path: string): void {
  try {
    if (descriptor !== undefined) closeSync(descriptor)
    rmSync(path, { force: true })
  } catch {
    // It stays unfinished, and goes when it is old (CA2).
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
}

/** CA2. Files of other names are not ours, and stay. */
function evict({ path, wallMs }: CacheFolder): void {
  const own = readdirSync(path).flatMap((name) => {
    const isUnfinished = UNFINISHED.test(name)
    if (!isUnfinished && !NAME.test(name)) return []
    const stat = statSync(join(path, name), { throwIfNoEntry: false })
    return stat === undefined ? [] : [{ name, bytes: stat.size, usedMs: stat.mtimeMs, isUnfinished }]
  })
  let sum = 0
  for (const { name, bytes, usedMs, isUnfinished } of own.sort((a, b) => b.usedMs - a.usedMs)) {
    sum += bytes
    const isStale = isUnfinished && wallMs - usedMs > UNFINISHED_MS_MAX
    if (sum > FOLDER_BYTES_MAX || isStale) rmSync(join(path, name), { force: true })
  }
}
