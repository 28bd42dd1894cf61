// One file, from its path to its facts: the same on this thread and on a thread of its own.

import { hash } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '@ripstop/kernel'
import { readSource, type SourceRead } from '../readers/read-source.ts'
import { readBytes, toText } from '../repository/read-file.ts'
import { WALK_LIMITS } from '../repository/walk.ts'

export interface OneRead extends SourceRead {
  /** Of the bytes that were read; undefined: there were none. */
  readonly hash: string | undefined
  readonly tookMs: number
}

export function hashOf(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex')
}

/** Never throws. */
export function readOne(root: string, file: string, clock: Pick<Clock, 'monoMs'>): OneRead {
  const fromMs = clock.monoMs()
  const bytes = readBytes(join(root, file), WALK_LIMITS.fileBytesMax)
  const text = bytes === undefined ? undefined : toText(bytes)
  const read: SourceRead =
    text === undefined
      ? {
          facts: undefined,
          unread:
            bytes === undefined
              ? { path: file, why: 'unreadable', detail: 'it was gone, or something else, when its turn came' }
              : { path: file, why: 'binary' },
        }
      : readSource(file, text)
  return { ...read, hash: bytes === undefined ? undefined : hashOf(bytes), tookMs: clock.monoMs() - fromMs }
}
