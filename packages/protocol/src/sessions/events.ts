// What is asked of a session, and what happened to it. A command may be refused; an event is a fact, and carries all that is needed
// to make the same state of it again.

export type Command =
  | { readonly kind: 'start'; readonly first?: number }
  /** `by`: the participant who says so; undefined: the session's owner. `next`: whose turn it becomes. */
  | { readonly kind: 'switch'; readonly by?: number; readonly next?: number; readonly lagMs?: number }
  | { readonly kind: 'pause' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'adjust'; readonly place: number; readonly byMs: number; readonly reason: string }
  /** Nobody asks for it: the server does, when a deadline has passed. */
  | { readonly kind: 'timeout' }
  | { readonly kind: 'complete' }
  | { readonly kind: 'cancel' }
  /** Nobody could be served from `sinceMs` to `untilMs`: nobody's clock pays for it. */
  | { readonly kind: 'recover'; readonly sinceMs: number; readonly untilMs: number }

interface At {
  readonly version: number
  /** When it happened, as clocks are charged: when its command was received. */
  readonly atMs: number
}

export type SessionEvent =
  | (At & { readonly kind: 'started'; readonly active: number })
  | (At & {
      readonly kind: 'switched'
      readonly from: number
      readonly to: number
      readonly elapsedMs: number
      readonly lagCreditedMs: number
      /** Two within 10 ms: for a person to look at. */
      readonly isSuspicious: boolean
    })
  | (At & { readonly kind: 'paused' })
  | (At & { readonly kind: 'resumed' })
  | (At & { readonly kind: 'adjusted'; readonly place: number; readonly byMs: number; readonly reason: string })
  /** A clock fell, at `atMs` exactly, however late it was noticed. `to`: whose turn it is then; undefined: nobody's. */
  | (At & {
      readonly kind: 'expired'
      readonly place: number | undefined
      readonly action: 'end' | 'skip_cycle' | 'next' | 'restart' | 'event'
      readonly to: number | undefined
      readonly elapsedMs: number
    })
  | (At & { readonly kind: 'completed' })
  | (At & { readonly kind: 'cancelled' })
  /** `sinceMs`: when the outage began that ended at `atMs`. */
  | (At & { readonly kind: 'recovered'; readonly sinceMs: number; readonly creditedMs: number })
