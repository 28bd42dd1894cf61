import type { LinkStateName } from './link-state.ts'

export interface Transition {
  readonly from: LinkStateName
  readonly to: LinkStateName
  readonly why: string
  readonly generation: number
  readonly wallMs: number
}

/** A link's live state: plain data, safe to send anywhere. */
export interface LinkSnapshot {
  readonly name: string
  readonly kind: string
  readonly target: string
  readonly state: LinkStateName
  readonly why: string | undefined
  readonly generation: number
  readonly lastProofMonoMs: number | undefined
  readonly lastProofWallMs: number | undefined
  readonly lastProofAgeMs: number | undefined
  readonly inFlight: number
  readonly waiting: number
  /** How long the most overdue call is past its deadline; 0 or less: none is. */
  readonly oldestOverdueMs: number
  readonly breaker: 'closed' | 'open' | 'half_open' | 'none'
  readonly retryBudget: number
  readonly degradation: { readonly name: string; readonly active: boolean; readonly uses: number } | undefined
  readonly pool: { readonly size: number; readonly inUse: number; readonly waiting: number } | undefined
  readonly recoverWithinMs: number
  readonly transitions: readonly Transition[]
}

/** Something that happened to a link, for streams and logs. */
export type LinkNotice =
  | ({ readonly type: 'transition'; readonly link: string } & Transition)
  | { readonly type: 'breaker'; readonly link: string; readonly to: string; readonly wallMs: number }
  | {
      readonly type: 'degradation'
      readonly link: string
      readonly name: string
      readonly active: boolean
      readonly wallMs: number
    }
  /** The adapter threw where it must not (`what`: close, fault, pool, renew): a defect of it, which the link survived. */
  | {
      readonly type: 'defect'
      readonly link: string
      readonly what: string
      readonly why: string
      readonly wallMs: number
    }
