// Line writer. Lines to a descriptor without ever waiting for its reader: each is written at once, so that a crash loses
// none that the reader had room for; what finds no room waits in a bounded queue and is tried again. The descriptor must
// not block (reading `process.stdout` makes pipes and sockets so; a plain descriptor 1 hung the process, tried 2026-11).
// sonic-boom, pino's own, was not taken: its flushSync (5.0.0, read 2026-11) repeats for ever on any error but EAGAIN,
// so that `ripstop up | head` could never exit.
// Invariants:
//   LW1. At most QUEUE_BYTES_MAX wait; a line beyond that is dropped and counted.
//   LW2. No error of the descriptor gets out or ends the writing: the next line is tried again.
//   LW3. What was dropped is said as soon as a line passes again.

import { writeSync } from 'node:fs'
import type { Clock } from '@ripstop/kernel'

export const QUEUE_BYTES_MAX = 4 * 1_048_576
const RETRY_MS = 20
const FLUSH_RETRIES_MAX = 50 // with RETRY_MS: one second for a reader that is behind

export interface LineWriter {
  /** `line` ends with a newline. */
  readonly write: (line: string) => void
  /** Writes out what waits, synchronously; gives up on a reader that takes nothing for a second. */
  readonly flush: () => void
}

export interface LineWriterOptions {
  readonly clock: Clock
  /** The line that says how many were dropped. */
  readonly describeDrop: (lines: number) => string
  /** For tests; as writeSync of node:fs. */
  readonly writeBytes?: (descriptor: number, bytes: Uint8Array) => number
}

interface Waiting {
  /** The first one's may be the rest of a line. */
  bytes: Buffer
  /** How many lines are lost with it. */
  readonly lines: number
}

export function createLineWriter(descriptor: number, options: LineWriterOptions): LineWriter {
  const writeBytes = options.writeBytes ?? writeSync
  const waiting: Waiting[] = []
  let waitingBytes = 0
  let dropped = 0
  let retrying = false

  /** False: there is no more room for now. */
  const drain = (): boolean => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const written = attempt(first.bytes)
      if (written === 'busy') return false
      if (written === 'failed') dropped += first.lines
      const gone = written === 'failed' ? first.bytes.length : written
      waitingBytes -= gone
      if (gone === first.bytes.length) waiting.shift()
      else first.bytes = first.bytes.subarray(gone)
    }
    return true
  }
  const attempt = (bytes: Buffer): number | 'busy' | 'failed' => {
    try {
      return writeBytes(descriptor, bytes)
    } catch (error) {
      return isBusy(error) ? 'busy' : 'failed' // nobody reads any more, or the disk is full
    }
  }
  const retry = (): void => {
    retrying = !drain()
    if (retrying) options.clock.schedule(RETRY_MS, retry)
  }
  const push = (line: string, lines: number): boolean => {
    const bytes = Buffer.from(line)
    if (waitingBytes + bytes.length > QUEUE_BYTES_MAX) return false
    waiting.push({ bytes, lines })
    waitingBytes += bytes.length
    return true
  }
  return {
    write(line) {
      if (dropped > 0 && push(options.describeDrop(dropped), dropped)) dropped = 0
      if (!push(line, 1)) dropped++
      if (!retrying) retry()
    },
    flush() {
      for (let retries = 0; retries < FLUSH_RETRIES_MAX; retries++) {
        const before = waitingBytes
        if (drain()) return
        if (waitingBytes < before) retries = 0
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
      }
    },
  }
}

function isBusy(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'EAGAIN'
}
