// The graph as SVG, drawn without a library. Pointing at a component shows what goes down with it; choosing it keeps that, and filters what stands below.
//   RW5. A long name keeps its ends, where names of one family differ. Links to what half the system calls are faint until somebody points, and a link within a
//        column goes around its side.

import { isHeld } from '../graph/blast-radius.ts'
import { isStore } from '../graph/images.ts'
import type { Component, SystemLink } from '../model/graph.ts'
import { NOT_MEASURABLE } from './figure.ts'
import { tableNote } from './html-parts.ts'
import { escapeHtml } from './html-text.ts'
import { BOX, GAP, layoutOf, type Panel, type Placed, SIDE } from './layout.ts'
import type { Report } from './report.ts'

/** In common letters: those of a font that is not known here are told apart roughly. */
const LABEL_LETTERS = 18.5
const TAIL_CHARS = 7
const CHIPS_MAX = 12
/** Wider ones leave the column of text. */
const WIDE = 1120

interface Counted {
  readonly strong: number
  readonly isSevere: boolean
}

export function renderGraph(report: Report): string {
  const { graph, blastRadii } = report
  if (graph.components.length === 0) return `<p class="dim">No components were recognised: ${NOT_MEASURABLE}.</p>`
  const byName = new Map(graph.components.map((component) => [component.name, component]))
  const byReach = blastRadii.flatMap(({ component }) => byName.get(component) ?? [])
  const { panels, alone, left } = layoutOf(byReach, graph.links)
  const order = new Map(byReach.map(({ name }, index) => [name, index]))
  const counts = countsOf(report)
  const [first, ...others] = panels.map((panel) => drawPanel(panel, report, order, counts))
  return [
    '<p class="lead" id="radius" aria-live="polite">Point at a component to see what goes down with it; choose it to keep that and to filter what is below.</p>',
    '<div class="legend" aria-hidden="true"><span><i class="line hard"></i>needs it</span><span><i class="line unknown"></i>taken to need it (assumed)</span><span><i class="line held"></i>held: it goes on without</span><span><i class="dot"></i>strong findings (static)</span></div>',
    first ?? '<p class="dim">No links between components were seen.</p>',
    others.length === 0
      ? ''
      : `<details class="more"><summary>Other systems in this repository: ${others.length} (config)</summary>${others.join('')}</details>`,
    chips('Linked to nothing that was seen', alone, order, counts),
    chips('Not drawn (fewest links)', left, order, counts),
    tableNote(
      'Links and components: config and static; what goes down: assumed where a need on the way is taken for hard.',
    ),
  ].join('')
}

function countsOf({ findings }: Report): ReadonlyMap<string, Counted> {
  const counts = new Map<string, Counted>()
  for (const { component, tier, suppressed, severity } of findings) {
    if (component === undefined || tier === 'review' || suppressed !== undefined) continue
    const known = counts.get(component)
    const isSevere = severity === 'critical' || severity === 'high'
    counts.set(component, { strong: (known?.strong ?? 0) + 1, isSevere: known?.isSevere === true || isSevere })
  }
  return counts
}

function drawPanel(
  { placed, past, from, links, busy, width, height }: Panel,
  report: Report,
  order: ReadonlyMap<string, number>,
  counts: ReadonlyMap<string, Counted>,
): string {
  const places = new Map(placed.map((one) => [one.component.name, one]))
  return [
    `<figure class="graph${width > WIDE ? ' broad' : ''}"><figcaption>${escapeHtml(from)}</figcaption><svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="group" aria-label="Components and links">`,
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="10" markerHeight="10" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 .6L8 4L0 7.4z"/></marker></defs>',
    ...links.map((link) => edge(link, busy.has(link.name), places, past.get(link.name) ?? [], order)),
    ...placed.map((one) => node(one, report, order, counts.get(one.component.name))),
    '</svg></figure>',
  ].join('')
}

function edge(
  link: SystemLink,
  isBusy: boolean,
  places: ReadonlyMap<string, Placed>,
  past: readonly { readonly x: number; readonly y: number }[],
  order: ReadonlyMap<string, number>,
): string {
  const from = places.get(link.from)
  const to = places.get(link.to)
  if (from === undefined || to === undefined) return ''
  const kind = isHeld(link) ? 'held' : link.need
  const said = link.guarantees.map(({ kind: of, state }) => `${of}: ${state}`)
  const title = [`${link.name} (${link.kind})`, `need ${link.need}: ${link.needBecause}`, ...said].join('\n')
  const ends = `data-from="${order.get(link.from)}" data-to="${order.get(link.to)}"`
  return `<path class="edge ${kind}${isBusy ? ' busy' : ''}" ${ends} d="${wayOf(from, to, past)}" marker-end="url(#arrow)"><title>${escapeHtml(title)}</title></path>`
}

