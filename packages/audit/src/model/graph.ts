// The graph of a system, in the shape of the mesh's own (`GET /v1/mesh/graph`): components, links between them, and what each link promises.
// For the mesh guarantees are settings that hold; for other people's systems they are claims, each with a state and its evidence.

import type { Evidence, Loc } from './evidence.ts'

export const COMPONENT_KINDS = [
  'role',
  'service',
  'database',
  'cache',
  'client',
  'queue',
  'external',
  'job',
  'page',
] as const
export type ComponentKind = (typeof COMPONENT_KINDS)[number]

export interface Component {
  readonly name: string
  readonly kind: ComponentKind
  /** Folders and files of its source, relative to the root, '' being the root; none: it is not ours (an image, something outside). */
  readonly sources: readonly string[]
  readonly image: string | undefined
  /** Undefined: nothing here says how many there are. */
  readonly replicas: number | undefined
  /** It can be reached from outside of its deployment. */
  readonly isPublished: boolean
  /** From CODEOWNERS; undefined: unassigned. */
  readonly owner: string | undefined
  /** What it promises by itself: restart, health, shutdown … */
  readonly guarantees: readonly Guarantee[]
  readonly evidence: readonly Evidence[]
}

export const GUARANTEE_KINDS = [
  'deadline',
  'retry',
  'breaker',
  'bulkhead',
  'rate',
  'queue_bound',
  'idempotency',
  'lock',
  'dead_letters',
  'fallback',
  'health',
  'validation',
  'reconnect',
  'restart',
  'shutdown',
  'replicas',
  'durability',
] as const
export type GuaranteeKind = (typeof GUARANTEE_KINDS)[number]

/** unwired: defined, used by nobody. ineffective: used, and can't do what it is for. bypassed: there is a way around it. */
export const GUARANTEE_STATES = ['absent', 'present', 'unwired', 'ineffective', 'bypassed'] as const
export type GuaranteeState = (typeof GUARANTEE_STATES)[number]

export interface Guarantee {
  readonly kind: GuaranteeKind
  readonly state: GuaranteeState
  readonly evidence: readonly Evidence[]
}

export interface SystemLink {
  /** `from -> to`, unique. */
  readonly name: string
  readonly from: string
  readonly to: string
  readonly kind:
    | 'http'
    | 'grpc'
    | 'postgres'
    | 'mysql'
    | 'mongodb'
    | 'redis'
    | 'amqp'
    | 'kafka'
    | 'websocket'
    | 'file'
    | 'other'
  /** hard: `from` can't do its work without `to`; soft: only worse; unknown counts as hard, and is said to be unknown. */
  readonly need: 'hard' | 'soft' | 'unknown'
  readonly needBecause: string
  /** Where calls are made, as far as they were seen. */
  readonly sites: readonly Loc[]
  /** Why it is taken to be there: what declares it, and where calls are made. */
  readonly evidence: readonly Evidence[]
  readonly guarantees: readonly Guarantee[]
}

export interface SystemGraph {
  readonly components: readonly Component[]
  readonly links: readonly SystemLink[]
}
