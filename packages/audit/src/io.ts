// What the command line touches of the world: handed in, so that tests can call it as a function.

import { readFileSync, statSync, writeFileSync } from 'node:fs'
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
  readonly out: (text: string) => void
  /** Progress and words. */
  readonly say: (text: string) => void
  readonly readText: (path: string) => string
  readonly writeText: (path: string, text: string) => void
}

/** The world of a process: its files and its clock. */
export function createIo(of: Pick<Io, 'program' | 'env' | 'isWatched' | 'out' | 'say'>): Io {
  return { ...of, clock: systemClock, version: versionOf(), readText, writeText }
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
    throw auditError('AUDIT_USAGE', `${path} can't be read`, { cause })
  }
  throw auditError('AUDIT_USAGE', `${path} is too large`)
}

function writeText(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (cause) {
    throw auditError('AUDIT_USAGE', `${path} can't be written`, { cause })
  }
}
