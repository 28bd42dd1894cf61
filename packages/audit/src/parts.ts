// The parts of an audit that are no rules: readers of configuration, the graph, what reports are put together from.
//   QF2. A part that throws costs what it would have given, and is told in the coverage as a rule is; the rest stands.

export interface BrokenPart {
  readonly part: string
  readonly message: string
}

const MESSAGE_MAX = 200

export class Parts {
  readonly #broken: BrokenPart[]

  constructor(broken: readonly BrokenPart[] = []) {
    this.#broken = [...broken]
  }

  get broken(): readonly BrokenPart[] {
    return this.#broken
  }

  run<T>(part: string, make: () => T, nothing: T): T {
    try {
      return make()
    } catch (error) {
      const message = error instanceof Error ? error.message.slice(0, MESSAGE_MAX) : 'unknown'
      this.#broken.push({ part, message })
      return nothing
    }
  }
}
