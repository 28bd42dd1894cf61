// The log of a session as a chain: the hash of an entry covers the hash of the one before it, so that nothing can be changed, left out or put
// in between without the rest of the chain failing.
// Invariants:
//   CH1. hash = SHA-256(hash of the entry before, newline, text); the first entry's predecessor is 64 zeros.

import { hash } from 'node:crypto'
import type { SessionEvent, SessionRules } from '@ripstop/protocol/sessions'

/** One line of a session's log. Lines are chained: each is hashed over the one before it. */
export interface LogEntry {
  readonly epoch: number
  readonly version: number
  /** Lower-case hex of SHA-256. */
  readonly hash: string
  /** JSON of a LogLine: what was hashed. */
  readonly text: string
  /** An event of the mesh that is published with it (action_on_timeout `event`); JSON of what POST /v1/events takes. */
  readonly publish: string | undefined
}

export const NO_HEAD = '0'.repeat(64)

export interface CreatedEvent {
  readonly kind: 'created'
  readonly version: 1
  readonly atMs: number
  readonly rules: SessionRules
  readonly metadata: Readonly<Record<string, unknown>>
  readonly timeoutEvent: string | undefined
}

/** What one entry says; its JSON is what is hashed. */
export interface LogLine {
  readonly epoch: number
  readonly event: SessionEvent | CreatedEvent
  /** Who asked for it: `key:<id>`, `participant:<id>`, `owner`, `cli`, `open`, or `clock` where a deadline or an outage caused it. */
  readonly actor: string
  readonly operationId?: string
  /** Makes the line unlike that of any other command: by its hash it is known again. */
  readonly nonce?: string
  /** When its command was received, server time; left out where nobody asked. */
  readonly receivedMs?: number
  /** When it was decided, server time: what a command waited is the difference. */
  readonly decidedMs: number
}

export function hashOf(before: string, text: string): string {
  return hash('sha256', `${before}\n${text}`, 'hex')
}

/** The entry that continues a chain. */
export function createEntry(before: string, line: LogLine, publish?: string): LogEntry {
  const text = JSON.stringify(line)
  return { epoch: line.epoch, version: line.event.version, hash: hashOf(before, text), text, publish }
}

export function readLine(entry: Pick<LogEntry, 'text'>): LogLine {
  return JSON.parse(entry.text) as LogLine
}
