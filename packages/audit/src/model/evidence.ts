// Evidence. What a claim rests on, and how it is known. No number is shown without one.

/** `measured` and `simulated` come with experiments; `assumed` is always shown as such. */
export const PROVENANCES = ['static', 'config', 'simulated', 'measured', 'assumed'] as const
export type Provenance = (typeof PROVENANCES)[number]

/** A place in the repository: path relative to its root, with slashes; lines from 1. */
export interface Loc {
  readonly file: string
  readonly line: number
  readonly endLine: number
}

export interface Evidence {
  readonly provenance: Provenance
  /** Undefined: it is not about a place (a measurement, a result file). */
  readonly loc: Loc | undefined
  /** What is seen there, in our own words. */
  readonly what: string
  /** The number that the claim gives, with its unit in `unit`. */
  readonly value?: number
  readonly unit?: string
  /** What produced it: an experiment, a result file, an entry of the knowledge base with its source. */
  readonly source?: string
}
