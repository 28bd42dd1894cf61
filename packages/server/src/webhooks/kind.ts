// Webhooks as a kind of delivery: what the engine sends, and to whom. It decides nothing about when.
// Sending is the hot path: what an endpoint needs for it (its address taken apart, its keys) is kept from one delivery to the next.
// Invariants:
//   WK7. An endpoint that answers 410, or `goneAfterMissing` times in a row that nobody is there, gets nothing more until it is resumed or
//        probed; what was meant for it is kept.
//   WK8. While a parked endpoint is probed one delivery at a time goes out; a failure parks it again at once, a success resumes it.

import { type Ctx, type Env, isRipstopError, RipstopError } from '@ripstop/kernel'
import type { Answer, DeliveryKind, Settled, Target } from '#delivery'
import { type EventBody, readBodies } from '#events'
import type { Destination, Egress, EgressRequest } from '#platform/egress'
import type { Part } from '#platform/postgres'
import { type Judged, judgeAnswer, judgeFailure, type Presence } from './answer.ts'
import { Backlogs } from './backlog.ts'
import type { EndpointCache, LiveEndpoint } from './cache.ts'
import type { Db } from './db.ts'
import { toTarget } from './endpoint.ts'
import { HealthBook } from './health.ts'
import { healthParts } from './health-store.ts'
import { ANSWER_BYTES_MAX } from './limits.ts'
import type { Signer, Signers } from './signers.ts'
import { headersOf, readReceipt, signatureOf } from './signing.ts'

/** What attempts say about the state of an endpoint. */
export type Finding =
  | { readonly endpointId: string; readonly what: 'gone'; readonly why: string }
  | { readonly endpointId: string; readonly what: 'recovered' | 'still away' }

export interface WebhookKindDeps {
  readonly env: Env
  readonly link: Db
  readonly cache: EndpointCache
  readonly signers: Signers
  readonly egress: Egress
  readonly goneAfterMissing: number
  readonly found: (finding: Finding) => void
  /** Something answered, or nothing did: for the links. */
  readonly heard?: (tenantId: string, presence: Presence, why: string | undefined) => void
}

type Delivery = Settled['delivery']

interface Notes {
  readonly presence: Presence
  readonly isProbe: boolean
}

const REASON_MAX = 300
const destinations = new WeakMap<LiveEndpoint, Destination>()

export function createWebhookKind(deps: WebhookKindDeps): DeliveryKind<EventBody> {
  const { cache, signers, link } = deps
  const book = new HealthBook()
  const backlogs = new Backlogs({ cache, link })
  return {
    name: 'webhook',
    targets: async (ctx, targetIds) => {
      await cache.load(ctx, targetIds)
      const lives = targetIds.map((id) => cache.endpoint(id)).filter((live) => live !== undefined)
      // Beside it: a target is known even where its keys can't be read now.
      await signers.prefetch(ctx, lives).catch(() => undefined)
      return targetsOf(cache, targetIds)
    },
    load: (ctx, messageIds) => readBodies(link, ctx, messageIds),
    send: (ctx, delivery, message) => send(deps, ctx, delivery, message),
    settle: (batch) => settle(deps, book, batch),
    backlog: (ctx, undone) => backlogs.told(ctx, undone),
  }
}

/** Those that the cache knows. */
export function targetsOf(cache: EndpointCache, targetIds: readonly string[]): ReadonlyMap<string, Target> {
  const lives = targetIds.map((id) => cache.endpoint(id)).filter((live) => live !== undefined)
  return new Map(lives.map((live) => [live.endpoint.endpointId, toTarget(live.endpoint, live.isHeld)]))
}

async function send(deps: WebhookKindDeps, ctx: Ctx, delivery: Delivery, message: EventBody): Promise<Answer> {
  const { clock } = deps.env
  const startedMonoMs = clock.monoMs()
  const live = deps.cache.endpoint(delivery.targetId)
  const judged = await sendTo(deps, ctx, live, delivery, message)
  const { answer, presence } = judged
  const isProbe = live?.endpoint.isProbing === true
  const isBack = answer.outcome === 'delivered'
  const notes: Notes = { presence, isProbe }
  const next = isProbe && !isBack ? { next: 'park' as const } : {}
  return { ...answer, ...next, durationMs: clock.monoMs() - startedMonoMs, notes }
}

