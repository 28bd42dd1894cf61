// Pieces that every section of the page is made of.

import { type Figure, showFigure, showPlace } from './figure.ts'
import { escapeHtml } from './html-text.ts'
import type { ReportedFinding } from './reported.ts'

export function section(id: string, title: string, lead: string, ...parts: readonly string[]): string {
  const intro = lead === '' ? '' : `<p class="lead">${lead}</p>`
  return `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>${intro}${parts.join('\n')}</section>`
}

export interface Column {
  readonly name: string
  readonly isNumber?: boolean
}

export interface Row {
  readonly cells: readonly string[]
  readonly attributes?: string
}

/** Cells are markup already. `attributes` of each row: for filters. */
export function table(columns: readonly (Column | string)[], rows: readonly Row[], caption: string): string {
  const heads = columns.map((column) => (typeof column === 'string' ? { name: column } : column))
  const kind = (at: number): string => (heads[at]?.isNumber === true ? ' class="n"' : '')
  const head = heads.map(({ name }, at) => `<th scope="col"${kind(at)}>${name}</th>`).join('')
  const body = rows.map(
    ({ cells, attributes = '' }) =>
      `<tr${attributes === '' ? '' : ` ${attributes}`}>${cells.map((cell, at) => `<td${kind(at)}>${cell}</td>`).join('')}</tr>`,
  )
  return `<div class="wide"><table><caption class="hidden">${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>`
}

/** The first `open` rows, and the others behind how many they are. */
export function folded(
  columns: readonly (Column | string)[],
  rows: readonly Row[],
  open: number,
  caption: string,
): string {
  const rest = rows.slice(open)
  // A fold for two rows hides more than it saves.
  if (rest.length <= 2) return table(columns, rows, caption)
  return `${table(columns, rows.slice(0, open), caption)}<details class="more"><summary>${rest.length} more (static)</summary>${table(columns, rest, `${caption}, continued`)}</details>`
}

export function tableNote(text: string): string {
  return `<p class="note">${text}</p>`
}

export function figureText(figure: Figure | undefined): string {
  return escapeHtml(showFigure(figure))
}

export function severityTag(severity: string): string {
  return `<span class="tag ${severity}">${severity}</span>`
}

export function whereOf({ evidence: [first] }: Pick<ReportedFinding, 'evidence'>): string {
  return first?.loc === undefined ? '' : `<code>${escapeHtml(showPlace(first))}</code>`
}

export function linkTo(fingerprint: string, text: string): string {
  return `<a href="#f-${escapeHtml(fingerprint)}">${escapeHtml(text)}</a>`
}

/** A few names, and how many more there are. */
export function few(names: readonly string[], max: number, provenance: string): string {
  const shown = names.slice(0, max).map(escapeHtml).join(', ')
  return names.length > max ? `${shown} and ${names.length - max} more (${provenance})` : shown
}
