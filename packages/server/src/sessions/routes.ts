// Live sessions at the edge, as SyncKairos 2.0 has them, and more.
// Invariants:
//   SH1. Whatever comes, the answer is typed, and costs no more than its bounds: nothing reaches the engine that its rules do not know.
//   SH2. A request with an Idempotency-Key, sent again, is done once; If-Match and expected_version let it pass only where the session still stands.
//   SH3. A move is as old as the last byte of its request, whatever it waited for.

import { createId } from '@ripstop/kernel'
import {
  adjustSessionSchema,
  createSessionSchema,
  createSessionTokenSchema,
  dataOf,
  serverTimeSchema,
  sessionCommandSchema,
  sessionSchema,
  sessionTokenSchema,
  startSessionSchema,
  switchedSessionSchema,
  switchSessionSchema,
} from '@ripstop/protocol'
import type { Command } from '@ripstop/protocol/sessions'
import { z } from 'zod'
import { type Route, route } from '#platform/http'
import { createLogRoutes, type LogRoutesDeps } from './log-routes.ts'
import { permitCommand, permitDriving, permitReading, refuseTokens } from './permission.ts'
import {
  type AnyRequest,
  optionsOf,
  placeOf,
  type RequestDeps,
  sessionIdOf,
  sessionParams,
  tellingConflicts,
} from './requests.ts'
import type { CommandResult, SessionView } from './service.ts'
import type { SessionTokens } from './tokens.ts'
import { toETag, toNewSession, toSessionWire, toSwitchedWire, toTime } from './wire.ts'

/** A thousand participants, written generously. */
const CREATE_BYTES_MAX = 524_288
const COMMAND_BYTES_MAX = 16_384
const SERVER_VERSION = '2.0.0' as const
const DRIFT_TOLERANCE_MS = 50

export interface SessionRoutesDeps extends LogRoutesDeps {
  readonly tokens: SessionTokens
}

export function createSessionRoutes(deps: SessionRoutesDeps): readonly Route[] {
  return [
    createCreateRoute(deps),
    createReadRoute(deps),
    createDeleteRoute(deps),
    createStartRoute(deps),
    createSwitchRoute(deps),
    createPlainRoute(deps, 'pause', 'Pause a session: nobody is charged meanwhile'),
    createPlainRoute(deps, 'resume', 'Resume a paused session'),
    createPlainRoute(deps, 'complete', 'Complete a session that has not ended'),
    createPlainRoute(deps, 'cancel', 'Cancel a session that has not ended'),
    createAdjustRoute(deps),
    createTokenRoute(deps),
    ...createLogRoutes(deps),
    createTimeRoute(deps),
  ]
}

function createCreateRoute(deps: SessionRoutesDeps): Route {
  return route({
    method: 'POST',
    path: '/v1/sessions',
    summary: 'Create a session',
    scopes: ['sessions:write'],
    body: createSessionSchema,
    bodyBytesMax: CREATE_BYTES_MAX,
    eTag: 'told',
    response: dataOf(sessionSchema),
    status: 201,
    handle: async (request) => {
      const { ctx, body, principal } = request
      refuseTokens(principal)
      await deps.limits.create(request)
      const { actor, operationId } = optionsOf(deps, request, undefined)
      const sessionId = body.session_id ?? sessionIdOf(request) ?? createId(deps.env.clock.wallMs())
      const wish = toNewSession(body, { tenantId: principal.tenantId, sessionId })
      const { session, isRepeated } = await tellingConflicts(deps, request, () =>
        deps.service.create(ctx, wish, { actor, operationId }),
      )
      const location = { Location: `/v1/sessions/${sessionId}` }
      const answer = answerOf(deps, session, isRepeated)
      return { ...answer, headers: { ...answer.headers, ...location } }
    },
  })
}

function createReadRoute(deps: SessionRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/sessions/{session_id}',
    summary: 'Read a session',
    scopes: ['sessions:read'],
    eTag: 'told',
    params: sessionParams,
    response: dataOf(sessionSchema),
    handle: async (request) => {
      const ref = permitReading(request.principal, request.params.session_id)
      await deps.limits.read(request)
      return answerOf(deps, await deps.service.read(request.ctx, ref))
    },
  })
}

function createDeleteRoute({ service, limits }: SessionRoutesDeps): Route {
  return route({
    method: 'DELETE',
    path: '/v1/sessions/{session_id}',
    summary: 'Delete a session; its log is kept until its retention ends',
    scopes: ['sessions:write'],
    params: sessionParams,
    response: z.null(),
    status: 204,
    handle: async (request) => {
      const ref = permitDriving(request.principal, request.params.session_id)
      await limits.command(request, ref.sessionId)
      await service.remove(request.ctx, ref)
      return { body: null }
    },
  })
}

type CommandRequest = AnyRequest & { readonly params: { readonly session_id: string } }

/** A command, or how to find it in the session: those that name participants, which is not a participant's to do. */
type Wish = Command | ((view: SessionView) => Command)

