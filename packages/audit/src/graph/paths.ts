// Ways on which failure travels: from where the world enters to what it rests on, over links that nothing holds; and what runs once and takes others down.
//   GR12. A critical path begins where the world enters, ends where nothing more is needed, uses no held link, and passes nobody twice. However many there are,
//         looking for them ends, and that some were left out is told.

import type { Component, SystemGraph, SystemLink } from '../model/graph.ts'
import { type BlastRadius, isHeld } from './blast-radius.ts'
import { isStore } from './images.ts'

export interface CriticalPath {
  /** Names, from the entry to what it rests on. */
  readonly components: readonly string[]
  /** Some need on the way is taken for hard without having been seen. */
  readonly isAssumed: boolean
}

export interface CriticalPaths {
  readonly paths: readonly CriticalPath[]
  readonly isWhole: boolean
}

export interface SinglePoint {
  readonly component: string
  readonly takesDown: readonly string[]
  readonly isAssumed: boolean
}

const LENGTH_MAX = 7
const STEPS_MAX = 20_000
const PATHS_MAX = 12

/** Where the world enters: what is published and no datastore; where nothing is, what nobody else needs. */
export function entriesOfGraph({ components, links }: SystemGraph): readonly Component[] {
  const own = components.filter(
    (component) => !isStore(component) && component.kind !== 'external' && component.kind !== 'job',
  )
  const published = own.filter(({ isPublished }) => isPublished)
  const needed = new Set(links.map(({ to }) => to))
  const first = published.filter(({ name }) => !needed.has(name))
  const loose = own.filter(({ name }) => !needed.has(name))
  return first.length > 0 ? first : published.length > 0 ? published : loose
}

/** GR12. The ones with the most links first, seen before assumed. */
export function criticalPaths(graph: SystemGraph): CriticalPaths {
  const out = new Map<string, SystemLink[]>()
  for (const link of graph.links) {
    if (isHeld(link)) continue
    const known = out.get(link.from)
    if (known === undefined) out.set(link.from, [link])
    else known.push(link)
  }
  const found: CriticalPath[] = []
  let steps = 0
  const walk = (trail: readonly string[], isAssumed: boolean): void => {
    if (++steps > STEPS_MAX) return
    const onward = (out.get(trail.at(-1) ?? '') ?? []).filter(({ to }) => !trail.includes(to))
    if (onward.length === 0 || trail.length >= LENGTH_MAX) {
      if (trail.length > 1) found.push({ components: trail, isAssumed })
      return
    }
    for (const { to, need } of onward) walk([...trail, to], isAssumed || need === 'unknown')
  }
  for (const { name } of entriesOfGraph(graph)) walk([name], false)
  const ranked = found.toSorted(
    (a, b) => Number(a.isAssumed) - Number(b.isAssumed) || b.components.length - a.components.length,
  )
  return { paths: varied(ranked).slice(0, PATHS_MAX), isWhole: steps <= STEPS_MAX && found.length <= PATHS_MAX }
}

/** Each end comes once before one comes twice. */
function varied(paths: readonly CriticalPath[]): readonly CriticalPath[] {
  const times = new Map<string, number>()
  return paths
    .map((path) => {
      const end = path.components.at(-1) ?? ''
      const time = (times.get(end) ?? 0) + 1
      times.set(end, time)
      return { path, time }
    })
    .sort((a, b) => a.time - b.time)
    .map(({ path }) => path)
}

/** What is said to run once and takes somebody down with it, the widest first. */
export function singlePoints({ components }: SystemGraph, radii: readonly BlastRadius[]): readonly SinglePoint[] {
  const once = new Set(
    components.filter(({ replicas, kind }) => replicas === 1 && kind !== 'job').map(({ name }) => name),
  )
  return radii.filter(({ component, takesDown }) => once.has(component) && takesDown.length > 0)
}
