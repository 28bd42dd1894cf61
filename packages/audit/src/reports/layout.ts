// The picture of the graph as places: systems, one below the other, each in columns, who needs on the left of whom it needs.
// What is outside stands with the first system that calls it.
//   RE12. Every component is drawn once, whatever circles the links make; of more than a panel or the page holds, those with the fewest links are named, not drawn.

import type { Component, SystemLink } from '../model/graph.ts'

export const BOX = { width: 176, height: 46 } as const
export const GAP = { x: 84, y: 18 } as const
/** Of many columns: names stay readable where the whole fits. */
const GAP_NARROW = 56
const COLUMNS_WIDE = 6
/** How far a link within a column goes around it. */
export const SIDE = 34
export const MARGIN = 14

export interface Placed {
  readonly component: Component
  readonly x: number
  readonly y: number
}

export interface Panel {
  readonly placed: readonly Placed[]
  /** Where a link passes columns between its ends, by its name. */
  readonly past: ReadonlyMap<string, readonly { readonly x: number; readonly y: number }[]>
  /** The file that says most of it. */
  readonly from: string
  readonly links: readonly SystemLink[]
  /** Names of links into what most call: a fan that would hide the others. */
  readonly busy: ReadonlySet<string>
  readonly width: number
  readonly height: number
}

export interface Layout {
  readonly panels: readonly Panel[]
  /** Linked to nothing that was seen. */
  readonly alone: readonly Component[]
  readonly left: readonly Component[]
}

const PANEL_MAX = 60
const PAGE_MAX = 160
const COLUMNS_MAX = 7
const BUSY_MIN = 7
const SWEEPS = 6

export function layoutOf(components: readonly Component[], links: readonly SystemLink[]): Layout {
  const degree = new Map<string, number>()
  for (const { from, to } of links) for (const name of [from, to]) degree.set(name, (degree.get(name) ?? 0) + 1)
  const linked = components.filter(({ name }) => degree.has(name))
  const left: Component[] = []
  let free = PAGE_MAX
  const panels = groupsOf(linked, links).flatMap((group) => {
    const ranked = group.toSorted((a, b) => (degree.get(b.name) ?? 0) - (degree.get(a.name) ?? 0))
    const drawn = ranked.slice(0, Math.min(PANEL_MAX, free))
    free -= drawn.length
    left.push(...ranked.slice(drawn.length))
    return drawn.length === 0 ? [] : [panelOf(drawn, links)]
  })
  return { panels, alone: components.filter(({ name }) => !degree.has(name)), left }
}

/** What hangs together, the largest first. */
function groupsOf(components: readonly Component[], links: readonly SystemLink[]): readonly (readonly Component[])[] {
  const root = new Map(components.map(({ name }) => [name, name]))
  const isOutside = new Set(components.filter(({ kind }) => kind === 'external').map(({ name }) => name))
  const taken = new Set<string>()
  const find = (name: string): string => {
    let at = name
    while (root.get(at) !== at) at = root.get(at) ?? at
    root.set(name, at)
    return at
  }
  for (const { from, to } of links) if (!isOutside.has(from) && !isOutside.has(to)) root.set(find(from), find(to))
  const inner = new Set(links.flatMap(({ from, to }) => (isOutside.has(from) || isOutside.has(to) ? [] : [from, to])))
  // What is outside joins all that call nothing else, and of systems only the first.
  for (const { from, to } of links) {
    if (!isOutside.has(to)) continue
    if (!inner.has(from)) root.set(find(from), find(to))
    else if (find(to) === to && !taken.has(to)) root.set(find(to), find(from))
    taken.add(to)
  }
  const groups = new Map<string, Component[]>()
  for (const component of components) {
    const key = find(component.name)
    const known = groups.get(key)
    if (known === undefined) groups.set(key, [component])
    else known.push(component)
  }
  return [...groups.values()].sort((a, b) => b.length - a.length)
}

/** What takes a place in a column: a component, or a link on its way past. */
interface Slot {
  readonly key: string
  readonly component: Component | undefined
}

const PASS_HEIGHT = 12
/** In larger panels passing links would take more room than components do. */
const PASSING_MAX = 30

