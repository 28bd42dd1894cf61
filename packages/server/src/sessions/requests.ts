// What every request about a session has in common: who sent it and when, what it expects, and that it is done once.

import { createHash } from 'node:crypto'
import { type Env, hasCode, RipstopError } from '@ripstop/kernel'
import { z } from 'zod'
import type { RouteRequest } from '#platform/http'
import type { CommandOptions, SessionService, SessionView } from './service.ts'
import { toETag, toSessionWire } from './wire.ts'

export interface RequestDeps {
  readonly env: Env
  readonly service: SessionService
}

export const sessionParams = z.strictObject({ session_id: z.uuid().toLowerCase() })

export type AnyRequest = Omit<RouteRequest<unknown, unknown, unknown>, 'body' | 'query' | 'params'>

/** Throws BAD_REQUEST. */
export function optionsOf(
  { env, service }: RequestDeps,
  request: AnyRequest,
  expectedVersion: number | undefined,
): CommandOptions {
  const ageMs = env.clock.monoMs() - request.receivedMonoMs
  return {
    receivedMs: Math.floor(service.exactMs() - ageMs),
    actor: request.principal.actor,
    operationId: operationIdOf(request),
    expected: expectedOf(request.ifMatch, expectedVersion),
  }
}

/**
 * The Idempotency-Key, bound to who sent it and to the request: the same key with another one is another operation. That it was used before cannot
 * be told: what a session keeps of an operation is its id.
 */
function operationIdOf(request: AnyRequest): string | undefined {
  const hash = hashOf(request)
  return hash === undefined ? undefined : `http:${hash.subarray(0, 18).toString('base64url')}`
}

/** The id of a session that is created without one: the same for a repetition (UUID version 8, RFC 9562). */
export function sessionIdOf(request: AnyRequest): string | undefined {
  const bytes = hashOf(request)
  if (bytes === undefined) return undefined
  bytes[6] = 0x80 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  return bytes.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function hashOf({ idempotency, principal: { tenantId, actor } }: AnyRequest): Buffer | undefined {
  if (idempotency === undefined) return undefined
  const { key, requestSha256 } = idempotency
  return createHash('sha256')
    .update(JSON.stringify([tenantId, actor, key]))
    .update(requestSha256)
    .digest()
}

const E_TAG = /^(?:W\/)?"(\d{1,15})\.(\d{1,9})"$/

function expectedOf(ifMatch: string | undefined, version: number | undefined): CommandOptions['expected'] {
  if (ifMatch === undefined || ifMatch === '*') return version === undefined ? undefined : { epoch: undefined, version }
  const [, epoch, matched] = E_TAG.exec(ifMatch) ?? []
  if (epoch === undefined || matched === undefined) throw badField('header.if-match', 'must be one ETag of a session')
  if (version !== undefined) throw badField('body.expected_version', 'is said by If-Match, too')
  return { epoch: Number(epoch), version: Number(matched) }
}

export function badField(field: string, problem: string): RipstopError {
  return new RipstopError('BAD_REQUEST', `${field} ${problem}`, { details: { problems: [{ field, problem }] } })
}

/** Where a participant stands. Throws BAD_REQUEST. */
export function placeOf({ state }: SessionView, participantId: string, field: string): number {
  const place = state.rules.participants.findIndex((participant) => participant.participantId === participantId)
  if (place === -1) throw badField(field, 'is no participant of this session')
  return place
}

/** Runs it; a CONFLICT is told with the present state as the API shows it. */
export async function tellingConflicts<T>(
  { service }: RequestDeps,
  { setHeader }: AnyRequest,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (!hasCode(error, 'CONFLICT')) throw error
    const { current } = error.details as { readonly current?: SessionView }
    if (current === undefined) throw error
    setHeader('ETag', toETag(current))
    const details = { current: toSessionWire(current, service.nowMs()) }
    throw new RipstopError('CONFLICT', error.message, { cause: error, details, sent: 'no' })
  }
}
