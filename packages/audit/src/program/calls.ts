// All calls there are, by what is called: a rule that is about a few names looks at those calls, not at every call of the repository (90 000 calls have 20 000
// texts and 10 000 last names between them, and a walk over all of them is mostly spent on getting at the name; measured 2026-11-22).
//   QF3. What is found by name is what a walk over every call would find, in the order of files and of calls in them.

import type { Call, FileFacts } from '../facts/facts.ts'

/** A block of a file: a function, or a class. */
export interface BlockRef {
  readonly file: string
  readonly block: number
}

export interface CallSite {
  readonly file: string
  readonly call: Call
}

export interface FoundCall extends CallSite {
  readonly facts: FileFacts
}

/** What is called last, `get` of `client.get`: one of these, or like this. */
export type CallNames = RegExp | readonly string[] | ReadonlySet<string>

interface Placed extends FoundCall {
  readonly place: number
}

export class CallIndex {
  readonly #byText = new Map<string, Placed[]>()
  readonly #byName = new Map<string, Placed[][]>()
  readonly #named = new WeakMap<CallNames, readonly FoundCall[]>()
  readonly #like = new WeakMap<RegExp, readonly FoundCall[]>()

  constructor(all: ReadonlyMap<string, FileFacts>) {
    let place = 0
    for (const [file, facts] of all)
      for (const call of facts.calls) {
        const site: Placed = { file, call, facts, place: place++ }
        const list = this.#byText.get(call.callee.text)
        if (list === undefined) this.#begin(call.callee.text, [site])
        else list.push(site)
      }
  }

  #begin(text: string, list: Placed[]): void {
    this.#byText.set(text, list)
    const name = text.slice(text.lastIndexOf('.') + 1)
    const own = this.#byName.get(name)
    if (own === undefined) this.#byName.set(name, [list])
    else own.push(list)
  }

  /** Kept by `names`, which should be a constant. */
  named(names: CallNames): readonly FoundCall[] {
    const kept = this.#named.get(names)
    if (kept !== undefined) return kept
    const meant = names instanceof RegExp ? [...this.#byName.keys()].filter((name) => names.test(name)) : names
    const lists: Placed[][] = []
    for (const name of meant) for (const list of this.#byName.get(name) ?? []) lists.push(list)
    const found = inOrder(lists)
    this.#named.set(names, found)
    return found
  }

  /** By the whole text, `client.get`; kept by `text`, which should be a constant. */
  like(text: RegExp): readonly FoundCall[] {
    const kept =
      this.#like.get(text) ?? inOrder([...this.#byText].flatMap(([key, list]) => (text.test(key) ? [list] : [])))
    this.#like.set(text, kept)
    return kept
  }
}

function inOrder(lists: readonly Placed[][]): readonly FoundCall[] {
  return lists.length === 1 ? (lists[0] ?? []) : lists.flat().sort((a, b) => a.place - b.place)
}
