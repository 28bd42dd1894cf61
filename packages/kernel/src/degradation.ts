import type { Env } from './ctx.ts'
import type { LinkNotice } from './link-snapshot.ts'

export interface DegradationDeps {
  readonly env: Env
  readonly notify: (notice: LinkNotice) => void
}

/** A named fallback of a link: active from the first call that it answered until one succeeds without it, or the link comes up. */
export class Degradation {
  readonly #link: string
  readonly #name: string
  readonly #deps: DegradationDeps
  #active = false
  #uses = 0

  constructor(link: string, name: string, deps: DegradationDeps) {
    this.#link = link
    this.#name = name
    this.#deps = deps
  }

  begin(): void {
    this.#uses++
    if (!this.#active) this.#become(true)
  }

  end(): void {
    if (this.#active) this.#become(false)
  }

  snapshot(): { readonly name: string; readonly active: boolean; readonly uses: number } {
    return { name: this.#name, active: this.#active, uses: this.#uses }
  }

  #become(active: boolean): void {
    this.#active = active
    const wallMs = this.#deps.env.clock.wallMs()
    this.#deps.notify({ type: 'degradation', link: this.#link, name: this.#name, active, wallMs })
  }
}
