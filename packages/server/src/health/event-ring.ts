// The last events of the mesh, kept so that a client that was away for a moment misses nothing. Ids name the process's
// boot and count up, so an id of another boot, or one too old, is known for what it is.
// Invariants:
//   HR1. Whoever resumes after an id gets every event after it, once and in order, or is told that some are lost.
//   HR2. At most `kept` events are kept.

import type { MeshEventWire } from '@ripstop/protocol'

const KEPT = 256

export interface RingEvent {
  readonly id: string
  readonly event: MeshEventWire
}

export type RingListener = (entry: RingEvent) => void

export class EventRing {
  readonly #boot: string
  readonly #kept: number
  readonly #events: RingEvent[] = []
  readonly #listeners = new Set<RingListener>()
  #count = 0

  /** `boot` differs from one start of the process to the next; it holds no dot. */
  constructor(boot: string, kept: number = KEPT) {
    this.#boot = boot
    this.#kept = kept
  }

  /** The id of the last event; of none yet if nothing happened. */
  get lastId(): string {
    return `${this.#boot}.${this.#count}`
  }

  add(event: MeshEventWire): void {
    this.#count++
    const entry = { id: this.lastId, event }
    this.#events.push(entry)
    if (this.#events.length > this.#kept) this.#events.shift()
    for (const listener of this.#listeners) listener(entry)
  }

  /** What happened after `id`; undefined: some of it is lost. */
  after(id: string): readonly RingEvent[] | undefined {
    const [boot, number] = id.split('.')
    const seen = Number(number)
    if (boot !== this.#boot || !Number.isInteger(seen) || seen < 0 || seen > this.#count) return undefined
    const missed = this.#count - seen
    return missed > this.#events.length ? undefined : this.#events.slice(this.#events.length - missed)
  }

  /** The last `most` events, oldest first. */
  last(most: number): readonly RingEvent[] {
    return this.#events.slice(-most)
  }

  /** Until the returned function is called. Listeners must not throw. */
  listen(listener: RingListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
