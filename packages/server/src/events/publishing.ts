// Publishing. What a publisher gives is read, checked by its type and built once, item by item; what is fine goes through the queue into one
// statement; each item gets its own answer. Routes, library callers and inbound webhooks come through here; the outbox has its own loop around the
// same reading and the same statement.
// Invariants:
//   EV11. Every answer that says `published` or `duplicate` follows the commit of the event that it names.
//   EV12. Items don't touch each other: each is published, a duplicate or refused for itself, in its own place.
//   EV13. A request repeated under one Idempotency-Key publishes nothing more and gets the answer of the first.

import { setImmediate } from 'node:timers/promises'
import {
  type Code,
  type Counter,
  type Ctx,
  type Env,
  isRipstopError,
  type Metrics,
  RipstopError,
} from '@ripstop/kernel'
import type { IdempotencyKey } from '#platform/http'
import {
  type BatchDeps,
  type Entry,
  movedTooOften,
  type Publisher,
  planEntries,
  refusalOf,
  settleWritten,
} from './batch.ts'
import { createEvent, type Draft, EVENT_BYTES_DEFAULT, invalid, readDraft } from './event.ts'
import { EventIds } from './event-ids.ts'
import { BATCH_EVENTS_MAX, PublishQueue } from './publish-queue.ts'
import { findWritten, insertEventsOnce } from './store.ts'
import type { KnownType, TypesCache } from './types-cache.ts'

/** Reading and building 1,000 events takes some 30 ms: others get their turn in between. */
const CHUNK = 100
const ROUNDS_MAX = 5

/** What came of one item. */
export type PublishResult =
  | { readonly outcome: 'published' | 'duplicate'; readonly eventId: string }
  | {
      readonly outcome: 'refused'
      readonly code: Code
      readonly message: string
      readonly details: Readonly<Record<string, unknown>>
      readonly retryAfterMs?: number
    }

export interface PublishOptions {
  readonly traceId?: string
  readonly idempotency?: IdempotencyKey | undefined
}

export interface Published {
  /** By the places of the items. */
  readonly results: readonly PublishResult[]
  readonly replayed: boolean
}

/**
 * Publishes up to 1,000 events, each as in CloudEvents JSON. Throws what the link throws, OVERLOADED, IDEMPOTENCY_KEY_REUSED, and BAD_REQUEST
 * for too many; then `sent` says whether some may have been published. Repeating it is safe for events that have an `id`.
 */
export type Publish = (
  ctx: Ctx,
  by: { readonly tenantId: string; readonly actor: string },
  events: readonly unknown[],
  options?: PublishOptions,
) => Promise<Published>

export interface PublishingDeps extends BatchDeps {
  readonly env: Env
  readonly metrics: Metrics
  readonly types: TypesCache
  /** Of such a tenant an event whose type is not registered is refused. */
  readonly isStrict: (tenantId: string) => boolean
  /** Of an event as it is stored and sent [262,144]. */
  readonly eventBytesMax?: number | undefined
}

export interface Publishing extends AsyncDisposable {
  readonly publish: Publish
}

export function createPublishing(deps: PublishingDeps): Publishing {
  const { env, metrics } = deps
  const queue = new PublishQueue(env, deps)
  const reader = createEventReader(deps)
  const counters = createCounters(metrics, 'api')
  const count = (results: readonly PublishResult[]): void => {
    for (const { outcome } of results) counters[outcome].add(1)
  }
  const waiting = metrics.gauge('events_waiting', 'Events that wait for a publishing statement')
  metrics.collect(() => waiting.set(queue.waitingEvents))
  return {
    publish: async (ctx, by, inputs, { traceId, idempotency } = {}) => {
      if (inputs.length > BATCH_EVENTS_MAX)
        throw new RipstopError('BAD_REQUEST', `at most ${BATCH_EVENTS_MAX} events can be published at once`)
      const publisher: Publisher = { tenantId: by.tenantId, actor: by.actor, traceId }
      const items = await reader.read(ctx, publisher, inputs)
      const entries = items.filter(isEntry)
      if (idempotency !== undefined && entries.length > 0) {
        const published = await publishOnce(deps, ctx, publisher, items, idempotency)
        if (!published.replayed) count(published.results)
        return published
      }
      if (entries.length > 0) await queue.submit(ctx, entries)
      const results = items.map(resultOf)
      count(results)
      return { results, replayed: false }
    },
    [Symbol.asyncDispose]: () => queue[Symbol.asyncDispose](),
  }
}

/** An item that was read: on its way, or refused. */
export type Item = Entry | RipstopError

export function isEntry(item: Item): item is Entry {
  return 'event' in item
}

export interface EventReader {
  /** `wallMs`: when they happened, by place, if they don't say. */
  readonly read: (
    ctx: Ctx,
    publisher: Publisher,
    inputs: readonly unknown[],
    wallMs?: (place: number) => number,
  ) => Promise<readonly Item[]>
}

