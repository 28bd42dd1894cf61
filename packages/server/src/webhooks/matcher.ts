// Which endpoints want an event: found by its type, without trying them all. A pattern is a type, or the beginning of types with a
// star, so every pattern that fits a type is one of its beginnings: each is one lookup, and what was found is kept for the type.
// Invariants:
//   WF1. An endpoint is found for an event exactly if one of its patterns fits the type; found by several, it is there once.

export const PATTERN = /^(?:\*|[A-Za-z0-9_][A-Za-z0-9._:/-]{0,126}\*?|[A-Za-z0-9_][A-Za-z0-9._:/-]{127})$/

const TYPES_MAX = 1_000

/** `order.*` fits `order.paid` and `order.item.added`, not `order`. */
export function fits(pattern: string, type: string): boolean {
  return pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type
}

export class Matcher<E extends { readonly eventTypes: readonly string[] }> {
  readonly #byPattern = new Map<string, Set<E>>()
  /** What was found for a type. A handful of types come again and again; beyond the bound it starts anew. */
  readonly #found = new Map<string, readonly E[]>()

  add(entry: E): void {
    this.#found.clear()
    for (const pattern of entry.eventTypes) {
      const entries = this.#byPattern.get(pattern)
      if (entries === undefined) this.#byPattern.set(pattern, new Set([entry]))
      else entries.add(entry)
    }
  }

  remove(entry: E): void {
    this.#found.clear()
    for (const pattern of entry.eventTypes) {
      const entries = this.#byPattern.get(pattern)
      entries?.delete(entry)
      if (entries?.size === 0) this.#byPattern.delete(pattern)
    }
  }

  find(type: string): readonly E[] {
    const known = this.#found.get(type)
    if (known !== undefined) return known
    const found = new Set<E>()
    for (const pattern of patternsOf(type)) {
      for (const entry of this.#byPattern.get(pattern) ?? []) found.add(entry)
    }
    if (this.#found.size >= TYPES_MAX) this.#found.clear()
    const list = [...found]
    this.#found.set(type, list)
    return list
  }
}

/** Every pattern that fits it. */
function patternsOf(type: string): string[] {
  return [type, ...Array.from({ length: type.length + 1 }, (_, length) => `${type.slice(0, length)}*`)]
}
