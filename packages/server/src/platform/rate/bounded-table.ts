// A map with a bound that nobody can use against others: what is stale goes, what is not stays, and who finds no place
// shares one entry. Each newcomer pays for a look at two old entries, so that no sweep ever stalls the process.

/** Shared by all who find no place. A client's own name is never empty. */
const NO_PLACE = ''

export class BoundedTable<V> {
  readonly #entries = new Map<string, V>()
  readonly #entriesMax: number
  readonly #isStale: (value: V, nowMs: number) => boolean
  #cursor: MapIterator<[string, V]> | undefined

  constructor(entriesMax: number, isStale: (value: V, nowMs: number) => boolean) {
    this.#entriesMax = entriesMax
    this.#isStale = isStale
  }

  get size(): number {
    return this.#entries.size
  }

  get(name: string): V | undefined {
    return this.#entries.get(name)
  }

  set(name: string, value: V): void {
    this.#entries.set(name, value)
  }

  /** The name under which to keep `name`: its own, or the shared one if the table is full. */
  nameFor(name: string, nowMs: number): string {
    if (this.#entries.has(name)) return name
    this.#lookAtNext(nowMs)
    this.#lookAtNext(nowMs)
    return this.#entries.size < this.#entriesMax ? name : NO_PLACE
  }

  #lookAtNext(nowMs: number): void {
    this.#cursor ??= this.#entries.entries()
    const { done, value } = this.#cursor.next()
    if (done === true) this.#cursor = undefined
    else if (this.#isStale(value[1], nowMs)) this.#entries.delete(value[0])
  }
}