/** Reads, checks and builds. Throws what the link throws where types have to be looked up. */
export function createEventReader({
  env,
  types,
  isStrict,
  eventBytesMax: bytesMax = EVENT_BYTES_DEFAULT,
}: Pick<PublishingDeps, 'env' | 'types' | 'isStrict' | 'eventBytesMax'>): EventReader {
  const ids = new EventIds()
  return {
    read: async (ctx, publisher, inputs, wallMs) => {
      const drafts: (Draft | RipstopError)[] = []
      for (const input of inputs) {
        drafts.push(readDraft(input))
        if (drafts.length % CHUNK === 0) await setImmediate()
      }
      const names = new Set(drafts.flatMap((draft) => (isRipstopError(draft) ? [] : [draft.type])))
      const known = await types.load(ctx, publisher.tenantId, names)
      const items: Item[] = []
      for (const [place, draft] of drafts.entries()) {
        const nowMs = env.clock.wallMs()
        items.push(
          isRipstopError(draft)
            ? draft
            : toItem(draft, known.get(draft.type), publisher, ids.next(nowMs), wallMs?.(place) ?? nowMs),
        )
        if (items.length % CHUNK === 0) await setImmediate()
      }
      return items
    },
  }

  function toItem(
    draft: Draft,
    type: KnownType | undefined,
    publisher: Publisher,
    eventId: string,
    wallMs: number,
  ): Item {
    const { tenantId } = publisher
    // What the mesh tells of itself has no types that a tenant could register.
    const isOwn = draft.type.startsWith('ripstop.')
    if (type?.version === undefined && !isOwn && isStrict(tenantId))
      return new RipstopError('EVENT_TYPE_UNKNOWN', `${draft.type} is not registered, which this tenant demands`)
    const problem = type?.validate?.(draft.data ?? null)
    if (problem !== undefined) return invalid([problem])
    const event = createEvent(draft, { eventId, tenantId, typeVersion: type?.version, wallMs, bytesMax })
    return isRipstopError(event) ? event : { event, publisher, outcome: undefined }
  }
}

function resultOf(item: Item): PublishResult {
  if (!isEntry(item)) return toRefused(item)
  const { outcome } = item
  if (outcome === undefined) throw new RipstopError('INTERNAL', 'an event came out of its batch without an outcome')
  return outcome.outcome === 'refused' ? toRefused(outcome.error) : outcome
}

function toRefused({ code, message, details, retryAfterMs }: RipstopError): PublishResult {
  return { outcome: 'refused', code, message, details, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
}

export type EventCounters = Readonly<Record<PublishResult['outcome'], Counter>>

export function createCounters(metrics: Metrics, via: 'api' | 'outbox'): EventCounters {
  const of = (outcome: string): Counter =>
    metrics.counter('events_total', 'Events that came, by what came of them', { via, outcome })
  return { published: of('published'), duplicate: of('duplicate'), refused: of('refused') }
}

// Under an Idempotency-Key

/** What is kept with the key: enough to give the same answer again. */
type Recorded =
  | { readonly event_id: string; readonly source: string; readonly id: string }
  | Omit<Extract<PublishResult, { outcome: 'refused' }>, 'outcome'>

/**
 * In a statement of its own, for the claim is of one request. Which events are duplicates is known only after the statement, and so is not kept:
 * a repetition finds it out in the same way.
 */
async function publishOnce(
  { link, consumers }: BatchDeps,
  ctx: Ctx,
  { tenantId }: Publisher,
  items: readonly Item[],
  idempotency: IdempotencyKey,
): Promise<Published> {
  let open = items.filter(isEntry)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const { entries, publication } = await planEntries(consumers, ctx, open)
    if (entries.length === 0) return { results: items.map(resultOf), replayed: false }
    const response = items.map(toRecorded)
    const once = { tenantId, idempotency, response }
    const done = await insertEventsOnce<readonly Recorded[]>(link, ctx, publication, once).catch((error) => {
      throw refusalOf(error) ?? error // one claim, one statement: it can't be halved
    })
    if (done !== undefined) {
      const results = await toResults(link, ctx, tenantId, done.response)
      return { results, replayed: done.replayed }
    }
    // All of them were there before, or a plan has to be made anew.
    open = [...(await settleWritten(link, ctx, entries))]
    if (open.length === 0) return { results: items.map(resultOf), replayed: false }
  }
  throw movedTooOften()
}

function toRecorded(item: Item): Recorded {
  if (!isEntry(item)) return { code: item.code, message: item.message, details: item.details }
  if (item.outcome?.outcome === 'refused') return toRecorded(item.outcome.error)
  const { eventId, source, id } = item.event
  return { event_id: eventId, source, id }
}

async function toResults(
  link: BatchDeps['link'],
  ctx: Ctx,
  tenantId: string,
  recorded: readonly Recorded[],
): Promise<readonly PublishResult[]> {
  const named = recorded.flatMap((one) => ('event_id' in one && one.id !== one.event_id ? [one] : []))
  const asked = named.map(({ event_id: eventId, source, id }) => ({ eventId, tenantId, source, id }))
  const found = asked.length === 0 ? [] : await findWritten(link, ctx, asked)
  const there = new Map(named.map((one, place) => [one, found[place] ?? one.event_id]))
  return recorded.map((one): PublishResult => {
    if (!('event_id' in one)) return { outcome: 'refused', ...one }
    const eventId = there.get(one) ?? one.event_id
    return { outcome: eventId === one.event_id ? 'published' : 'duplicate', eventId }
  })
}
