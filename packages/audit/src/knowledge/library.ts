// What is known of a library: how it is called, how long it waits when nobody says, what sets that, how it tells of a refusal. Data only: every entry
// names its source; what is measured, with which version, is in docs/proof/audit-knowledge.md.

import type { SystemLink } from '../model/graph.ts'

/** A wait, and what bounds it. */
export interface Wait {
  /** What holds when nothing is said; undefined: for ever. */
  readonly ms: number | undefined
  /** Options that set it, of a call or of its client, however deep they stand. */
  readonly options: readonly string[]
  /** The major version from which `ms` holds; before it waits for ever. */
  readonly since?: number
  /** The major version from which `ms` holds no more: it waits for ever. */
  readonly until?: number
}

export interface Library {
  /** As it is installed; `node` and `python` for what comes with them. */
  readonly name: string
  readonly language: 'javascript' | 'python'
  readonly kind: SystemLink['kind']
  /** Versions that this was read for, or measured with. */
  readonly versions: string
  readonly connect: Wait
  readonly answer: Wait
  /** Of clients that have a pool: how many connections, how long a caller waits for one. */
  readonly pool?: { readonly size: number | undefined; readonly wait: Wait }
  /** How often it tries again by itself; Infinity: for ever. */
  readonly retries: number
  /** What it is for takes minutes: a long default is no fault. */
  readonly isSlow?: boolean
  /** How a 4xx or 5xx reaches the caller. */
  readonly refusal: 'throws' | 'answers'
  /** What makes a client: full names, `axios.create`. `@x/y-*` stands for every module that begins so. */
  readonly makes: readonly string[]
  /** What calls at once. */
  readonly calls: readonly string[]
  /** Methods of a client that call. */
  readonly methods: readonly string[]
  /** Methods of a pool that lend one of its connections. */
  readonly lends?: readonly string[]
  /** Calls on a call that bound it: `.timeout(5000)` of superagent. */
  readonly chained?: readonly string[]
  /** Options that are of no use from a major version on. */
  readonly dropped?: Readonly<Record<string, number>>
  /** Options that only have an event emitted: somebody must listen for it, and end the call. */
  readonly told?: readonly string[]
  /** Where a deadline stands among the arguments of a call, if without name; from 0. */
  readonly position?: number
  readonly sources: readonly string[]
}

export function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

/** `axios.get`, `axios.post` … */
export function each(module: string, names: string): readonly string[] {
  return words(names).map((name) => `${module}.${name}`)
}

export const VERBS = 'get post put patch delete head options request'