function panelOf(components: readonly Component[], all: readonly SystemLink[]): Panel {
  const names = new Set(components.map(({ name }) => name))
  const links = all.filter(({ from, to }) => names.has(from) && names.has(to))
  const busy = busyOf(links)
  const at = columnsOf(components, links)
  const columns: Slot[][] = Array.from({ length: Math.max(...at.values()) + 1 }, () => [])
  for (const component of components) columns[at.get(component.name) ?? 0]?.push({ key: component.name, component })
  const chains = links.map((link) => {
    const [from = 0, to = 0] = [at.get(link.from), at.get(link.to)]
    const isDirect = components.length > PASSING_MAX || busy.has(link.name)
    const between = isDirect ? [] : columns.slice(from + 1, Math.max(from + 1, to))
    const keys = between.map((column, index) => {
      const key = `${link.name}\n${index}`
      column.push({ key, component: undefined })
      return key
    })
    return [link.from, ...keys, link.to]
  })
  order(columns, chains)
  const heights = columns.map((column) => column.reduce((sum, slot) => sum + heightOf(slot) + GAP.y, -GAP.y))
  const height = Math.max(...heights)
  const gap = columns.length < COLUMNS_WIDE ? GAP.x : GAP_NARROW
  const points = new Map<string, { readonly x: number; readonly y: number }>()
  const placed: Placed[] = []
  for (const [index, column] of columns.entries()) {
    const x = MARGIN + index * (BOX.width + gap)
    let y = MARGIN + (height - (heights[index] ?? 0)) / 2
    for (const slot of column) {
      if (slot.component === undefined) points.set(slot.key, { x, y: y + PASS_HEIGHT / 2 })
      else placed.push({ component: slot.component, x, y })
      y += heightOf(slot) + GAP.y
    }
  }
  const past = new Map(
    chains.map((chain, index) => [
      links[index]?.name ?? '',
      chain.slice(1, -1).flatMap((key) => points.get(key) ?? []),
    ]),
  )
  const last = columns.length - 1
  const side = links.some(({ from, to }) => at.get(from) === last && at.get(to) === last) ? SIDE : 0
  const width = MARGIN * 2 + columns.length * (BOX.width + gap) - gap + side
  return { placed, past, from: fileOf(components), links, busy, width, height: MARGIN * 2 + height }
}

function busyOf(links: readonly SystemLink[]): ReadonlySet<string> {
  const callers = new Map<string, number>()
  for (const { to } of links) callers.set(to, (callers.get(to) ?? 0) + 1)
  return new Set(links.flatMap(({ name, to }) => ((callers.get(to) ?? 0) >= BUSY_MIN ? [name] : [])))
}

function heightOf({ component }: Slot): number {
  return component === undefined ? PASS_HEIGHT : BOX.height
}

/** RE12: the column is the longest way from somebody that nobody needs; circles stop growing at the last column. */
function columnsOf(components: readonly Component[], links: readonly SystemLink[]): ReadonlyMap<string, number> {
  const columnsMax = Math.min(components.length, COLUMNS_MAX)
  const at = new Map(components.map(({ name }) => [name, 0]))
  for (let round = 0; round < columnsMax; round++) {
    for (const { from, to } of links) {
      const next = (at.get(from) ?? 0) + 1
      if ((at.get(to) ?? 0) < next && next < columnsMax) at.set(to, next)
    }
  }
  spread(at, links)
  const used = [...new Set(at.values())].sort((a, b) => a - b)
  return new Map([...at].map(([name, column]) => [name, used.indexOf(column)]))
}

/** Whom nobody needs may stand in any column left of whom it needs: the emptiest, so that none grows tall, and of those the nearest. */
function spread(at: Map<string, number>, links: readonly SystemLink[]): void {
  const needed = new Set(links.map(({ to }) => to))
  const nearest = new Map<string, number>()
  for (const { from, to } of links) nearest.set(from, Math.min(nearest.get(from) ?? COLUMNS_MAX, at.get(to) ?? 0))
  const heights = Array.from({ length: COLUMNS_MAX }, () => 0)
  const free = [...at.keys()].filter((name) => !needed.has(name) && (nearest.get(name) ?? 0) > 0)
  const isFree = new Set(free)
  for (const [name, column] of at) if (!isFree.has(name)) heights[column] = (heights[column] ?? 0) + 1
  // Who has the least choice first.
  for (const name of free.sort((a, b) => (nearest.get(a) ?? 0) - (nearest.get(b) ?? 0))) {
    const columns = heights.slice(0, nearest.get(name))
    const column = columns.lastIndexOf(Math.min(...columns))
    at.set(name, column)
    heights[column] = (heights[column] ?? 0) + 1
  }
}

/** Each column by the mean place of its neighbours, to and fro: fewer lines cross. */
function order(columns: readonly Slot[][], chains: readonly (readonly string[])[]): void {
  const neighbours = new Map<string, string[]>()
  const join = (one: string, other: string): void => {
    const known = neighbours.get(one)
    if (known === undefined) neighbours.set(one, [other])
    else known.push(other)
  }
  for (const chain of chains)
    for (const [index, key] of chain.slice(1).entries()) {
      join(key, chain[index] ?? '')
      join(chain[index] ?? '', key)
    }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const row = new Map<string, number>()
    for (const column of columns)
      for (const [index, { key }] of column.entries()) row.set(key, (index + 0.5) / column.length)
    const mean = ({ key }: Slot): number => {
      const own = neighbours.get(key) ?? []
      return own.reduce((sum, other) => sum + (row.get(other) ?? 0), 0) / Math.max(1, own.length)
    }
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) {
      const means = new Map(column.map((slot) => [slot, mean(slot)]))
      column.sort((a, b) => (means.get(a) ?? 0) - (means.get(b) ?? 0))
      for (const [index, { key }] of column.entries()) row.set(key, (index + 0.5) / column.length)
    }
  }
}

function fileOf(components: readonly Component[]): string {
  const times = new Map<string, number>()
  for (const { evidence } of components) {
    const file = evidence[0]?.loc?.file ?? ''
    times.set(file, (times.get(file) ?? 0) + 1)
  }
  return [...times].sort(([, a], [, b]) => b - a)[0]?.[0] ?? ''
}