async function sendTo(
  deps: WebhookKindDeps,
  ctx: Ctx,
  live: LiveEndpoint | undefined,
  delivery: Delivery,
  message: EventBody,
): Promise<Judged> {
  const { env, egress, heard } = deps
  const { clock } = env
  let ready: Ready
  try {
    ready = await prepare(deps, ctx, live, delivery, message)
  } catch (error) {
    // Whatever it was, nothing went out.
    const { code, message } = ripstopErrorOf(error)
    return { answer: { outcome: 'failed', code, reason: message.slice(0, REASON_MAX) }, presence: 'unclear' }
  }
  try {
    const seen = await egress.request(ctx, ready.request)
    heard?.(delivery.tenantId, 'there', undefined)
    const judged = judgeAnswer(seen, clock.wallMs())
    const receipt = readReceipt(seen.headers['webhook-receipt'], ready.signer.keys, delivery.messageId)
    return receipt === undefined ? judged : { ...judged, answer: { ...judged.answer, receipt } }
  } catch (error) {
    const judged = judgeFailure(ripstopErrorOf(error), clock.wallMs())
    heard?.(delivery.tenantId, judged.presence, judged.answer.reason)
    return judged
  }
}

function ripstopErrorOf(error: unknown): RipstopError {
  return isRipstopError(error) ? error : new RipstopError('INTERNAL', 'a defect of ours', { cause: error })
}

interface Ready {
  readonly signer: Signer
  readonly request: EgressRequest
}

/** Throws what the database's link throws, SEAL_BROKEN and EGRESS_REFUSED. */
async function prepare(
  { env, egress, signers }: WebhookKindDeps,
  ctx: Ctx,
  live: LiveEndpoint | undefined,
  delivery: Delivery,
  message: EventBody,
): Promise<Ready> {
  // It left the memory in this moment; the engine asks for its target again.
  if (live === undefined) throw new RipstopError('NOT_FOUND', 'its endpoint is not known')
  const signer = signers.known(live) ?? (await signers.get(ctx, live))
  const headers = createHeaders(signer, delivery, message, env.clock.wallMs())
  const url = destinationOf(egress, live)
  return { signer, request: { url, method: 'POST', headers, body: message.body, answerBytesMax: ANSWER_BYTES_MAX } }
}

/** Throws SEAL_BROKEN where no secret signs: what is not signed is not sent. */
function createHeaders(signer: Signer, delivery: Delivery, message: EventBody, wallMs: number) {
  const { messageId, attempt } = delivery
  const signed = { messageId, timestamp: Math.floor(wallMs / 1_000), body: message.body }
  const signature = signatureOf(signer.keys, signed, wallMs)
  if (signature === undefined) throw new RipstopError('SEAL_BROKEN', 'no secret of it signs')
  return { ...signer.headers, ...headersOf({ ...signed, attempt, signature }) }
}

/** Throws EGRESS_REFUSED: what was allowed when it was given may not be so now. */
function destinationOf(egress: Egress, live: LiveEndpoint): Destination {
  const known = destinations.get(live)
  if (known !== undefined) return known
  const made = egress.prepare(egress.checkUrl(live.endpoint.url))
  destinations.set(live, made)
  return made
}

function settle(
  { cache, env, found, goneAfterMissing }: WebhookKindDeps,
  book: HealthBook,
  batch: readonly Settled[],
): readonly Part[] {
  const touched = new Set<string>()
  const findings: Finding[] = []
  for (const settled of batch) {
    const { targetId } = settled.delivery
    const notes = settled.answer.notes as Notes | undefined
    const live = cache.endpoint(targetId)
    // Without notes nothing was sent: it says nothing about the endpoint.
    if (notes === undefined || live === undefined) continue
    touched.add(targetId)
    const { health } = live.endpoint
    const before = { isFailing: health.failingSinceWallMs !== undefined, missingInARow: health.missingInARow }
    const missing = book.record(settled, notes.presence, before)
    const finding = findingOf(targetId, settled.answer, notes, missing >= goneAfterMissing ? missing : undefined)
    if (finding === undefined) continue
    // The engine holds its target back for a second; this lasts until the database knows.
    if (finding.what !== 'recovered') live.isHeld = true
    findings.push(finding)
  }
  const parts = healthParts(book.take(touched, env.clock.monoMs()))
  for (const finding of findings) {
    book.forget(finding.endpointId)
    found(finding)
  }
  return parts
}

function findingOf(
  endpointId: string,
  answer: Answer,
  notes: Notes,
  /** So often in a row nobody was there; undefined: not too often. */
  missing: number | undefined,
): Finding | undefined {
  if (notes.isProbe) return { endpointId, what: answer.outcome === 'delivered' ? 'recovered' : 'still away' }
  if (notes.presence === 'gone') return { endpointId, what: 'gone', why: 'it answered 410' }
  if (notes.presence !== 'missing' || missing === undefined) return undefined
  const why = answer.status === 404 ? 'it answered 404' : 'its name does not exist'
  return { endpointId, what: 'gone', why: `${why}, ${missing} times in a row` }
}
