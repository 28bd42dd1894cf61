// The log of a session at the edge: line by line as it was hashed, told to people, and proved.

import {
  dataOf,
  listOf,
  type SessionReplayWire,
  sessionLogEntrySchema,
  sessionLogQuerySchema,
  sessionReplayQuerySchema,
  sessionReplaySchema,
  sessionVerdictSchema,
} from '@ripstop/protocol'
import type { SessionRules } from '@ripstop/protocol/sessions'
import { type Route, route } from '#platform/http'
import { type LogEntry, readLine } from '#session-log'
import type { SessionRef, SessionStore } from '#session-stores'
import type { SessionLimits } from './limits.ts'
import { permitReading } from './permission.ts'
import { type Replayed, replaySession, type TimeShare } from './replay.ts'
import { type AnyRequest, type RequestDeps, sessionParams } from './requests.ts'
import { verifySession } from './verify.ts'
import { toTime } from './wire.ts'

export interface LogRoutesDeps extends RequestDeps {
  readonly store: Pick<SessionStore, 'load' | 'log'>
  readonly limits: SessionLimits
}

export function createLogRoutes(deps: LogRoutesDeps): readonly Route[] {
  return [createEventsRoute(deps), createReplayRoute(deps), createVerifyRoute(deps)]
}

/** The session whose log is asked for. A log outlives its session, a token does not. */
async function findLog(
  { service, limits }: LogRoutesDeps,
  request: AnyRequest,
  sessionId: string,
): Promise<SessionRef> {
  const ref = permitReading(request.principal, sessionId)
  await limits.read(request)
  if (request.principal.session !== undefined) await service.read(request.ctx, ref)
  return ref
}

function createEventsRoute(deps: LogRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/sessions/{session_id}/events',
    summary: "Read a session's log, oldest first; it outlives the session",
    scopes: ['sessions:read'],
    params: sessionParams,
    query: sessionLogQuerySchema,
    response: listOf(sessionLogEntrySchema),
    handle: async (request) => {
      const { cursor: afterVersion, limit } = request.query
      const ref = await findLog(deps, request, request.params.session_id)
      const entries = await deps.service.log(request.ctx, ref, { afterVersion, limit: limit + 1 })
      const shown = entries.slice(0, limit)
      return { body: { data: shown.map(toEntryWire), next_cursor: toCursor(entries.length > limit, shown.at(-1)) } }
    },
  })
}

function createReplayRoute(deps: LogRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/sessions/{session_id}/replay',
    summary: 'Explain a session: what every clock showed when, and where the time of each participant went',
    scopes: ['sessions:read'],
    params: sessionParams,
    query: sessionReplayQuerySchema,
    response: dataOf(sessionReplaySchema),
    handle: async (request) => {
      const { cursor: afterVersion, limit, at_version: atVersion } = request.query
      const ref = await findLog(deps, request, request.params.session_id)
      const page = { afterVersion, limit: limit + 1, atVersion }
      return { body: { data: toReplayWire(ref, await replaySession(request.ctx, deps.service, ref, page), limit) } }
    },
  })
}

function createVerifyRoute(deps: LogRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/sessions/{session_id}/verify',
    summary: "Prove a session's log: every hash, every version, and that they make what is stored",
    scopes: ['sessions:read'],
    params: sessionParams,
    response: dataOf(sessionVerdictSchema),
    handle: async (request) => {
      const ref = await findLog(deps, request, request.params.session_id)
      const { isValid, entries, epochs, head, broken } = await verifySession(request.ctx, deps.store, ref)
      const verdict = { is_valid: isValid, entries, epochs: [...epochs], head, broken: broken ?? null }
      return { body: { data: { session_id: ref.sessionId, ...verdict } } }
    },
  })
}

function toCursor(hasMore: boolean, last: { readonly version: number } | undefined): string | null {
  return hasMore && last !== undefined ? String(last.version) : null
}

function toEntryWire(entry: LogEntry) {
  const { event, actor } = readLine(entry)
  const { epoch, version, hash, text } = entry
  return { epoch, version, kind: event.kind, at: toTime(event.atMs), actor, hash, text }
}

/** One step more than is shown tells whether there are more. */
function toReplayWire({ sessionId }: SessionRef, replayed: Replayed, limit: number): SessionReplayWire {
  const { steps, state, shares, isWhole } = replayed
  const { status, version, rules } = state
  const shown = steps.slice(0, limit).map((step) => toStepWire(step, rules))
  return {
    session_id: sessionId,
    status,
    version,
    is_whole: isWhole,
    shares: shares.map(toShareWire),
    steps: shown,
    next_cursor: toCursor(steps.length > limit, shown.at(-1)),
  }
}

type StepWire = SessionReplayWire['steps'][number]

function toStepWire(step: Replayed['steps'][number], rules: SessionRules): StepWire {
  const { epoch, event, actor, receivedMs, decidedMs } = step.line
  const [place, next] = placesOf(event)
  const idOf = (at: number | undefined) => (at === undefined ? null : (rules.participants[at]?.participantId ?? null))
  return {
    epoch,
    version: event.version,
    kind: event.kind,
    at: toTime(event.atMs),
    actor,
    participant_id: idOf(place),
    next_participant_id: idOf(next),
    reason: event.kind === 'adjusted' ? event.reason : null,
    adjusted_ms: event.kind === 'adjusted' ? event.byMs : null,
    is_suspicious: event.kind === 'switched' && event.isSuspicious,
    received_at: toTime(receivedMs),
    decided_at: toTime(decidedMs),
    waited_ms: step.waitedMs,
    since_ms: step.sinceMs,
    outage_ms: step.outageMs,
    charge: toChargeWire(step.charge, rules),
    clocks_ms: [...step.clocks],
  }
}

type Event = Replayed['steps'][number]['line']['event']

/** Whom it was about, and who had the turn then. */
function placesOf(event: Event): readonly [about: number | undefined, next: number | undefined] {
  switch (event.kind) {
    case 'started':
      return [undefined, event.active]
    case 'switched':
      return [event.from, event.to]
    case 'expired':
      return [event.place, event.to]
    case 'adjusted':
      return [event.place, undefined]
    case 'created':
    case 'paused':
    case 'resumed':
    case 'completed':
    case 'cancelled':
    case 'recovered':
      return [undefined, undefined]
    default:
      return event satisfies never
  }
}

function toChargeWire(charge: Replayed['steps'][number]['charge'], rules: SessionRules): StepWire['charge'] {
  const participant = charge === undefined ? undefined : rules.participants[charge.place]
  if (charge === undefined || participant === undefined) return null
  return {
    participant_id: participant.participantId,
    elapsed_ms: charge.elapsedMs,
    lag_ms: charge.lagMs,
    free_ms: charge.freeMs,
    main_ms: charge.mainMs,
    overtime_ms: charge.overtimeMs,
    uncounted_ms: charge.uncountedMs,
    added_ms: charge.addedMs,
  }
}

function toShareWire(share: TimeShare): SessionReplayWire['shares'][number] {
  return {
    participant_id: share.participantId,
    wall_ms: share.wallMs,
    own_main_ms: share.ownMainMs,
    own_overtime_ms: share.ownOvertimeMs,
    own_free_ms: share.ownFreeMs,
    own_lag_ms: share.ownLagMs,
    own_uncounted_ms: share.ownUncountedMs,
    own_open_ms: share.ownOpenMs,
    others_ms: share.othersMs,
    paused_ms: share.pausedMs,
    outage_ms: share.outageMs,
    added_ms: share.addedMs,
    adjusted_ms: share.adjustedMs,
    turns: share.turns,
    falls: share.falls,
  }
}
