// Calls that leave the process, and the clients that they are made with, as rules see them.

import type { Library } from '../knowledge/index.ts'
import type { SystemLink } from '../model/graph.ts'
import type { CallSite } from '../program/index.ts'

export type Deadline =
  /** Set here, or where its client is made; `ms` undefined: set to something that is not known. */
  | { readonly state: 'present'; readonly ms: number | undefined; readonly site: CallSite }
  /** Nothing is set, and the library has one of its own. */
  | { readonly state: 'default'; readonly ms: number; readonly source: string }
  /** Nothing is set and the library has none (or one so long that nobody waits for it), or it is switched off. */
  | { readonly state: 'absent'; readonly why: string; readonly source: string }
  /** Something could not be seen: a spread, a client from elsewhere. */
  | { readonly state: 'unknown' }

/** Something that calls are made with: a pool, an engine, `axios.create(…)`, a Redis connection. */
export interface OutboundClient {
  readonly site: CallSite
  readonly library: string
  readonly kind: SystemLink['kind']
  /** Of an answer. */
  readonly deadline: Deadline
  /** Of a connection. */
  readonly connect: Deadline
  /** Where it leads, as far as it is told: a URL's host, or the environment variable that it comes from. */
  readonly target: string | undefined
  readonly knowledge: Library
}

export interface Outbound {
  readonly site: CallSite
  readonly library: string
  readonly kind: SystemLink['kind']
  readonly effect: 'read' | 'write' | 'unknown'
  readonly deadline: Deadline
  /** How the far end's refusal (4xx, 5xx) reaches the caller: thrown, or as an answer that has to be looked at. */
  readonly refusal: 'throws' | 'answers'
  readonly target: string | undefined
  /** Undefined: made by the library as it is, or not known. */
  readonly client: OutboundClient | undefined
  readonly knowledge: Library
}

export interface OutboundCalls {
  readonly calls: readonly Outbound[]
  readonly clients: readonly OutboundClient[]
  /** Of a call of facts: what leaves the process there. */
  at(site: CallSite): Outbound | undefined
}
