// A queue in a ring that doubles when it is full: taking from the front costs the same however long it is (Array.shift took 19 %
// of the CPU of a prototype that had long queues; 2026-11).

export class Ring<T> {
  #slots: (T | undefined)[] = new Array(16)
  #first = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(value: T): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#slots[(this.#first + this.#size) & (this.#slots.length - 1)] = value
    this.#size++
  }

  /** The first, which stays; undefined if there is none. */
  get first(): T | undefined {
    return this.#size === 0 ? undefined : this.#slots[this.#first]
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined
    const value = this.#slots[this.#first]
    this.#slots[this.#first] = undefined
    this.#first = (this.#first + 1) & (this.#slots.length - 1)
    this.#size--
    return value
  }

  /** Empties it, and gives what was in it. */
  drain(): T[] {
    const values: T[] = []
    for (let value = this.shift(); value !== undefined; value = this.shift()) values.push(value)
    this.#slots = new Array(16)
    this.#first = 0
    return values
  }

  #grow(): void {
    const { length } = this.#slots
    const grown: (T | undefined)[] = new Array(length * 2)
    for (let index = 0; index < this.#size; index++) grown[index] = this.#slots[(this.#first + index) & (length - 1)]
    this.#slots = grown
    this.#first = 0
  }
}
