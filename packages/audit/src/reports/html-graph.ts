// The graph as a picture: components in columns, who needs on the left of whom it needs, drawn as SVG without a library. Pointing at one shows what goes
// down with it.
//   RE12. Every component is drawn once, whatever circles the links make; of more than NODES_MAX the ones with the least reach are named, not drawn.

import { isHeld } from '../graph/blast-radius.ts'
import type { Component } from '../model/graph.ts'
import { escapeHtml } from './html-text.ts'
import type { Report } from './report.ts'

const NODES_MAX = 80
const BOX = { width: 150, height: 40 }
const GAP = { x: 80, y: 18 }
const MARGIN = 12
const LABEL_CHARS = 20

interface Placed {
  readonly component: Component
  readonly x: number
  readonly y: number
}

export function renderGraph(report: Report): string {
  const radii = new Map(report.blastRadii.map((radius) => [radius.component, radius]))
  const byReach = report.blastRadii.flatMap(({ component }) => {
    const found = report.graph.components.find(({ name }) => name === component)
    return found === undefined ? [] : [found]
  })
  const drawn = byReach.slice(0, NODES_MAX)
  if (drawn.length === 0) return '<p class="dim">No components were recognised: not measurable here.</p>'
  const placed = place(drawn, report)
  const order = [...placed.keys()]
  const torn = new Set(report.findings.filter(isTorn).map(({ component }) => component))
  const width = Math.max(...[...placed.values()].map(({ x }) => x)) + BOX.width + MARGIN
  const height = Math.max(...[...placed.values()].map(({ y }) => y)) + BOX.height + MARGIN
  const nodes = [...placed.values()].map((one) => {
    const radius = radii.get(one.component.name)
    const down = (radius?.takesDown ?? []).map((name) => order.indexOf(name)).filter((index) => index >= 0)
    const label = `${one.component.name} takes down ${radius === undefined || radius.takesDown.length === 0 ? 'nothing else' : radius.takesDown.join(', ')} (${radius?.isAssumed === true ? 'assumed' : 'config'})`
    return node(one, down, label, torn.has(one.component.name))
  })
  const rest = byReach.slice(NODES_MAX).map(({ name }) => escapeHtml(name))
  return [
    `<div class="graph"><svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="group" aria-label="Components and links">`,
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
    ...edges(report, placed),
    ...nodes,
    '</svg></div>',
    '<p class="dim" id="radius">Point at a component to see what goes down with it. How many each takes down: config, assumed where the way is dashed (the need is taken for hard). Green: something holds.</p>',
    rest.length === 0 ? '' : `<p class="dim">Not drawn (least reach): ${rest.join(', ')}</p>`,
  ].join('')
}

function isTorn({ tier, suppressed, severity }: Report['findings'][number]): boolean {
  return tier !== 'review' && suppressed === undefined && (severity === 'critical' || severity === 'high')
}

/** RE12: the column is the longest way from somebody that nobody needs; circles stop growing after as many rounds as there are components. */
function place(drawn: readonly Component[], { graph }: Report): ReadonlyMap<string, Placed> {
  const column = new Map(drawn.map(({ name }) => [name, 0]))
  const columnsMax = Math.min(drawn.length, 6)
  for (let round = 0; round < columnsMax; round++) {
    for (const { from, to } of graph.links) {
      const source = column.get(from)
      const target = column.get(to)
      if (source !== undefined && target !== undefined && target <= source && source + 1 < columnsMax)
        column.set(to, source + 1)
    }
  }
  const rows = new Map<number, number>()
  const placed = new Map<string, Placed>()
  for (const component of drawn) {
    const at = column.get(component.name) ?? 0
    const row = rows.get(at) ?? 0
    rows.set(at, row + 1)
    const x = MARGIN + at * (BOX.width + GAP.x)
    placed.set(component.name, { component, x, y: MARGIN + row * (BOX.height + GAP.y) })
  }
  return placed
}

function edges({ graph }: Report, placed: ReadonlyMap<string, Placed>): readonly string[] {
  return graph.links.flatMap((link) => {
    const from = placed.get(link.from)
    const to = placed.get(link.to)
    if (from === undefined || to === undefined) return []
    const forward = to.x > from.x
    const x1 = forward ? from.x + BOX.width : from.x
    const x2 = forward ? to.x : to.x + BOX.width
    const y1 = from.y + BOX.height / 2
    const y2 = to.y + BOX.height / 2
    const bend = forward ? GAP.x / 2 : -GAP.x / 2
    const kind = isHeld(link) ? 'held' : link.need
    const title = escapeHtml(`${link.name}: ${link.kind}, need ${link.need}`)
    return `<path class="${kind}" d="M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}" marker-end="url(#arrow)"><title>${title}</title></path>`
  })
}

function node({ component, x, y }: Placed, down: readonly number[], label: string, isTorn: boolean): string {
  const { name, kind } = component
  const short = name.length > LABEL_CHARS ? `${name.slice(0, LABEL_CHARS - 1)}…` : name
  return [
    `<g class="node${isTorn ? ' torn' : ''}" tabindex="0" role="img" data-down="${down.join(' ')}" aria-label="${escapeHtml(label)}">`,
    `<title>${escapeHtml(label)}</title>`,
    `<rect x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="9"/>`,
    `<text x="${x + 10}" y="${y + 17}">${escapeHtml(short)}</text>`,
    `<text class="sub" x="${x + 10}" y="${y + 32}">${escapeHtml(kind)}, takes down ${down.length}</text></g>`,
  ].join('')
}
