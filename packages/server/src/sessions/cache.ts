// Sessions as this process saw them last, read and ready to be decided on. What is remembered may be old: a commit finds that out, and
// whatever does not end in a commit is decided on what was loaded (EN3). So nothing has to be invalidated, only bounded.
// Invariants:
//   EN9. At most `countMax` sessions and `bytesMax` of them are remembered; the one that was used longest ago goes first.

import type { HeldSession } from './held.ts'

export interface CacheBounds {
  readonly countMax: number
  readonly bytesMax: number
}

/** What a session takes beside its text: objects are a few times as large as the text that they were read from. */
const BYTES_EACH = 1_000
const BYTES_OF_TEXT = 5

export class SessionCache {
  readonly #bounds: CacheBounds
  /** The one that was used longest ago is the first. */
  readonly #held = new Map<string, HeldSession>()
  #bytes = 0

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#bytes
  }

  sessions(): IterableIterator<HeldSession> {
    return this.#held.values()
  }

  get(key: string): HeldSession | undefined {
    return this.#held.get(key)
  }

  /** Whatever is done with a session ends here: this is when it was used. */
  put(key: string, held: HeldSession): void {
    this.drop(key)
    this.#held.set(key, held)
    this.#bytes += bytesOf(held)
    for (const [oldest, last] of this.#held) {
      if (this.#held.size <= this.#bounds.countMax && this.#bytes <= this.#bounds.bytesMax) return
      this.#held.delete(oldest)
      this.#bytes -= bytesOf(last)
    }
  }

  drop(key: string): void {
    const held = this.#held.get(key)
    if (held === undefined) return
    this.#held.delete(key)
    this.#bytes -= bytesOf(held)
  }
}

function bytesOf({ bytes }: HeldSession): number {
  return BYTES_EACH + BYTES_OF_TEXT * bytes
}
