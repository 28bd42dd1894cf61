// What the command line touches of the world: handed in, so that tests can call it as a function.

import { accessSync, constants, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '@ripstop/kernel'
import type { Environment } from './cache/place.ts'
import { auditError } from './codes.ts'

const INPUT_BYTES_MAX = 200_000_000

export interface Io {
  readonly clock: Clock
  /** As it is called: `ripstop-audit`, `ripstop audit`. */
  readonly program: string
  readonly version: string
  readonly env: Environment
  /** Somebody looks at what is said: a line of progress may be rewritten in place. */
  readonly isWatched: boolean
  /** Of standard output, where that is a terminal: words are wanted there, not a document. */
  readonly columns?: number | undefined
  readonly out: (text: string) => void
  /** Progress and words. */
  readonly say: (text: string) => void
  readonly readText: (path: string) => string
  /** Before the work: that there will be a place for what comes of it. Gives the path, of a folder that of `audit` in it. Throws AUDIT_OUT_UNWRITABLE. */
  readonly prepare: (path: string) => string
  /** Throws AUDIT_OUT_UNWRITABLE. */
  readonly writeText: (path: string, text: string) => void
}

/** The world of a process: its files and its clock. */
export function createIo(of: Pick<Io, 'program' | 'env' | 'isWatched' | 'columns' | 'out' | 'say'>): Io {
  return { ...of, clock: systemClock, version: versionOf(), readText, prepare, writeText }
}

function versionOf(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

function readText(path: string): string {
  try {
    const { size } = statSync(path)
    if (size <= INPUT_BYTES_MAX) return readFileSync(path, 'utf8')
  } catch (cause) {
    throw auditError('AUDIT_INPUT_UNREADABLE', `${path} can't be read${becauseOf(cause)}`, { cause })
  }
  throw auditError('AUDIT_INPUT_UNREADABLE', `${path} has more than ${INPUT_BYTES_MAX / 1_000_000} MB`)
}

function prepare(path: string): string {
  try {
    const isFolder = /[\\/]$/.test(path) || (existsSync(path) && statSync(path).isDirectory())
    const file = isFolder ? join(path, 'audit') : path
    mkdirSync(dirname(file), { recursive: true })
    accessSync(existsSync(file) ? file : dirname(file), constants.W_OK)
    return file
  } catch (cause) {
    throw auditError('AUDIT_OUT_UNWRITABLE', `${path} can't be written${becauseOf(cause)}`, { cause })
  }
}

function writeText(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (cause) {
    throw auditError('AUDIT_OUT_UNWRITABLE', `${path} can't be written${becauseOf(cause)}`, { cause })
  }
}

const BECAUSE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a file stands where a folder should be',
  EEXIST: 'a file stands where a folder should be',
  EISDIR: 'it is a folder',
}

function becauseOf(cause: unknown): string {
  const { code = '' } = (cause ?? {}) as { readonly code?: string }
  return `: ${BECAUSE[code] ?? code}`
}
