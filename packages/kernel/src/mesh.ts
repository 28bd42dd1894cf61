// Mesh. The registry of components and links: one place that knows what there is, what it promises and how it is doing.
// Health, metrics, pages and reports read `graph()` and nothing else, so they can't disagree with what is enforced.

import type { Adapter } from './adapter.ts'
import type { Ctx, Env } from './ctx.ts'
import { RipstopError } from './errors.ts'
import { type Component, createGraph, type Drill, type MeshGraph, type Use } from './graph.ts'
import type { Guarantees, GuaranteesInput } from './guarantees.ts'
import { Link } from './link.ts'
import type { LinkNotice, LinkSnapshot } from './link-snapshot.ts'
import { Metrics } from './metrics.ts'

/** What the graph needs of a link, whatever its resource is. */
export interface AnyLink {
  readonly name: string
  readonly guarantees: Guarantees
  snapshot(): LinkSnapshot
  start(): void
  wake(): void
  drain(ctx: Ctx): Promise<void>
}

export type NoticeListener = (notice: LinkNotice) => void

export class Mesh {
  readonly env: Env
  readonly metrics: Metrics
  readonly #links = new Map<string, AnyLink>()
  readonly #leadsTo = new Map<string, string>()
  readonly #components = new Map<string, Component>()
  readonly #uses: Use[] = []
  readonly #drills = new Map<string, Drill>()
  readonly #listeners = new Set<NoticeListener>()

  constructor(env: Env, metrics: Metrics = new Metrics()) {
    this.env = env
    this.metrics = metrics
  }

  /**
   * Makes and registers a link; `start` it when it is needed. `to` is the component it leads to.
   * Throws CONFIG_INVALID for a name that is taken or a guarantee out of range.
   */
  link<R>(name: string, adapter: Adapter<R>, guarantees: GuaranteesInput, to?: Component): Link<R> {
    if (this.#links.has(name)) throw new RipstopError('CONFIG_INVALID', `a link named ${name} exists already`)
    const failures = this.metrics.counter('mesh_listener_failures_total', 'Listeners that threw', { link: name })
    const notify = (notice: LinkNotice): void => {
      for (const listener of this.#listeners) {
        try {
          listener(notice)
        } catch {
          // A watcher's defect is no reason for the link to fail; that it happened shows in the metrics.
          failures.add(1)
        }
      }
    }
    const link = new Link(name, adapter, guarantees, { env: this.env, metrics: this.metrics, notify })
    this.#links.set(name, link)
    const component = to ?? { name: name.split('.')[0] ?? name, kind: 'service' }
    if (to !== undefined || !this.#components.has(component.name)) this.component(component)
    this.#leadsTo.set(name, component.name)
    return link
  }

  component(component: Component): void {
    this.#components.set(component.name, component)
  }

  /** Declares that `component` works through `link`. */
  use(use: Use): void {
    this.#uses.push(use)
  }

  drilled(drill: Drill): void {
    this.#drills.set(drill.link, drill)
  }

  links(): readonly AnyLink[] {
    return [...this.#links.values()]
  }

  /** Tells of transitions, breakers and degradations until the returned function is called. Listeners should not throw: what they throw is only counted. */
  listen(listener: NoticeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Components, links, guarantees, live state, blast radius and last drill, as plain data. */
  graph(): MeshGraph {
    return createGraph({
      components: [...this.#components.values()],
      links: this.links().map((link) => ({
        leadsTo: this.#leadsTo.get(link.name) ?? link.name,
        guarantees: link.guarantees,
        snapshot: link.snapshot(),
      })),
      uses: this.#uses,
      drills: this.#drills,
      wallMs: this.env.clock.wallMs(),
    })
  }

  /** The critical links that are not up: empty means ready. */
  notReady(): readonly LinkSnapshot[] {
    return this.links()
      .filter((link) => link.guarantees.critical)
      .map((link) => link.snapshot())
      .filter((snapshot) => snapshot.state !== 'up' && snapshot.state !== 'degraded')
  }

  /** Closes every link, in the reverse order of their making. Bounded by `ctx`. */
  async drain(ctx: Ctx): Promise<void> {
    for (const link of this.links().toReversed()) await link.drain(ctx)
  }
}
