// Authority: who decides about sessions, and since when. Time is divided into epochs, which Postgres counts (table session_epochs): within
// one, commands were accepted without an interruption, by one store. A new epoch begins when service was interrupted for longer than
// clocks may pay for (every process was gone, Postgres was, or Redis was replaced), and when authority moves between Redis and Postgres.
// A store takes only commits of the present epoch, and a session that was last written in an earlier one is recovered first: an event credits
// its clocks for the outages in between.

import type { Ctx } from '@ripstop/kernel'

/** Which store takes commits. */
export type AuthorityMode = 'redis' | 'postgres'

/** An interruption of service that an epoch began after, in server time; empty (equal) where authority moved without one. */
export interface Outage {
  /** The epoch that began with its end. */
  readonly epoch: number
  readonly sinceMs: number
  readonly untilMs: number
}

export interface Term {
  readonly epoch: number
  readonly mode: AuthorityMode
}

export interface Authority {
  /** The present term. Throws NOT_READY while none is known. Never asks anybody. */
  term(): Term
  /** The outages that epochs after `epoch` began with, oldest first. Asks Postgres only where memory does not reach back. */
  outagesAfter(ctx: Ctx, epoch: number): Promise<readonly Outage[]>
  /** A store refused the term: reads it anew. Resolves when a term is known that is not the refused one, or throws. */
  renew(ctx: Ctx, refused: Term): Promise<Term>
  /** Server time, whole ms since the epoch: the same in all processes as far as measuring goes; never goes backwards. */
  nowMs(): number
  /** The same with fractions, for probes of clients. */
  exactMs(): number
}
