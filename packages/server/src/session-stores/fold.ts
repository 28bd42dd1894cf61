// Fold. A session's body out of its log: what is drained from Redis brings a session's place ahead of its body, and whoever loads it applies
// the entries in between.
// Invariants:
//   SB2. In however many pieces a log is folded, the body is the same text that whoever made the entries wrote.
//   SB3. Only a chain is folded: from the entry that the body is of to the head of the session, nothing left out.

import { apply, createSession } from '@ripstop/protocol/sessions'
import { hashOf, type LogEntry, NO_HEAD, readLine, type SessionBody } from '#session-log'

export interface Folded {
  readonly body: SessionBody
  /** Of the last entry. */
  readonly version: number
  readonly head: string
  /** The operations that made entries, oldest first. */
  readonly operations: readonly { readonly id: string; readonly version: number }[]
}

/**
 * The body after `entries`, which begin with the one that `body` is of, or, without a body, with the first of the log. Undefined: they don't
 * follow from one another (SB3).
 */
export function foldEntries(body: SessionBody | undefined, entries: readonly LogEntry[]): Folded | undefined {
  const [first] = entries
  if (first === undefined || first.version !== (body?.state.version ?? 1)) return undefined
  const begun = body ?? createBody(first)
  if (begun === undefined) return undefined
  let { state } = begun
  let head = first.hash
  const operations: { id: string; version: number }[] = []
  for (const entry of entries.slice(1)) {
    const { event, operationId } = readLine(entry)
    const follows = entry.hash === hashOf(head, entry.text) && event.version === state.version + 1
    if (!follows || event.kind === 'created') return undefined
    state = apply(state, event)
    head = entry.hash
    if (operationId !== undefined) operations.push({ id: operationId, version: event.version })
  }
  return { body: { ...begun, state }, version: state.version, head, operations }
}

function createBody(first: LogEntry): SessionBody | undefined {
  const { event } = readLine(first)
  if (event.kind !== 'created' || first.hash !== hashOf(NO_HEAD, first.text)) return undefined
  const { rules, metadata, atMs, timeoutEvent } = event
  return { state: createSession(rules, atMs), metadata, createdMs: atMs, timeoutEvent }
}
