// Names of Python and where they come from. A function's names are its own all over it, also above the line that binds them, and those of a class are not
// seen from its methods: so what a path begins with is settled when the function that it is in ends.

type Settled = { root: string }

interface Scope {
  readonly isClass: boolean
  /** What the object itself is called: `self`. */
  readonly own: string
  readonly names: Map<string, string>
  readonly waiting: [name: string, path: Settled][]
}

function scope(isClass: boolean, own: string): Scope {
  return { isClass, own, names: new Map(), waiting: [] }
}

export class Scopes {
  readonly #stack: Scope[] = [scope(false, '')]

  get isModule(): boolean {
    return this.#stack.length === 1
  }

  get isClass(): boolean {
    return this.#top.isClass
  }

  get #top(): Scope {
    return this.#stack.at(-1) as Scope
  }

  enter(isClass: boolean, own = ''): void {
    this.#stack.push(scope(isClass, own))
  }

  leave(): void {
    const left = this.#stack.pop()
    if (left === undefined) return
    // A class's own names hide nothing from its methods, whose waiting names went past it.
    for (const [name, path] of left.waiting) {
      const root = left.names.get(name)
      if (root !== undefined && root !== 'outer') path.root = root
      else if (this.#stack.length === 0) path.root = 'global'
      else this.#hold(name, path)
    }
  }

  /** The first binding says what a name is; an import says it better. */
  declare(name: string, root: string): void {
    const { names } = this.#top
    const before = names.get(name)
    if (before === undefined || (root.startsWith('import:') && !before.startsWith('import:'))) names.set(name, root)
  }

  /** Was it bound in this scope already? */
  has(name: string): boolean {
    return this.#top.names.has(name)
  }

  isOwn(name: string): boolean {
    for (let level = this.#stack.length - 1; level > 0; level--) {
      const each = this.#stack[level] as Scope
      if (each.own === name) return true
      if (!each.isClass && each.names.has(name)) return false
    }
    return false
  }

  /** What is known of it already. */
  rootOf(name: string): string {
    for (let level = this.#stack.length - 1; level >= 0; level--) {
      const root = this.#stack[level]?.names.get(name)
      if (root !== undefined && root !== 'outer') return root
    }
    return 'global'
  }

  settle(name: string, path: Settled): void {
    this.#top.waiting.push([name, path])
  }

  #hold(name: string, path: Settled): void {
    let level = this.#stack.length - 1
    while (level > 0 && this.#stack[level]?.isClass === true) level--
    this.#stack[level]?.waiting.push([name, path])
  }
}
