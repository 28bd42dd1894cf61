// The contract of the session service: what the HTTP API and the sockets stand on.

import type { Ctx } from '@ripstop/kernel'
import type { Command, SessionEvent, SessionRules, SessionState } from '@ripstop/protocol/sessions'
import type { LogEntry } from '#session-log'
import type { AckLevel, FeedMessage, SessionRef } from '#session-stores'

export interface SessionView {
  readonly ref: SessionRef
  readonly epoch: number
  readonly state: SessionState
  readonly metadata: Readonly<Record<string, unknown>>
  readonly createdMs: number
  /** What its last change rests on. */
  readonly level: AckLevel
}

export interface NewSession {
  readonly ref: SessionRef
  readonly rules: SessionRules
  readonly metadata: Readonly<Record<string, unknown>>
  readonly timeoutEvent: string | undefined
}

export interface CommandOptions {
  /** Server time at which its last byte came in: what clocks are charged by. */
  readonly receivedMs: number
  readonly actor: string
  /** The same id is done once (SS4). */
  readonly operationId: string | undefined
  /** Only if the session still stands there; else CONFLICT with the present state. `epoch` undefined: any. */
  readonly expected?: { readonly epoch: number | undefined; readonly version: number } | undefined
}

export interface CommandResult {
  readonly session: SessionView
  /** What it made happen, deadlines that had passed included; of a repetition nothing. */
  readonly events: readonly SessionEvent[]
  readonly isRepeated: boolean
}

export interface SessionService {
  /** `isRepeated`: a session of this id and these rules was created before, by the same operation or by hand. Throws CONFLICT with the present state. */
  create(
    ctx: Ctx,
    session: NewSession,
    options: Pick<CommandOptions, 'actor' | 'operationId'>,
  ): Promise<{ readonly session: SessionView; readonly isRepeated: boolean }>
  /** As it stands now: deadlines that have passed are settled, outages credited. Throws SESSION_NOT_FOUND. */
  read(ctx: Ctx, ref: SessionRef): Promise<SessionView>
  /**
   * Decides and commits; decides anew, within a bound, where somebody else was first. Throws SESSION_NOT_FOUND, CONFLICT (`details.current`:
   * the SessionView as it stands), INVALID_STATE_TRANSITION, NOT_YOUR_TURN, BAD_REQUEST, SESSION_BUSY (too many wait for this session), and what links throw:
   * with `sent` 'maybe' only where it could not be found out whether it was done.
   */
  command(ctx: Ctx, ref: SessionRef, command: Command, options: CommandOptions): Promise<CommandResult>
  /** Idempotent. */
  remove(ctx: Ctx, ref: SessionRef): Promise<void>
  /** The log after a version, at most `limit` entries. Throws SESSION_NOT_FOUND. */
  log(
    ctx: Ctx,
    ref: SessionRef,
    page: { readonly afterVersion: number; readonly limit: number },
  ): Promise<readonly LogEntry[]>
  watch(ref: SessionRef, listener: (message: FeedMessage) => void): Disposable
  /** Server time, whole ms. */
  nowMs(): number
  exactMs(): number
}
