// What a commit is in the stream of its shard, and word for word on its channel: the session's name, of fixed length, so that whoever is not
// concerned need not read on, and JSON. A whole commit is one record: nobody can ever see half of one.

import { SESSION_STATUSES, type SessionStatus } from '@ripstop/protocol/sessions'
import type { LogEntry } from '#session-log'
import { MEMBER_LENGTH, memberOf, refOf } from './redis-keys.ts'
import type { Commit, SessionRef, StoredSession } from './store.ts'

export interface CommitRecord {
  readonly kind: 'commit'
  readonly ref: SessionRef
  /** Undefined: it was created. */
  readonly from: Commit['from'] | undefined
  /** In order, at least one; the last one is where the session stands then. */
  readonly entries: readonly LogEntry[]
  readonly status: SessionStatus
  readonly deadlineMs: number | undefined
}

export type StreamRecord = CommitRecord | { readonly kind: 'deleted'; readonly ref: SessionRef }

export function encodeCommit(
  to: StoredSession,
  entries: readonly LogEntry[],
  from: Commit['from'] | undefined,
): string {
  const { status, deadlineMs } = to
  return memberOf(to) + JSON.stringify({ from, status, deadlineMs, entries })
}

export function encodeDeletion(ref: SessionRef): string {
  return `${memberOf(ref)}{}`
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Undefined: it is none that this version wrote. */
export function decodeRecord(text: string): StreamRecord | undefined {
  const ref = refOf(text.slice(0, MEMBER_LENGTH))
  if (!UUID.test(ref.tenantId) || !UUID.test(ref.sessionId)) return undefined
  try {
    const said = JSON.parse(text.slice(MEMBER_LENGTH)) as Partial<CommitRecord>
    if (said.entries === undefined) return { kind: 'deleted', ref }
    const { from, entries, status, deadlineMs } = said
    const isKnown = SESSION_STATUSES.some((known) => known === status)
    const isTimed = deadlineMs === undefined || Number.isSafeInteger(deadlineMs)
    const isWhole = isKnown && isTimed && entries.length > 0 && entries.every(isEntry)
    return isWhole ? { kind: 'commit', ref, from, entries, status: status as SessionStatus, deadlineMs } : undefined
  } catch {
    return undefined // the caller tells of it
  }
}

const VERSION_MAX = 2 ** 31 - 1

function isEntry({ epoch, version, hash, text, publish = '' }: LogEntry): boolean {
  const isPlaced = Number.isSafeInteger(epoch) && Number.isInteger(version) && version > 0 && version <= VERSION_MAX
  return isPlaced && [hash, text, publish].every(isPlainText)
}

/** As Postgres's text can be, and as JSON is when it is written. */
function isPlainText(said: unknown): boolean {
  return typeof said === 'string' && said.isWellFormed() && !said.includes('\0')
}
