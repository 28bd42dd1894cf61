// What `why` knows and what it says.

export interface Attempt {
  readonly attemptId: string
  readonly wallMs: number
  /** 0: a person decided, nothing was sent. */
  readonly attempt: number
  readonly outcome: 'delivered' | 'failed' | 'unknown' | 'parked'
  readonly status: number | null
  readonly code: string | null
  readonly reason: string | null
  readonly durationMs: number
  readonly receipt: 'applied' | 'duplicate' | null
  readonly mayRepeat: boolean
}

export type DeadReason = 'exhausted' | 'refused' | 'unknown' | 'deleted' | 'overflow' | 'expired'

export interface Delivery {
  readonly deliveryId: string
  readonly state: 'waiting' | 'delivered' | 'dead' | 'discarded'
  readonly attemptsMade: number
  readonly dueWallMs: number | null
  readonly isUnowned: boolean
  readonly dead: { readonly reason: DeadReason; readonly status: number | null; readonly wallMs: number } | undefined
  readonly replayId: string | null
}

export interface Event {
  readonly eventId: string
  readonly type: string
  readonly publishedWallMs: number
  /** The publisher's own name for it; undefined: it gave none. */
  readonly name: { readonly source: string; readonly id: string } | undefined
}

export interface Endpoint {
  readonly endpointId: string
  readonly state: 'active' | 'paused' | 'gone'
  readonly stateReason: string | undefined
  readonly stateActor: string | undefined
  readonly stateWallMs: number
  readonly createdWallMs: number
  readonly deletedWallMs: number | undefined
  readonly ratePerSecond: number | undefined
  readonly isOrdered: boolean
  readonly backlogMax: number
  /** When a parked one is tried again by itself. */
  readonly probeWallMs: number | undefined
}

export type Match =
  | { readonly is: 'match' }
  | { readonly is: 'other type'; readonly eventTypes: readonly string[] }
  | { readonly is: 'filtered'; readonly filter: string }
  | { readonly is: 'filter failed'; readonly filter: string; readonly error: string }
  | { readonly is: 'not for it' }

export interface Situation {
  readonly nowWallMs: number
  readonly endpoint: Endpoint
  /** Undefined: it is older than the retention. */
  readonly event: Event | undefined
  /** By the endpoint's settings now; undefined with the event. */
  readonly match: Match | undefined
  /** What the filter looked at. */
  readonly values: Readonly<Record<string, string>>
  /** Undefined: none was made, or nothing is left of it. */
  readonly delivery: Delivery | undefined
  /** Of the delivery, newest first. */
  readonly attempts: readonly Attempt[]
  /** Of the endpoint as a whole, newest first: whether it answers at all. */
  readonly recent: readonly Pick<Attempt, 'outcome' | 'wallMs'>[]
  /** Undone of the endpoint, counted to a bound. */
  readonly undone: number
}

export interface Fact {
  /** Undefined: it holds now. */
  readonly wallMs: number | undefined
  readonly what: string
  readonly evidence: Readonly<Record<string, string>>
}

export interface Explanation {
  readonly cause: string
  readonly explanation: string
  readonly facts: readonly Fact[]
}

export function time(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(/\.\d+Z$/, 'Z')
}

const SPANS: readonly (readonly [number, string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
]

export function span(ms: number): string {
  const [unitMs, unit] = SPANS.find(([unitMs]) => ms >= unitMs * 2) ?? [1_000, 's']
  return `${Math.max(0, Math.round(ms / unitMs))} ${unit}`
}
