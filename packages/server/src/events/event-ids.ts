// Ids of events. UUIDv7 whose 12 bits after the time count up within a millisecond (RFC 9562, 6.2, method 1), so that the ids of one process
// stand in the order in which they were given: a page of a replay keeps the order of a batch.
// Invariants:
//   EV4. Ids of one process rise, also when many are made in one millisecond and when the wall clock is set back a little.

import { createId } from '@ripstop/kernel'

const COUNT_MAX = 0xfff
/** A clock set back by more was wrong before: ids follow it, so that they don't stay in a far day. */
const BACK_MS_MAX = 60_000

export class EventIds {
  #lastMs = 0
  #count = 0

  next(wallMs: number): string {
    const nowMs = Math.floor(wallMs)
    if (nowMs > this.#lastMs || this.#lastMs - nowMs > BACK_MS_MAX) {
      this.#lastMs = nowMs
      this.#count = 0
    } else if (this.#count === COUNT_MAX) {
      this.#lastMs++
      this.#count = 0
    } else this.#count++
    const id = createId(this.#lastMs)
    return `${id.slice(0, 15)}${this.#count.toString(16).padStart(3, '0')}${id.slice(18)}`
  }
}
