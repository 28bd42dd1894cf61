// What a command makes of a session: the entries that tell of it, and the session after them. Pure; what it is decided on, and when, is given.
// Invariants:
//   EN4. A command that is refused leaves what the clock did (deadlines that had passed, outages), and is not remembered as done.
//   EN5. A session of an earlier epoch is credited for every outage since, in order, before anything else is decided on it.

import type { RipstopError } from '@ripstop/kernel'
import {
  apply,
  type Command,
  deadlineOf,
  decide,
  type SessionEvent,
  type SessionState,
} from '@ripstop/protocol/sessions'
import { createEntry, encodeBody, type LogEntry, type LogLine } from '#session-log'
import type { AckLevel, Commit, Outage } from '#session-stores'
import type { HeldSession } from './held.ts'
import type { CommandOptions } from './service.ts'

export interface Plan {
  readonly events: readonly SessionEvent[]
  readonly state: SessionState
  /** `moved`: the session does not stand where the command expects it. */
  readonly refused: RipstopError | 'moved' | undefined
  /** False: what had passed was too much at once; the command has to be decided again on `state`. */
  readonly isSettled: boolean
  /** The last of the events is what the command itself did. */
  readonly isDone: boolean
}

/** `outages`: those that the session was not credited for yet, oldest first. */
export function planCommand(
  { epoch, body: { state } }: HeldSession,
  command: Command,
  { receivedMs, expected }: Pick<CommandOptions, 'receivedMs' | 'expected'>,
  outages: readonly Outage[],
): Plan {
  const events: SessionEvent[] = []
  const decision = decide(recover(state, outages, events), command, receivedMs)
  const isDone = decision.isSettled && decision.refused === undefined && command.kind !== 'timeout'
  const stoodAt = decision.state.version - (isDone ? 1 : 0)
  const { isSettled } = decision
  // Where an outage was credited, the version is another one, and so the epoch need not be looked at.
  const isExpected = expected === undefined || (expected.version === stoodAt && (expected.epoch ?? epoch) === epoch)
  if (isExpected || !isSettled) {
    events.push(...decision.events)
    return { events, state: decision.state, refused: decision.refused, isSettled, isDone }
  }
  // What the command itself did is left out again.
  events.push(...decision.events.slice(0, decision.events.length - (isDone ? 1 : 0)))
  return { events, state: events.reduce(apply, state), refused: 'moved', isSettled, isDone: false }
}

function recover(state: SessionState, outages: readonly Outage[], events: SessionEvent[]): SessionState {
  let now = state
  for (const { sinceMs, untilMs } of outages) {
    for (let isSettled = false; !isSettled; ) {
      const decision = decide(now, { kind: 'recover', sinceMs, untilMs }, untilMs)
      events.push(...decision.events)
      now = decision.state
      isSettled = decision.isSettled
    }
  }
  return now
}

export function hasEnded({ endedMs }: SessionState): boolean {
  return endedMs !== undefined
}

/** When the last clock fell that the plan tells of. */
export function lastFallMs({ events }: Plan): number | undefined {
  for (let at = events.length - 1; at >= 0; at--) {
    const event = events[at] as SessionEvent
    if (event.kind === 'expired') return event.atMs
  }
  return undefined
}

type Asked = Pick<CommandOptions, 'actor' | 'receivedMs' | 'operationId'>

/** The commit that carries a plan out, and the session after it. */
export function createCommit(
  held: HeldSession,
  plan: Plan,
  asked: Asked,
  nonce: string,
  { epoch, nowMs, level }: { readonly epoch: number; readonly nowMs: number; readonly level: AckLevel },
): { readonly commit: Commit; readonly next: HeldSession } {
  const entries: LogEntry[] = []
  let head = held.head
  for (const [at, event] of plan.events.entries()) {
    const isOwn = plan.isDone && at === plan.events.length - 1
    const line = { epoch, event, decidedMs: nowMs }
    const entry = createEntry(
      head,
      isOwn ? lineOf(line, asked, nonce) : { ...line, actor: 'clock' },
      publishOf(held, event),
    )
    entries.push(entry)
    head = entry.hash
  }
  const body = { ...held.body, state: plan.state }
  const text = encodeBody(body)
  const { tenantId, sessionId } = held.ref
  const { version, status } = plan.state
  const place = { tenantId, sessionId, epoch, version, head }
  return {
    commit: {
      from: { epoch: held.epoch, version: held.body.state.version },
      to: { ...place, body: text, status, deadlineMs: deadlineOf(plan.state) },
      entries,
      operationId: plan.isDone ? asked.operationId : undefined,
    },
    next: { ref: held.ref, epoch, head, body, bytes: text.length, level },
  }
}

function lineOf(line: Omit<LogLine, 'actor'>, asked: Asked, nonce: string): LogLine {
  const { actor, operationId, receivedMs } = asked
  return operationId === undefined
    ? { ...line, actor, receivedMs, nonce }
    : { ...line, actor, receivedMs, nonce, operationId }
}

/** The event of the mesh that the timeout action `event` publishes. Its id names the fact, so that it is one event whoever publishes it. */
function publishOf({ ref, body }: HeldSession, event: SessionEvent): string | undefined {
  // Without a type nothing is published: the clock falls, and the session goes on.
  const { timeoutEvent } = body
  if (event.kind !== 'expired' || event.action !== 'event' || timeoutEvent === undefined) return undefined
  const { sessionId } = ref
  const participant = event.place === undefined ? undefined : body.state.rules.participants[event.place]
  return JSON.stringify({
    type: timeoutEvent,
    source: `/v1/sessions/${sessionId}`,
    id: `${sessionId}/${event.version}`,
    subject: sessionId,
    partitionkey: sessionId,
    time: new Date(event.atMs).toISOString(),
    data: { session_id: sessionId, version: event.version, participant_id: participant?.participantId ?? null },
  })
}
