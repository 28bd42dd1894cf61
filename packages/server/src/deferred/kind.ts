// Deferred requests as a kind of delivery. The engine says when; here is where to, what is sent, and what is recorded of it.
// A request that must not be repeated is marked as being sent before its first byte goes out, by a statement of its own: whoever takes
// over from a process that died finds the mark, and tells that nobody knows instead of sending it again. Without the mark, all that
// a dead process had in its lanes would have to be called unknown.
// Invariants:
//   DF7. A request that must not be repeated goes out at most once, whatever dies, freezes or takes over.
//   DF8. What became of an attempt is recorded with its settling, or not at all; `done` has the answer with it.
//   DF9. An upstream that this process does not know keeps its requests waiting: another process may know it, or a later one.

import { type Ctx, createId, type Env, isRipstopError, type Link, RipstopError } from '@ripstop/kernel'
import type { HttpPool } from '@ripstop/kernel/http'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Answer, DeliveryKind, Target } from '#delivery'
import type { Sealer } from '#platform/sealing'
import { ask, type UpstreamAnswer } from './asking.ts'
import { LANES, sealedFor } from './defer.ts'
import { judgeAnswer, judgeFailure, RETRY_SCHEDULE_MS, safeHeaders, targetIdOf } from './deferral.ts'
import { claimSending, loadRequests, type StoredRequest, settlePart } from './store.ts'

export interface DeferredUpstream {
  readonly name: string
  readonly link: Link<HttpPool>
  /** Of the link. */
  readonly deadlineMs: number
  readonly breaker: Target['breaker']
}

export interface DeferredKindDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly sealer: Sealer
  readonly upstreams: readonly DeferredUpstream[]
  /** What is kept of an answer. */
  readonly responseBytesMax: number
  /** For tests. */
  readonly retryScheduleMs?: readonly number[]
}

export interface DeferredMessage extends Omit<StoredRequest, 'sealedHeaders'> {
  /** Undefined: they can't be opened. */
  readonly headers: string[] | undefined
}

/** Answers of so many may be in memory, and go to the database in one statement. */
const CONCURRENCY = 16
const CLAIM_MS = 2_000
/** Nothing goes there: the engine needs limits all the same. */
const NO_BREAKER: Target['breaker'] = {
  failureRate: 1,
  minimumCalls: 1_000,
  windowMs: 10_000,
  openMs: 1_000,
  openMsMax: 1_000,
  probes: 1,
}

export function createDeferredKind(deps: DeferredKindDeps): DeliveryKind<DeferredMessage> {
  const upstreams = new Map(deps.upstreams.map((upstream) => [upstream.name, upstream]))
  const targets = new Map(deps.upstreams.map((upstream) => [targetIdOf(upstream.name), upstream]))
  return {
    name: 'deferred',
    targets: async (_ctx, targetIds) => new Map(targetIds.map((id) => [id, createTarget(deps, id, targets.get(id))])),
    load: async (ctx, messageIds) => {
      const found = await loadRequests(deps.link, ctx, messageIds)
      return new Map(found.map((request) => [request.requestId, openMessage(deps, request)]))
    },
    send: async (ctx, _delivery, message) => {
      const startedMs = deps.env.clock.monoMs()
      const durationMs = (): number => deps.env.clock.monoMs() - startedMs
      return send(deps, ctx, upstreams.get(message.upstream), message, durationMs)
    },
    settle: (batch) => [settlePart(batch)],
  }
}

function createTarget(deps: DeferredKindDeps, targetId: string, upstream: DeferredUpstream | undefined): Target {
  return {
    targetId,
    tenantId: '', // of all of them: every delivery names its own
    state: upstream === undefined ? 'parked' : 'active',
    isOrdered: false,
    lanes: LANES,
    concurrency: CONCURRENCY,
    ratePerSecond: undefined, // the link has the upstream's
    deadlineMs: (upstream?.deadlineMs ?? 0) + CLAIM_MS,
    retryScheduleMs: deps.retryScheduleMs ?? RETRY_SCHEDULE_MS,
    breaker: upstream?.breaker ?? NO_BREAKER,
  }
}

/** One that does not open must not hold up the others that are loaded with it. */
function openMessage({ sealer }: DeferredKindDeps, { sealedHeaders, ...request }: StoredRequest): DeferredMessage {
  try {
    const plain = sealer.open(sealedHeaders, sealedFor(request.tenantId, request.requestId))
    return { ...request, headers: JSON.parse(plain.toString()) as string[] }
  } catch {
    return { ...request, headers: undefined } // said by send
  }
}

async function send(
  deps: DeferredKindDeps,
  ctx: Ctx,
  upstream: DeferredUpstream | undefined,
  message: DeferredMessage,
  durationMs: () => number,
): Promise<Answer> {
  const { headers, isRepeatable, method, path, body } = message
  if (headers === undefined) return failed('SEAL_BROKEN', 'its headers can not be opened', 'never', durationMs())
  if (upstream === undefined) return failed('NOT_FOUND', 'this process knows no such upstream', 'park', durationMs())
  if (!isRepeatable) {
    const refused = await claim(deps, ctx, message.requestId, durationMs)
    if (refused !== undefined) return refused
  }
  try {
    const answer = await upstream.link.call(
      ctx,
      (pool, ctx) => ask(pool, ctx, { method, path, headers, body }, deps.responseBytesMax),
      { idempotent: false, deadlineMs: message.deadlineMs, failed: failureOf }, // the engine repeats, by its schedule
    )
    const kept = { ...answer, headers: safeHeaders(answer.headers) }
    const retryAfter = answer.headers['retry-after']
    return judgeAnswer(kept, typeof retryAfter === 'string' ? retryAfter : undefined, isRepeatable, durationMs())
  } catch (error) {
    const known = isRipstopError(error)
      ? error
      : new RipstopError('INTERNAL', 'the request could not be sent', { cause: error, sent: 'maybe' })
    return judgeFailure(known, isRepeatable, durationMs())
  }
}

/** For the link's breaker. */
function failureOf({ status }: UpstreamAnswer): RipstopError | undefined {
  if (status < 502 || status > 504) return undefined
  return new RipstopError('PEER_FAILED', `the upstream answered ${status}`, { sent: 'maybe' })
}

/** Undefined: it is ours to send. */
async function claim(
  { env, link }: DeferredKindDeps,
  ctx: Ctx,
  requestId: string,
  durationMs: () => number,
): Promise<Answer | undefined> {
  using limit = ctx.within(CLAIM_MS)
  try {
    if (await claimSending(link, limit, requestId, createId(env.clock.wallMs()))) return undefined
  } catch (error) {
    const code = isRipstopError(error) ? error.code : 'INTERNAL'
    return failed(code, 'it could not be marked as being sent, and was not sent', 'later', durationMs())
  }
  const reason = 'a process that is gone may have sent it, and it must not be sent twice'
  return { outcome: 'unknown', code: 'LINK_LOST', reason, durationMs: durationMs(), next: 'never' }
}

function failed(code: string, reason: string, next: 'later' | 'park' | 'never', durationMs: number): Answer {
  return { outcome: 'failed', code, reason, durationMs, next }
}
