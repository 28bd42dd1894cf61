// Receiving. From a provider's request to an event: find the source, check the signature, only then read the body, publish, answer.
// The order is what makes a stranger's request cheap: a hash of what they sent, and nothing else.
// Invariants:
//   IB3. An answer of success follows the commit of the event that it names; the same request again is a `duplicate`, and nothing more is published.
//   IB4. Of a source at most `perSecond` requests are looked at, and of sources that nobody knows as many together; the body of a
//        request that nobody signed is not read.

import { type Ctx, type Env, type Metrics, RipstopError, TokenBucket } from '@ripstop/kernel'
import type { Publish, PublishResult } from '#events'
import type { RouteRequest } from '#platform/http'
import { type InboundEvent, readBody, toEvent } from './inbound-event.ts'
import { RULES } from './scheme.ts'
import type { KnownSource, SourceCache } from './source-cache.ts'
import { verifySignature } from './verifying.ts'

export interface ReceivingDeps {
  readonly env: Env
  readonly metrics: Metrics
  readonly publish: Publish
  readonly sources: SourceCache
  /** Remembers, now and then, that something came. */
  readonly touch: (ctx: Ctx, sourceId: string) => Promise<void>
  /** Requests a second of sources that nobody knows, together; twice as many at once. */
  readonly perSecond: number
}

export type Received =
  | { readonly outcome: 'published' | 'duplicate'; readonly eventId: string; readonly isReplayed: boolean }
  | { readonly outcome: 'challenge'; readonly challenge: string }

type Incoming = Pick<RouteRequest<unknown, unknown, unknown>, 'ctx' | 'traceId' | 'idempotency'> & {
  readonly raw: NonNullable<RouteRequest<unknown, unknown, unknown>['raw']>
}

const TOUCH_MS = 60_000

/** Throws NOT_FOUND, RATE_LIMITED, SIGNATURE_INVALID, TIMESTAMP_REFUSED, BAD_REQUEST, what publishing refuses and what links throw. */
export function createReceiver(deps: ReceivingDeps): (sourceId: string, request: Incoming) => Promise<Received> {
  const { env, metrics, perSecond } = deps
  const strangers = new TokenBucket({ perSecond, burst: 2 * perSecond }, env.clock.monoMs())
  const count = (scheme: string, outcome: string): void =>
    metrics
      .counter('inbound_requests_total', 'Inbound webhooks by scheme and what came of them', { scheme, outcome })
      .add(1)

  const findSource = async (ctx: Ctx, sourceId: string): Promise<KnownSource> => {
    const known = deps.sources.peek(sourceId)
    if (known === undefined) take(strangers, env)
    const source = await deps.sources.find(ctx, sourceId)
    if (source === undefined) throw new RipstopError('NOT_FOUND', 'there is no such inbound source')
    take(source.state.bucket, env)
    return source
  }

  return async (sourceId, request) => {
    let scheme = 'unknown'
    try {
      const source = await findSource(request.ctx, sourceId)
      scheme = source.scheme
      const received = await receive(deps, source, request)
      count(scheme, received.outcome)
      return received
    } catch (error) {
      count(scheme, error instanceof RipstopError ? error.code : 'INTERNAL')
      throw error
    }
  }
}

function take(bucket: TokenBucket, env: Env): void {
  const waitMs = bucket.take(env.clock.monoMs())
  if (waitMs === 0) return
  throw new RipstopError('RATE_LIMITED', 'too many inbound requests', { retryAfterMs: Math.ceil(waitMs) })
}

async function receive(deps: ReceivingDeps, source: KnownSource, request: Incoming): Promise<Received> {
  const { raw, ctx, traceId, idempotency } = request
  const { headers, bytes } = raw
  const rules = RULES[source.scheme]
  verifySignature(source.secrets, rules.readClaim(headers), bytes, deps.env.clock.wallMs())
  const body = readBody(headers['content-type'], raw)
  const challenge = source.scheme === 'slack' ? challengeOf(body) : undefined
  if (challenge !== undefined) return { outcome: 'challenge', challenge }
  const event = toEvent(source, headers, body)
  const { tenantId, name } = source
  const published = await deps.publish(ctx, { tenantId, actor: `inbound:${name}` }, [event], { traceId, idempotency })
  const { outcome, eventId } = successOf(published.results[0], event)
  const nowMs = deps.env.clock.monoMs()
  if (nowMs - source.state.touchedMs >= TOUCH_MS) {
    source.state.touchedMs = nowMs
    await deps.touch(ctx, source.sourceId).catch(() => {}) // only shown to people, and the event is committed
  }
  return { outcome, eventId, isReplayed: published.replayed }
}

function successOf(result: PublishResult | undefined, event: InboundEvent) {
  if (result === undefined) throw new RipstopError('INTERNAL', `nothing came of the event ${event.type}`)
  if (result.outcome !== 'refused') return result
  throw new RipstopError(result.code, result.message, { details: result.details })
}

/** Slack asks once whether this address is its app's. */
function challengeOf(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { type, challenge } = body as { type?: unknown; challenge?: unknown }
  return type === 'url_verification' && typeof challenge === 'string' ? challenge.slice(0, 1_000) : undefined
}
