// A session in the hands of this process: read, and ready to be decided on.
// Invariants:
//   EN10. No answer promises more (`level`) than the store did that took or gave what it tells, whoever has the authority by then.

import { decodeBody, type SessionBody } from '#session-log'
import type { AckLevel, SessionRef, StoredSession } from '#session-stores'
import type { SessionView } from './service.ts'

export interface HeldSession {
  readonly ref: SessionRef
  readonly epoch: number
  /** Of its last entry; the entry's version is the state's. */
  readonly head: string
  readonly body: SessionBody
  /** Of the body as text. */
  readonly bytes: number
  /** What it rests on. */
  readonly level: AckLevel
}

/** `known`: what is remembered of the same session saves reading it anew. */
export function createHeld(stored: StoredSession, level: AckLevel, known?: HeldSession): HeldSession {
  const { tenantId, sessionId, epoch, version, head, body: text } = stored
  if (known !== undefined && known.epoch === epoch && known.body.state.version === version && known.head === head) {
    return known.level === level ? known : { ...known, level }
  }
  const ref = known?.ref ?? { tenantId, sessionId }
  return { ref, epoch, head, body: decodeBody(text, known?.body), bytes: text.length, level }
}

export function createView({ ref, epoch, body, level }: HeldSession): SessionView {
  const { state, metadata, createdMs } = body
  return { ref, epoch, state, metadata, createdMs, level }
}

/** The authority may move while the store is asked: what is promised is the less of both. */
export function lowerLevel(before: AckLevel, after: AckLevel): AckLevel {
  return before === after ? before : 'accepted'
}
