// Admission. One bound on what is under way in the process, shared by the upstreams without fixed parts: an upstream gets
// a place while it holds fewer than are still free. One that hangs can so fill half of all places, two a third each, and
// n of them always leave 1/(n+1) to the rest: with a plain counter a single one would take everything.
// Source: Choudhury & Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM ToN 1998.
// Invariants:
//   AD1. Never more than `places` are taken, and each is given back once.
//   AD2. With n upstreams that never give back, the others can still take places / (n + 1).

/** What holds places. */
export interface Holder {
  held: number
}

export class Admission {
  readonly #places: number
  #taken = 0

  constructor(places: number) {
    this.#places = places
  }

  get taken(): number {
    return this.#taken
  }

  /** True: a place is yours, and you must `leave` it once. */
  enter(holder: Holder): boolean {
    if (holder.held >= this.#places - this.#taken) return false
    holder.held++
    this.#taken++
    return true
  }

  leave(holder: Holder): void {
    holder.held--
    this.#taken--
  }
}
