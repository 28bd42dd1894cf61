// What goes down with a component: whoever needs it, followed backwards over the links that nothing holds.
//   WA10. A link spreads failure unless its need is soft, or a fallback or breaker of it is present and none of that kind is
//         ineffective, bypassed or unwired. A need that is unknown counts as hard.
//   WA11. Circles end: every component is counted once, and never in its own radius.

import type { SystemGraph, SystemLink } from '../model/graph.ts'

export interface BlastRadius {
  readonly component: string
  /** Sorted; without itself. */
  readonly takesDown: readonly string[]
  /** Some link on the way has a need that is only assumed to be hard. */
  readonly isAssumed: boolean
}

/** WA10. */
export function isHeld({ need, guarantees }: SystemLink): boolean {
  if (need === 'soft') return true
  const holding = guarantees.filter(({ kind }) => kind === 'fallback' || kind === 'breaker')
  return holding.length > 0 && holding.every(({ state }) => state === 'present')
}

/** Of every component, the widest first. */
export function blastRadii(graph: SystemGraph): readonly BlastRadius[] {
  const into = new Map<string, SystemLink[]>()
  for (const link of graph.links) {
    if (isHeld(link)) continue
    const known = into.get(link.to)
    if (known === undefined) into.set(link.to, [link])
    else known.push(link)
  }
  const radii = graph.components.map(({ name }) => radiusOf(name, into))
  return radii.sort((a, b) => b.takesDown.length - a.takesDown.length || (a.component < b.component ? -1 : 1))
}

function radiusOf(component: string, into: ReadonlyMap<string, readonly SystemLink[]>): BlastRadius {
  const down = new Set<string>([component])
  let isAssumed = false
  for (const name of down) {
    for (const { from, need } of into.get(name) ?? []) {
      down.add(from)
      isAssumed ||= need === 'unknown'
    }
  }
  down.delete(component)
  return { component, takesDown: [...down].sort(), isAssumed }
}