/** Curves from side to side, straight past the columns between. */
function wayOf(from: Placed, to: Placed, past: readonly { readonly x: number; readonly y: number }[]): string {
  if (to.x === from.x) {
    const [x, y, toY] = [from.x + BOX.width, from.y + BOX.height / 2, to.y + BOX.height / 2]
    return `M${x} ${y}C${x + SIDE} ${y} ${x + SIDE} ${toY} ${x + 2} ${toY}`
  }
  const isForward = to.x > from.x
  const [start, end] = isForward ? [from.x + BOX.width, to.x - 2] : [from.x, to.x + BOX.width + 2]
  let [x, y] = [start, from.y + BOX.height / 2]
  let way = `M${x} ${y}`
  const curve = (toX: number, toY: number): void => {
    const bend = (isForward ? 1 : -1) * Math.max(GAP.x / 3, Math.abs(toX - x) * 0.42)
    way += `C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`
    x = toX
    y = toY
  }
  for (const point of past) {
    curve(point.x, point.y)
    x = point.x + BOX.width
    way += `H${x}`
  }
  curve(end, to.y + BOX.height / 2)
  return way
}

function node(
  { component, x, y }: Placed,
  report: Report,
  order: ReadonlyMap<string, number>,
  counted: Counted | undefined,
): string {
  const { name, kind } = component
  // Of two components of one name, each in its system: the panel says which.
  const base = name.replace(/ \(.*\)$/, '')
  const short = shorten(base)
  const top = isStore(component) ? y + 3 : y
  const radius = report.blastRadii.find((one) => one.component === name)
  const down = (radius?.takesDown ?? []).flatMap((other) => order.get(other) ?? [])
  const badge =
    counted === undefined
      ? ''
      : `<g class="badge${counted.isSevere ? ' severe' : ''}"><rect x="${x + BOX.width - 27}" y="${y - 7}" width="32" height="17" rx="8.5"/><text x="${x + BOX.width - 11}" y="${y + 5.5}">${counted.strong}</text></g>`
  return [
    `<g class="node ${kind}" tabindex="0" role="button" aria-pressed="false" ${attributes(component, down, order, radius?.isAssumed)}>`,
    `<title>${escapeHtml(sayRadius(name, radius))}</title>`,
    shape(component, x, y),
    `<text x="${x + 12}" y="${top + 20}">${escapeHtml(short)}</text>`,
    `<text class="sub" x="${x + 12}" y="${top + 35}">${escapeHtml(kind)}${down.length > 0 ? ` · takes down ${down.length}` : ''}</text>${badge}</g>`,
  ].join('')
}

function attributes(
  { name }: Component,
  down: readonly number[],
  order: ReadonlyMap<string, number>,
  isAssumed?: boolean,
): string {
  const known = isAssumed === true ? 'assumed' : 'config'
  return `data-index="${order.get(name)}" data-name="${escapeHtml(name)}" data-down="${down.join(' ')}" data-known="${known}" aria-label="${escapeHtml(`${name}, takes down ${down.length}`)}"`
}

function sayRadius(name: string, radius: Report['blastRadii'][number] | undefined): string {
  if (radius === undefined || radius.takesDown.length === 0) return `${name} takes down nothing else that was seen`
  return `${name} takes down ${radius.takesDown.join(', ')} (${radius.isAssumed ? 'assumed' : 'config'})`
}

/** RW5. */
function shorten(name: string): string {
  if (lettersOf(name) <= LABEL_LETTERS) return name
  const tail = [...name].slice(-TAIL_CHARS).join('')
  let head = ''
  for (const char of name) {
    if (lettersOf(`${head}${char}…${tail}`) > LABEL_LETTERS) break
    head += char
  }
  return `${head}…${tail}`
}

function lettersOf(text: string): number {
  const breadth = (char: string): number => {
    if (/[iljtfr.,:'()[\] -]/.test(char)) return 0.65
    if (/[MW@%]/.test(char)) return 1.75
    if (/[mwA-Z]/.test(char)) return 1.4
    return /[\x20-\x7e…]/.test(char) ? 1 : 1.7
  }
  return [...text].reduce((sum, char) => sum + breadth(char), 0)
}

/** A datastore is a drum, what is outside has a broken edge: told by shape, not by colour. */
function shape({ kind }: Component, x: number, y: number): string {
  const { width, height } = BOX
  if (!isStore({ kind })) return `<rect class="box" x="${x}" y="${y}" width="${width}" height="${height}" rx="10"/>`
  const [rx, ry] = [width / 2, 5]
  const body = `M${x} ${y + ry}v${height - 2 * ry}a${rx} ${ry} 0 0 0 ${width} 0v${2 * ry - height}`
  return `<path class="box" d="${body}a${rx} ${ry} 0 0 0 ${-width} 0z"/><path class="lid" d="M${x} ${y + ry}a${rx} ${ry} 0 0 0 ${width} 0"/>`
}

function chips(
  title: string,
  components: readonly Component[],
  order: ReadonlyMap<string, number>,
  counts: ReadonlyMap<string, Counted>,
): string {
  if (components.length === 0) return ''
  const list = components.map(({ name, kind }) => {
    const counted = counts.get(name)
    return `<button type="button" class="chip${counted?.isSevere === true ? ' severe' : ''}" data-index="${order.get(name)}" data-name="${escapeHtml(name)}" data-down="">${escapeHtml(name)} <small>${kind}${counted === undefined ? '' : ` · ${counted.strong} (static)`}</small></button>`
  })
  const inner = `<div class="chips">${list.join(' ')}</div>`
  return components.length > CHIPS_MAX
    ? `<details class="more"><summary>${title}: ${components.length} (config)</summary>${inner}</details>`
    : `<p class="dim chips-title">${title}</p>${inner}`
}
