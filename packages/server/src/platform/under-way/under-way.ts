// What is under way, to be visited at any time. Not a Set: V8's tables, when they are rebuilt, leave in the old table a
// pointer to the new one, and one table that was promoted keeps all that come after it, with what they held, until the next
// full collection. At 10 000 requests/s that was 13 MB a scavenge and pauses of 30 ms (2026-11, Node 24).
// Here an entry knows its index, and the last one fills the gap that it leaves.

/** Belongs to whoever keeps it: written only by `UnderWay`. */
export interface Kept {
  index: number
}

export class UnderWay<T extends Kept> {
  readonly #all: T[] = []

  get size(): number {
    return this.#all.length
  }

  add(entry: T): void {
    entry.index = this.#all.length
    this.#all.push(entry)
  }

  /** `entry` must be in it. */
  remove(entry: T): void {
    const last = this.#all.pop()
    if (last === undefined || last === entry) return
    this.#all[entry.index] = last
    last.index = entry.index
  }

  /** A copy: entries may come and go while it is walked. */
  list(): readonly T[] {
    return [...this.#all]
  }
}
