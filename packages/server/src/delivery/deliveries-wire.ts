// Between deliveries as the stores know them and as the wire has them.

import { RipstopError } from '@ripstop/kernel'
import type { DeadLetterWire, DeliveryAttemptWire, DeliveryWire } from '@ripstop/protocol'
import type { DeadLetter } from './dead-letter-store.ts'
import { type AttemptLine, type DeliveryView, type PageBounds, type UndoneLine, wallMsOf } from './reading-store.ts'

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const DELIVERY_ID = /^[0-9]{1,18}$/
export const UNDONE_PLACE = /^[0-9]{1,5}\.[0-9]{1,16}\.[0-9]{1,18}$/

/** Throws BAD_REQUEST for a cursor that is not ours. */
export function toBounds({ cursor, limit }: { cursor?: string | undefined; limit: number }, form: RegExp): PageBounds {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1')
  if (after !== undefined && !form.test(after)) {
    const problems = [{ field: 'query.cursor', problem: 'is not a next_cursor of this list' }]
    throw new RipstopError('BAD_REQUEST', 'query.cursor is not a next_cursor of this list', { details: { problems } })
  }
  return { after, limit }
}

export function toCursor(next: string | undefined): string | null {
  return next === undefined ? null : Buffer.from(next).toString('base64url')
}

export function toMs(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time)
}

function toTime(wallMs: number | null): string | null {
  return wallMs === null ? null : new Date(wallMs).toISOString()
}

export function toAttemptWire(line: AttemptLine): DeliveryAttemptWire {
  return {
    attempt_id: line.attemptId,
    delivery_id: line.deliveryId,
    event_id: line.eventId,
    endpoint_id: line.endpointId,
    attempt: line.attempt,
    at: new Date(wallMsOf(line.attemptId)).toISOString(),
    outcome: line.outcome,
    status: line.status,
    code: line.code,
    reason: line.reason,
    duration_ms: line.durationMs,
    response: line.response === null ? null : line.response.toString('utf8'),
    receipt: line.receipt,
    may_repeat: line.mayRepeat,
    replay_id: line.replayId,
    due_at: toTime(line.dueWallMs),
  }
}

export function toUndoneWire(line: UndoneLine): DeliveryAttemptWire {
  return {
    attempt_id: null,
    delivery_id: line.deliveryId,
    event_id: line.eventId,
    endpoint_id: line.endpointId,
    attempt: line.attemptsMade,
    at: null,
    outcome: 'waiting',
    status: null,
    code: null,
    reason: null,
    duration_ms: null,
    response: null,
    receipt: null,
    may_repeat: false,
    replay_id: line.replayId,
    due_at: toTime(line.dueWallMs),
  }
}

/** `isParked`: its endpoint is not active, so it waits for that and for no time. */
export function toDeliveryWire(view: DeliveryView, isParked: boolean): DeliveryWire {
  const parked = view.state === 'waiting' && isParked
  const { dead } = view
  return {
    delivery_id: view.deliveryId,
    event_id: view.eventId,
    endpoint_id: view.endpointId,
    state: parked ? 'parked' : view.state,
    attempts_made: view.attemptsMade,
    due_at: parked ? null : toTime(view.dueWallMs),
    dead:
      dead === undefined
        ? null
        : { reason: dead.reason, code: dead.code, status: dead.status, at: new Date(dead.wallMs).toISOString() },
    replay_id: view.replayId,
    last_attempt: view.last === undefined ? null : toAttemptWire(view.last),
  }
}

export function toDeadLetterWire(letter: DeadLetter): DeadLetterWire {
  return {
    delivery_id: letter.deliveryId,
    event_id: letter.eventId,
    endpoint_id: letter.endpointId,
    reason: letter.reason,
    code: letter.code,
    status: letter.status,
    attempts_made: letter.attemptsMade,
    dead_at: new Date(letter.deadWallMs).toISOString(),
    replay_id: letter.replayId,
  }
}
