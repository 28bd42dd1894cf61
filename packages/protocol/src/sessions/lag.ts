// Lag compensation. A turn is not charged for the way that its command took, as far as a quota allows: who always has lag lives on what
// the quota gains with every turn, who pretends to have some can't have more. Only what the server measured itself counts.
// Source: scalachess, LagTracker.scala (MIT): the quota, and that it starts with three gains and holds seven.
// Invariants:
//   LQ1. Over any n turns not more than the start and n gains is credited, and never more than a turn took.

import type { LagRules } from './session.ts'

const GAIN_MS_MAX = 1_000
const STARTS_WITH_GAINS = 3
const HOLDS_GAINS = 7

/** Lichess's gain for a clock that begins with `mainMs` and gains `incrementMs` a turn. */
export function createLagRules(mainMs: number, incrementMs: number): LagRules {
  const forGame = Math.trunc(((mainMs / 1_000 + (40 * incrementMs) / 1_000) * 2) / 5) * 10 + 150
  const gainMs = Math.min(GAIN_MS_MAX, forGame)
  return { gainMs, startMs: STARTS_WITH_GAINS * gainMs, capMs: HOLDS_GAINS * gainMs }
}

export interface Credit {
  readonly creditedMs: number
  readonly quotaMs: number
}

/** What of `lagMs` is credited to a turn that took `elapsedMs`, and the quota after it. */
export function creditLag(rules: LagRules, quotaMs: number, lagMs: number, elapsedMs: number): Credit {
  const creditedMs = Math.max(0, Math.min(quotaMs, Math.trunc(lagMs), elapsedMs))
  return { creditedMs, quotaMs: Math.min(rules.capMs, quotaMs - creditedMs + rules.gainMs) }
}
