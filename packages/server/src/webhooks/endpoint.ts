// An endpoint: who is told of which events, and how. Decisions about it that need nothing but the endpoint itself.

import type { Target } from '#delivery'
import { BREAKER_OF_ENDPOINTS } from './limits.ts'

export type EndpointState = 'active' | 'paused' | 'gone'

/** What its maker chooses, and may change. */
export interface EndpointSettings {
  readonly url: string
  readonly description: string
  /** Whose it is: `key:<id>`, or any words; undefined: nobody said. */
  readonly owner: string | undefined
  /** Exact, or with `.*` at the end, or `*`. */
  readonly eventTypes: readonly string[]
  /** CEL over `event`. */
  readonly filter: string | undefined
  readonly ordering: 'none' | 'key'
  readonly lanes: number
  readonly concurrency: number
  readonly ratePerSecond: number | undefined
  readonly deadlineMs: number
  readonly retryScheduleMs: readonly number[]
  readonly backlogMax: number
  /** Secrets that are too old are replaced by themselves; undefined: as the settings of the mesh say. */
  readonly rotatesItself: boolean | undefined
}

/** When and how it fails, as written down last: at transitions, and otherwise every few seconds. */
export interface EndpointHealth {
  readonly lastAttemptWallMs: number | undefined
  readonly lastSuccessWallMs: number | undefined
  /** Undefined: the last attempt succeeded, or there was none. */
  readonly failingSinceWallMs: number | undefined
  /** Answers in a row that say that nobody lives there. */
  readonly missingInARow: number
}

export interface Endpoint extends EndpointSettings {
  readonly endpointId: string
  readonly tenantId: string
  readonly state: EndpointState
  readonly stateReason: string | undefined
  /** Who put it there; `health`: the mesh itself. */
  readonly stateActor: string | undefined
  readonly stateWallMs: number
  /** Parked by the mesh itself: when it is tried again with one delivery. */
  readonly probeWallMs: number | undefined
  /** One delivery is on its way to find out. */
  readonly isProbing: boolean
  readonly probes: number
  readonly sealedHeaders: Uint8Array | undefined
  readonly isHook: boolean
  readonly backlogFull: boolean
  readonly createdWallMs: number
  readonly deletedWallMs: number | undefined
  readonly health: EndpointHealth
}

/** As the engine sees it. One that is probed lets through one delivery at a time. */
export function toTarget(endpoint: Endpoint, isHeld: boolean): Target {
  const { endpointId, tenantId, state, ordering, lanes, ratePerSecond, deadlineMs, retryScheduleMs } = endpoint
  const isOpen = (state === 'active' || endpoint.isProbing) && !isHeld
  return {
    targetId: endpointId,
    tenantId,
    state: isOpen ? 'active' : 'parked',
    isOrdered: ordering === 'key',
    lanes,
    concurrency: endpoint.isProbing ? 1 : endpoint.concurrency,
    ratePerSecond,
    deadlineMs,
    retryScheduleMs,
    breaker: BREAKER_OF_ENDPOINTS,
    backlogMax: endpoint.backlogMax,
  }
}

const HOUR_MS = 3_600_000
const PROBE_PAUSES_MS: readonly number[] = [HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS]

/** How long after its `probes`-th vain probe an endpoint is tried again; 0: after it was parked. */
export function probePauseMs(probes: number): number {
  return PROBE_PAUSES_MS[Math.min(probes, PROBE_PAUSES_MS.length - 1)] as number
}
