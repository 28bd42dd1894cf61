// Names and where they come from: a stack of functions and what each declares, on top of the module's imports. Blocks inside of a function share its
// scope: for the question "what is this" a `let` in a branch is close enough.

export class Scopes {
  readonly #stack: Map<string, string>[] = [new Map()]

  enter(): void {
    this.#stack.push(new Map())
  }

  leave(): void {
    this.#stack.pop()
  }

  get isModule(): boolean {
    return this.#stack.length === 1
  }

  declare(name: string, root: string): void {
    this.#stack.at(-1)?.set(name, root)
  }

  /** As in Path.root. */
  rootOf(name: string): string {
    for (let level = this.#stack.length - 1; level >= 0; level--) {
      const root = this.#stack[level]?.get(name)
      if (root !== undefined) return root
    }
    return 'global'
  }
}
