// The order in which a deployment starts, from `depends_on`: who comes first, who waits for health and who only for a start, who calls what it does not wait
// for, and circles.
//   GR13. Every component that waits or is waited for is in one wave, after all that it waits for; what is in a circle, or waits for one, is in none.

import type { SystemLink } from '../model/graph.ts'
import type { Part } from './part.ts'

export interface StartOrder {
  readonly waves: readonly (readonly string[])[]
  /** What no order can start: it waits for itself by way of others. */
  readonly circle: readonly string[]
  /** Waits only until the other is started, or until a check of health that it does not have. */
  readonly weak: readonly string[]
  /** Uses the other without waiting for it, by the name of the link. */
  readonly unordered: readonly string[]
}

export function startOrderOf(parts: readonly Part[], links: ReadonlyMap<string, SystemLink>): StartOrder {
  const waits = new Map<string, ReadonlySet<string>>()
  const names = new Map(
    parts.flatMap((part) => part.names.map((name) => [`${part.system}\n${name}`, part.component.name] as const)),
  )
  for (const { component, system, waits: own } of parts) {
    const targets = own.map(({ to }) => names.get(`${system}\n${to}`)).filter((name) => name !== undefined)
    if (targets.length > 0) waits.set(component.name, new Set(targets))
  }
  const involved = new Set([...waits.keys(), ...[...waits.values()].flatMap((targets) => [...targets])])
  const { waves, left } = layer(involved, waits)
  const isDeployed = new Set(parts.filter((part) => part.names.length > 0).map(({ component }) => component.name))
  const all = [...links.values()]
  return {
    waves,
    circle: left,
    weak: all
      .filter(({ guarantees }) => guarantees.some(({ kind, state }) => kind === 'health' && state !== 'present'))
      .map(({ name }) => name),
    unordered: all
      .filter(({ from, to }) => isDeployed.has(from) && isDeployed.has(to) && waits.get(from)?.has(to) !== true)
      .map(({ name }) => name),
  }
}

function layer(
  involved: ReadonlySet<string>,
  waits: ReadonlyMap<string, ReadonlySet<string>>,
): { readonly waves: readonly (readonly string[])[]; readonly left: readonly string[] } {
  const waves: string[][] = []
  const started = new Set<string>()
  let left = [...involved]
  while (left.length > 0) {
    const next = left.filter((name) => [...(waits.get(name) ?? [])].every((to) => started.has(to)))
    if (next.length === 0) break
    waves.push(next.sort())
    for (const name of next) started.add(name)
    left = left.filter((name) => !started.has(name))
  }
  return { waves, left: left.sort() }
}
