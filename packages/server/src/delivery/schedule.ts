// What follows from an answer: done, again later, kept, or a dead letter. Pure; the only place that decides it.
// Invariants:
//   DC1. A delivery is tried again at the pause that its target's schedule gives for its attempt, 20 % more or less, and not before
//        what the receiver asked for; after the last pause it is a dead letter.
//   DC2. What is kept for a target that is to be parked is never a dead letter, however often it was tried.

import type { Random } from '@ripstop/kernel'
import type { Answer, Target } from './kind.ts'

const JITTER = 0.2
const DAY_MS = 86_400_000
/** A receiver that asks for more gets it for this delivery; the others of its target wait no longer than this. */
const HOLD_MS_MAX = 60_000
const HOLD_MS = 1_000
/** Until the kind knows that the target is parked: it is asked again before this is over. */
const PARKING_MS = 1_000

export type DeadReason = 'exhausted' | 'refused' | 'unknown' | 'deleted' | 'expired'

export interface Verdict {
  /** Set: it is tried again after so many ms. */
  readonly dueInMs: number | undefined
  /** Set: it is a dead letter. Neither: it is delivered. */
  readonly dead: DeadReason | undefined
  /** Nothing else goes to its target for so many ms. */
  readonly holdMs: number
}

const DELIVERED: Verdict = { dueInMs: undefined, dead: undefined, holdMs: 0 }

export function judge(answer: Answer, attempt: number, target: Target, random: Random): Verdict {
  if (answer.outcome === 'delivered') return DELIVERED
  const holdMs = holdOf(answer)
  switch (answer.next ?? 'later') {
    case 'park':
      return { dueInMs: PARKING_MS, dead: undefined, holdMs: PARKING_MS }
    case 'never':
      return { dueInMs: undefined, dead: answer.outcome === 'unknown' ? 'unknown' : 'refused', holdMs }
    default: {
      const pauseMs = target.retryScheduleMs[attempt - 1]
      if (pauseMs === undefined) return { dueInMs: undefined, dead: 'exhausted', holdMs }
      const jittered = pauseMs * (1 - JITTER + 2 * JITTER * random())
      const askedMs = Math.min(DAY_MS, answer.retryAfterMs ?? 0)
      return { dueInMs: Math.max(jittered, askedMs), dead: undefined, holdMs }
    }
  }
}

/** 429 and 503 are about the receiver, not about this delivery: it gets nothing for a while. */
function holdOf({ status, retryAfterMs }: Answer): number {
  if (status !== 429 && status !== 503) return 0
  return Math.min(HOLD_MS_MAX, retryAfterMs ?? HOLD_MS)
}
