// The vocabulary of a link's life: states, events and actions. How one leads to another: link-step.ts.

/** What the machine needs to know of the world at this event. */
export interface LinkWorld {
  readonly nowMs: number
  /** In [0, 1). */
  readonly random: number
  /** When the current generation last completed a round trip, monotonic. */
  readonly lastProofMs: number
}

export interface LinkTimes {
  readonly backoffBaseMs: number
  readonly backoffCapMs: number
  readonly stableAfterMs: number
  readonly heartbeatMs: number
  /** Infinity: never renewed. */
  readonly maxAgeMs: number
}

/** A generation on its way to being usable. */
interface Preparing {
  readonly generation: number
  readonly step: 'open' | 'probe'
}

export interface Serving {
  readonly generation: number
  /** The highest number ever used: a failed `next` must never share its number with a later one. */
  readonly lastGeneration: number
  readonly failures: number
  readonly sinceMs: number
  /** When the probe under way was sent; undefined if none is (probes are single-flight, L6). */
  readonly probeSentMs: number | undefined
  readonly next: Preparing | undefined
}

export type LinkState =
  | { readonly name: 'idle'; readonly lastGeneration: number }
  | ({ readonly name: 'connecting'; readonly failures: number; readonly sinceMs: number } & Preparing)
  | ({ readonly name: 'up' } & Serving)
  | ({ readonly name: 'degraded'; readonly why: string } & Serving)
  | {
      readonly name: 'down'
      readonly lastGeneration: number
      readonly failures: number
      readonly why: string
      readonly untilMs: number
    }
  | { readonly name: 'draining'; readonly generation: number | undefined; readonly lastGeneration: number }
  | { readonly name: 'closed'; readonly lastGeneration: number }

export type LinkStateName = LinkState['name']

export type LinkEvent =
  | { readonly type: 'start' }
  | { readonly type: 'opened'; readonly generation: number }
  | { readonly type: 'open_failed'; readonly generation: number; readonly why: string }
  | { readonly type: 'probe_passed'; readonly generation: number }
  /** `silent`: no answer came. A wrong answer (a demoted primary) can't be outweighed by calls that still work. */
  | { readonly type: 'probe_failed'; readonly generation: number; readonly why: string; readonly silent: boolean }
  | { readonly type: 'lost'; readonly generation: number; readonly why: string }
  /** `probe`: the caller had given the peer at least a probe's time, so silence means something (L6). */
  | { readonly type: 'suspected'; readonly why: string; readonly probe: boolean }
  /** A call completed a round trip. Only worth telling while the link is doubted. */
  | { readonly type: 'proved'; readonly generation: number }
  | { readonly type: 'heartbeat_due' }
  | { readonly type: 'renew_due' }
  | { readonly type: 'backoff_over' }
  | { readonly type: 'wake' }
  | { readonly type: 'drain' }
  | { readonly type: 'drained' }

/** `lost`: the peer is gone. `renewed`: a younger generation serves now. `drained`: the application is done. */
export type CloseCause = 'lost' | 'renewed' | 'drained'

export type LinkTimer = 'backoff' | 'heartbeat' | 'renew'

export type LinkAction =
  | { readonly type: 'open'; readonly generation: number }
  | { readonly type: 'probe'; readonly generation: number }
  | { readonly type: 'close'; readonly generation: number; readonly because: CloseCause; readonly why: string }
  | { readonly type: 'set_timer'; readonly timer: LinkTimer; readonly delayMs: number }
  | { readonly type: 'clear_timer'; readonly timer: LinkTimer }
  /** From now on calls use this generation. */
  | { readonly type: 'serve'; readonly generation: number }

export interface LinkStep {
  readonly state: LinkState
  readonly actions: readonly LinkAction[]
}

export const INITIAL_LINK_STATE: LinkState = { name: 'idle', lastGeneration: 0 }
