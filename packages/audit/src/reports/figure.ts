// How figures and places are written for people: never a number without how it is known, never a blank where nothing is.

import type { Evidence, Provenance } from '../model/evidence.ts'

export interface Figure {
  readonly value: number
  readonly unit: string
  readonly provenance: Provenance
  readonly source: string
}

export function figure(value: number, unit: string, provenance: Provenance, source: string): Figure {
  return { value, unit, provenance, source }
}

/** The first word of a unit that may be many. */
const PLURAL = /\b(finding|rule|file|line|hour|call|service|document|object|component|link|place)s\b/

export const NOT_MEASURABLE = 'not measurable here'

/** RE1: `12 findings (static)`. */
export function showFigure(figure: Figure | undefined): string {
  return figure === undefined
    ? NOT_MEASURABLE
    : `${figure.value.toLocaleString('en')} ${figure.value === 1 ? figure.unit.replace(PLURAL, '$1') : figure.unit} (${figure.provenance})`
}

/** `src/a.ts:12`, `src/a.ts:12-14`; '' for what is not about a place. */
export function showPlace({ loc }: Evidence): string {
  if (loc === undefined) return ''
  return `${loc.file}:${loc.line}${loc.endLine > loc.line ? `-${loc.endLine}` : ''}`
}

/** What it gives as a number, with how that is known. */
export function showValue({ value, unit, provenance }: Evidence): string {
  return value === undefined ? '' : `${value}${unit === undefined ? '' : ` ${unit}`} (${provenance})`
}
