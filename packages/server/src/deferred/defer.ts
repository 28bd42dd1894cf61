// Storing a request that is to be sent later, for the gateway. The request, its delivery and the claim of its Idempotency-Key are
// one statement. Its headers are sealed: any of them may be a credential.
// How much waits is bounded by the rate of the routes and the retry schedule, which ends after an hour and a quarter.
// Invariants:
//   DF4. A request that is stored has its delivery, and its key if it came with one; a repetition of it stores nothing.
//   DF5. No header of a stored request can be read in the database.

import { createHash } from 'node:crypto'
import { type Ctx, createId, hasCode, isRipstopError, type Link, RipstopError, type Sent } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import '@ripstop/protocol' // registers the codes of the edge
import type { SealedFor, Sealer } from '#platform/sealing'
import { keptHeaders, targetIdOf } from './deferral.ts'
import { type Claim, insertRequest } from './store.ts'

/** As the gateway gives it. */
export interface RequestToDefer {
  readonly tenantId: string
  readonly upstream: string
  readonly method: string
  readonly path: string
  /** Names and values by turns. */
  readonly headers: readonly string[]
  readonly body: Buffer | undefined
  readonly repeatable: 'by method' | 'by key' | 'no'
  readonly deadlineMs: number
  readonly idempotencyKey: string | undefined
}

export interface DeferDeps {
  readonly link: Link<PostgresPool>
  readonly sealer: Sealer
}

/** Somebody waits for the 202. */
const STORE_MS = 3_000
export const LANES = 4

/**
 * Stores it, once for each key. Throws NOT_READY if it is not known to be stored (`sent` says whether it may be),
 * IDEMPOTENCY_KEY_REUSED, CANCELLED.
 */
export function createDefer({ link, sealer }: DeferDeps) {
  return async (
    ctx: Ctx,
    request: RequestToDefer,
  ): Promise<{ readonly requestId: string; readonly isReplayed: boolean }> => {
    const { tenantId, upstream, method, path, body, repeatable, deadlineMs, idempotencyKey } = request
    const requestId = createId(ctx.env.clock.wallMs())
    // A repeated request must be recognized by the upstream, so it never goes without a key.
    const key = repeatable === 'by key' && idempotencyKey === undefined ? requestId : undefined
    const headers = keptHeaders(request.headers, key)
    const sealedHeaders = sealer.seal(Buffer.from(JSON.stringify(headers)), sealedFor(tenantId, requestId))
    const isRepeatable = repeatable !== 'no'
    const bytes = (body?.length ?? 0) + sealedHeaders.length
    const delivery = {
      tenantId,
      kind: 'deferred',
      targetId: targetIdOf(upstream),
      messageId: requestId,
      bytes,
    } as const
    using limit = ctx.within(STORE_MS)
    try {
      const { response, replayed } = await insertRequest(
        link,
        limit,
        { requestId, tenantId, upstream, method, path, sealedHeaders, body, isRepeatable, deadlineMs },
        { ...delivery, key: undefined, lanes: LANES, isOrdered: false },
        idempotencyKey === undefined ? undefined : claimOf(idempotencyKey, request),
      )
      return { requestId: response.request_id, isReplayed: replayed }
    } catch (error) {
      throw notStored(error)
    }
  }
}

export function sealedFor(tenantId: string, requestId: string): SealedFor {
  return { tenantId, purpose: `deferred-headers:${requestId}` }
}

function claimOf(key: string, { method, upstream, path, body }: RequestToDefer): Claim {
  const hash = createHash('sha256').update(`deferred ${method} ${upstream} ${path}\n`)
  return { key, requestSha256: (body === undefined ? hash : hash.update(body)).digest() }
}

const NO_TABLE = '42P01'

/** Not as the failure of the upstream that the gateway would take it for. */
function notStored(error: unknown): unknown {
  if (hasCode(error, 'IDEMPOTENCY_KEY_REUSED') || hasCode(error, 'CANCELLED')) return error
  if (isRipstopError(error)) return notReady(error.message, error.sent ?? 'maybe', error, error.retryAfterMs)
  const isEarly = error instanceof Error && 'code' in error && error.code === NO_TABLE
  return isEarly ? notReady('the database is being prepared', 'no', error) : error
}

function notReady(why: string, sent: Sent, cause: unknown, retryAfterMs = 1_000): RipstopError {
  const message = `the request could not be stored to be answered later: ${why}`
  return new RipstopError('NOT_READY', message, { cause, sent, retryAfterMs, details: { missing: ['postgres.main'] } })
}
