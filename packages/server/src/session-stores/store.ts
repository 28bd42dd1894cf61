// The contract of a session store. A store keeps, per session, one opaque body and its place (epoch, version), a log of what happened,
// and when it is due; it changes all of them in one step, or none. It knows no rules: what follows from a command is computed by its
// caller from what the store gave it, and written only if nothing else was written meanwhile (compare and set).
// One conformance suite runs against every store.
// Invariants:
//   SS1. Of commits that were decided on the same (epoch, version) exactly one is committed; the others are told what is there now.
//   SS2. A commit is in the log, due, and seen by whoever loads, when it is acknowledged; or none of it is.
//   SS3. A commit of an epoch that has passed changes nothing.
//   SS4. An operation id that is among the last `OPERATIONS_KEPT` of its session changes nothing a second time.

import type { Ctx } from '@ripstop/kernel'
import type { SessionStatus } from '@ripstop/protocol/sessions'
import type { LogEntry } from '#session-log'

export const OPERATIONS_KEPT = 64

export interface SessionRef {
  readonly tenantId: string
  /** A UUID. */
  readonly sessionId: string
}

/** Nothing happens to it any more, and it is never due. */
export function isEnded(status: SessionStatus): boolean {
  return status === 'expired' || status === 'completed' || status === 'cancelled'
}

/** What an acknowledgement rests on: `accepted` is in Redis (fsync every second), `durable` is committed by Postgres. */
export type AckLevel = 'accepted' | 'durable'

/** A session as it stands. The same (epoch, version) is the same session, byte by byte. */
export interface StoredSession extends SessionRef {
  /** The period of authority that it was last written in; see authority.ts. */
  readonly epoch: number
  /** Of the last entry of its log. */
  readonly version: number
  /** `hash` of that entry. */
  readonly head: string
  /** A SessionBody, as session-body.ts writes and reads it (encodeBody, decodeBody). */
  readonly body: string
  readonly status: SessionStatus
  /** Server time at which something falls due; undefined: nothing does. */
  readonly deadlineMs: number | undefined
}

/** From what it was decided on, to what it becomes. */
export interface Commit {
  readonly from: { readonly epoch: number; readonly version: number }
  /** `to.epoch` is the present epoch: SS3. */
  readonly to: StoredSession
  /** Without a gap, the last one of `to.version`. */
  readonly entries: readonly LogEntry[]
  readonly operationId: string | undefined
}

export type Committed =
  | { readonly kind: 'committed' }
  /** SS4: it was done before, and its last entry had this version. */
  | { readonly kind: 'repeated'; readonly version: number }
  | { readonly kind: 'conflict'; readonly current: StoredSession }
  /** The epoch has passed: read the authority anew. */
  | { readonly kind: 'fenced' }
  | { readonly kind: 'missing' }

export type Created = { readonly kind: 'created' } | { readonly kind: 'exists' } | { readonly kind: 'fenced' }

/** What watchers of a session hear, in the order of commits of the process that tells; they compare (epoch, version) themselves. */
export type FeedMessage =
  | {
      readonly kind: 'entries'
      readonly ref: SessionRef
      /** Of the state that `entries` were applied to. */
      readonly from: { readonly epoch: number; readonly version: number }
      readonly entries: readonly LogEntry[]
    }
  | { readonly kind: 'deleted'; readonly ref: SessionRef }
  /** Something may have been missed: load it. */
  | { readonly kind: 'gap'; readonly ref: SessionRef }

export interface LogQuery extends SessionRef {
  /** Only entries of later versions. */
  readonly afterVersion: number
  readonly limit: number
}

export interface SessionStore {
  readonly level: AckLevel
  /**
   * Takes the session with its first entry (version 1). `exists`: the id is taken, also by a session that was deleted. Throws
   * BACKLOG_FULL where what is not yet durable has reached its bound.
   */
  create(ctx: Ctx, session: StoredSession, first: LogEntry): Promise<Created>
  /** Undefined: there is none, or it was deleted. Its epoch may have passed: then it has to be recovered before anything else. */
  load(ctx: Ctx, ref: SessionRef): Promise<StoredSession | undefined>
  /**
   * Never tried a second time by the store where its outcome is unknown: that is thrown, with `sent` 'maybe', and the caller finds out by
   * loading whether `to.head` is what is there.
   */
  commit(ctx: Ctx, commit: Commit): Promise<Committed>
  /** SS4: the version of the last entry that the operation made; undefined: it is not among those that are kept. */
  findOperation(ctx: Ctx, ref: SessionRef, operationId: string): Promise<number | undefined>
  /** False: there was none. The log is kept until its retention ends. */
  remove(ctx: Ctx, ref: SessionRef): Promise<boolean>
  /** In order of versions, superseded entries left out: of an epoch that a later one branched off from before them. */
  log(ctx: Ctx, query: LogQuery): Promise<readonly LogEntry[]>
  /**
   * Claims up to `limit` sessions whose deadline is at `nowMs` or before, for `leaseMs`: nobody else gets them until then or until they
   * are committed.
   */
  claimDue(ctx: Ctx, claim: DueClaim): Promise<readonly DueSession[]>
  /** Tells of commits, wherever they were made, until disposed. The listener must not throw. */
  watch(ref: SessionRef, listener: (message: FeedMessage) => void): Disposable
}

export interface DueClaim {
  readonly nowMs: number
  readonly leaseMs: number
  readonly limit: number
}

/** A claimed session, and when it was due when it was claimed. */
export interface DueSession extends SessionRef {
  readonly deadlineMs: number
}