async function runCommand(
  deps: SessionRoutesDeps,
  request: CommandRequest,
  expectedVersion: number | undefined,
  wish: Wish,
): Promise<CommandResult> {
  const { ctx, principal } = request
  const { service, limits } = deps
  const ref = permitReading(principal, request.params.session_id)
  const options = optionsOf(deps, request, expectedVersion)
  if (typeof wish === 'function') permitDriving(principal, ref.sessionId)
  const permitted = typeof wish === 'function' ? wish : permitCommand(principal, wish)
  await limits.command(request, ref.sessionId)
  const command = typeof permitted === 'function' ? permitted(await service.read(ctx, ref)) : permitted
  return tellingConflicts(deps, request, () => service.command(ctx, ref, command, options))
}

function createStartRoute(deps: SessionRoutesDeps): Route {
  return route({
    ...commandShape('start', 'Start a session'),
    eTag: 'matched',
    body: startSessionSchema,
    response: dataOf(sessionSchema),
    handle: async (request) => {
      const { expected_version: version, first_participant_id: firstId } = request.body ?? {}
      const command =
        firstId === undefined
          ? ({ kind: 'start' } as const)
          : (view: SessionView): Command => ({
              kind: 'start',
              first: placeOf(view, firstId, 'body.first_participant_id'),
            })
      const { session, isRepeated } = await runCommand(deps, request, version, command)
      return answerOf(deps, session, isRepeated)
    },
  })
}

function createSwitchRoute(deps: SessionRoutesDeps): Route {
  return route({
    ...commandShape('switch', 'End the turn: the next participant has it'),
    eTag: 'matched',
    body: switchSessionSchema,
    response: dataOf(switchedSessionSchema),
    handle: async (request) => {
      const { expected_version: version, next_participant_id: nextId } = request.body ?? {}
      const command =
        nextId === undefined
          ? ({ kind: 'switch' } as const)
          : (view: SessionView): Command => ({
              kind: 'switch',
              next: placeOf(view, nextId, 'body.next_participant_id'),
            })
      const result = await runCommand(deps, request, version, command)
      return {
        body: { data: toSwitchedWire(result, deps.service.nowMs()) },
        headers: headersOf(result.session, result.isRepeated),
      }
    },
  })
}

function createPlainRoute(
  deps: SessionRoutesDeps,
  kind: 'pause' | 'resume' | 'complete' | 'cancel',
  summary: string,
): Route {
  return route({
    ...commandShape(kind, summary),
    eTag: 'matched',
    body: sessionCommandSchema,
    response: dataOf(sessionSchema),
    handle: async (request) => {
      const { session, isRepeated } = await runCommand(deps, request, request.body?.expected_version, { kind })
      return answerOf(deps, session, isRepeated)
    },
  })
}

function createAdjustRoute(deps: SessionRoutesDeps): Route {
  return route({
    ...commandShape('adjust', "Give a participant's clock time, or take some"),
    eTag: 'matched',
    body: adjustSessionSchema,
    response: dataOf(sessionSchema),
    handle: async (request) => {
      const { expected_version: version, participant_id: participantId, by_ms: byMs, reason } = request.body
      const { session, isRepeated } = await runCommand(deps, request, version, (view) => ({
        kind: 'adjust',
        place: placeOf(view, participantId, 'body.participant_id'),
        byMs,
        reason,
      }))
      return answerOf(deps, session, isRepeated)
    },
  })
}

function createTokenRoute({ service, tokens, limits }: SessionRoutesDeps): Route {
  return route({
    ...commandShape('tokens', 'Make a token for a browser; it ends with its time, or with the session'),
    status: 201,
    body: createSessionTokenSchema,
    response: dataOf(sessionTokenSchema),
    handle: async (request) => {
      const { ctx, principal, params, body } = request
      const { role, participant_id: participantId, ttl_s: ttlS } = body
      refuseTokens(principal)
      const ref = permitReading(principal, params.session_id)
      await limits.read(request)
      const view = await service.read(ctx, ref)
      const participant =
        participantId === undefined
          ? undefined
          : { participantId, place: placeOf(view, participantId, 'body.participant_id') }
      const expiresMs = service.nowMs() + ttlS * 1_000
      return {
        body: {
          data: {
            token: tokens.create({ ref, role, participant, expiresMs }),
            session_id: ref.sessionId,
            role,
            participant_id: participantId ?? null,
            expires_at: toTime(expiresMs),
          },
        },
      }
    },
  })
}

function createTimeRoute({ service }: SessionRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/time',
    summary: 'Read the server’s time; clients of WebSocket probe it more exactly',
    scopes: 'public',
    response: serverTimeSchema,
    handle: () => ({
      body: {
        timestamp_ms: service.nowMs(),
        server_version: SERVER_VERSION,
        drift_tolerance_ms: DRIFT_TOLERANCE_MS,
      },
    }),
  })
}

function commandShape(name: string, summary: string) {
  return {
    method: 'POST',
    path: `/v1/sessions/{session_id}/${name}`,
    summary,
    scopes: ['sessions:write'],
    params: sessionParams,
    bodyBytesMax: COMMAND_BYTES_MAX,
  } as const
}

function answerOf({ service }: RequestDeps, session: SessionView, isRepeated = false) {
  return { body: { data: toSessionWire(session, service.nowMs()) }, headers: headersOf(session, isRepeated) }
}

function headersOf(session: SessionView, isRepeated: boolean): Record<string, string> {
  return { ETag: toETag(session), ...(isRepeated ? { 'Idempotency-Replayed': 'true' } : {}) }
}
