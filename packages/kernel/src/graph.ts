// The graph as data: what `GET /v1/mesh/graph` serves and what the auditor builds from source, in one shape.

import type { Guarantees } from './guarantees.ts'
import type { LinkSnapshot } from './link-snapshot.ts'

/** A part of the system: a service, a database, a role of ours. */
export interface Component {
  readonly name: string
  readonly kind: 'role' | 'service' | 'database' | 'cache' | 'client'
}

/** Somebody uses a link: what breaks with it, and whether anything is done instead. */
export interface Use {
  readonly component: string
  readonly link: string
  /** Hard: without the link the component can't do its work. Soft: it does it in a degraded way. */
  readonly need: 'hard' | 'soft'
}

/** A measured recovery, from a drill or a test: evidence for `recoverWithinMs`. */
export interface Drill {
  readonly link: string
  readonly fault: string
  readonly recoveredMs: number
  readonly wallMs: number
}

export interface GraphLink {
  readonly name: string
  readonly to: string
  readonly kind: string
  readonly target: string
  readonly guarantees: Guarantees
  readonly live: LinkSnapshot
  /** What stops working with it, and what only degrades: computed by following hard uses backwards. */
  readonly blastRadius: { readonly hard: readonly string[]; readonly soft: readonly string[] }
  readonly lastDrill: Drill | undefined
}

export interface MeshGraph {
  readonly wallMs: number
  readonly components: readonly Component[]
  readonly uses: readonly Use[]
  readonly links: readonly GraphLink[]
}

export interface GraphInput {
  readonly components: readonly Component[]
  readonly links: readonly {
    readonly leadsTo: string
    readonly guarantees: Guarantees
    readonly snapshot: LinkSnapshot
  }[]
  readonly uses: readonly Use[]
  readonly drills: ReadonlyMap<string, Drill>
  readonly wallMs: number
}

export function createGraph(input: GraphInput): MeshGraph {
  const leadsTo = new Map(input.links.map((link) => [link.snapshot.name, link.leadsTo]))
  return {
    wallMs: input.wallMs,
    components: input.components,
    uses: input.uses,
    links: input.links.map(({ leadsTo: to, guarantees, snapshot }) => ({
      name: snapshot.name,
      to,
      kind: snapshot.kind,
      target: snapshot.target,
      guarantees,
      live: snapshot,
      blastRadius: createBlastRadius(snapshot.name, input.uses, leadsTo),
      lastDrill: input.drills.get(snapshot.name),
    })),
  }
}

/** A component falls with a link it needs; and with it falls everything that needs a link leading to it. */
function createBlastRadius(
  link: string,
  uses: readonly Use[],
  leadsTo: ReadonlyMap<string, string>,
): GraphLink['blastRadius'] {
  const hard = new Set<string>()
  const soft = new Set<string>()
  const fallen = [link]
  for (let next = fallen.pop(); next !== undefined; next = fallen.pop()) {
    for (const use of uses) {
      if (use.link !== next) continue
      if (use.need === 'soft') soft.add(use.component)
      else if (!hard.has(use.component)) {
        hard.add(use.component)
        for (const [name, to] of leadsTo) if (to === use.component) fallen.push(name)
      }
    }
  }
  return { hard: [...hard].sort(), soft: [...soft].filter((name) => !hard.has(name)).sort() }
}
