// Gathers what `why` needs to know, of one tenant: everything of another one is the same as what does not exist.

import { type Ctx, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { DEFAULT_TENANT_ID } from '#access'
import type { createDeliveryReader } from '#delivery'
import { readBodies } from '#events'
import { createMatch, readEndpoint } from '#webhooks'
import { explainEvent, explainHanded } from './event-explanation.ts'
import { explain } from './explanation.ts'
import { filterValues } from './filter-values.ts'
import type { Endpoint, Event, Explanation, Match } from './situation.ts'
import { findHanded, findNamed } from './store.ts'

const ATTEMPTS_MAX = 20
const RECENT_MAX = 10
const UNDONE_MAX = 10_000

export interface WhyDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly reader: ReturnType<typeof createDeliveryReader>
}

/** Which event: by its id, by the number that the outbox gave, or by what its publisher called it at `source`. */
export interface EventQuestion {
  readonly id: string
  readonly source: string | undefined
  readonly endpointId: string | undefined
}

type View = NonNullable<Awaited<ReturnType<WhyDeps['reader']['readDelivery']>>>

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const NUMBER = /^[0-9]{1,18}$/

const notFound = (what: string) => new RipstopError('NOT_FOUND', `there is no such ${what}`)

/** Throws NOT_FOUND, and what the link throws. */
export async function whyDelivery(deps: WhyDeps, ctx: Ctx, tenantId: string, deliveryId: string): Promise<Explanation> {
  const view = await deps.reader.readDelivery(ctx, tenantId, deliveryId)
  if (view === undefined) throw notFound('delivery')
  const event = await readEvent(deps, ctx, tenantId, view.eventId)
  return explainFor(deps, ctx, tenantId, view.endpointId, event, view)
}

/** Throws NOT_FOUND, BAD_REQUEST for an id of no kind, and what the link throws. */
export async function whyEvent(
  deps: WhyDeps,
  ctx: Ctx,
  tenantId: string,
  question: EventQuestion,
): Promise<Explanation> {
  const { link, env, reader } = deps
  const { id, source, endpointId } = question
  if (source === undefined && NUMBER.test(id)) {
    const handed = await findHanded(link, ctx, tenantId, tenantId === DEFAULT_TENANT_ID, id)
    if (handed === undefined) throw notFound('row of the outbox, or it became an event')
    return explainHanded(handed, env.clock.wallMs())
  }
  const eventId = source === undefined ? id : ((await findNamed(link, ctx, tenantId, source, id)) ?? id)
  if (!UUID.test(eventId)) {
    if (source !== undefined) throw notFound('event')
    const problem =
      'must be the id of an event, a number of the outbox, or with query.source what the publisher called it'
    throw new RipstopError('BAD_REQUEST', `params.event_id ${problem}`, {
      details: { problems: [{ field: 'params.event_id', problem }] },
    })
  }
  const [event, views] = await Promise.all([
    readEvent(deps, ctx, tenantId, eventId),
    reader.listDeliveriesOfEvent(ctx, tenantId, eventId),
  ])
  if (event === undefined && views.length === 0) throw notFound('event')
  if (endpointId !== undefined) {
    const view = views.find((one) => one.endpointId === endpointId)
    return explainFor(deps, ctx, tenantId, endpointId, event, view)
  }
  const parked = await findParked(deps, ctx, tenantId, views)
  return explainEvent({
    eventId,
    type: event?.type,
    publishedWallMs: wallMsOf(eventId),
    name: event?.name,
    deliveries: views.map((view) => ({
      ...view,
      state: view.state === 'waiting' && parked.has(view.endpointId) ? 'parked' : view.state,
    })),
  })
}

async function explainFor(
  deps: WhyDeps,
  ctx: Ctx,
  tenantId: string,
  endpointId: string,
  event: ReadEvent | undefined,
  delivery: View | undefined,
): Promise<Explanation> {
  const { env, link, reader } = deps
  const found = await readEndpoint(link, ctx, tenantId, endpointId)
  if (found === undefined) throw notFound('endpoint')
  const bounds = (limit: number) => ({ after: undefined, limit })
  const [attempts, recent, undone] = await Promise.all([
    delivery === undefined
      ? { lines: [] }
      : reader.listAttempts(ctx, tenantId, { deliveryId: delivery.deliveryId }, bounds(ATTEMPTS_MAX)),
    reader.listAttempts(ctx, tenantId, { endpointId }, bounds(RECENT_MAX)),
    reader.countUndone(ctx, [endpointId], UNDONE_MAX),
  ])
  const toAttempt = (line: (typeof recent.lines)[number]) => ({ ...line, wallMs: wallMsOf(line.attemptId) })
  const match = event === undefined ? undefined : createMatch(found)(event)
  const isFilter = delivery === undefined && (match?.is === 'filtered' || match?.is === 'filter failed')
  return explain({
    nowWallMs: env.clock.wallMs(),
    endpoint: toEndpoint(found),
    event,
    match: match satisfies Match | undefined,
    values: isFilter && event !== undefined ? filterValues(found.filter ?? '', event.parsed) : {},
    delivery,
    attempts: attempts.lines.map(toAttempt),
    recent: recent.lines.map(toAttempt),
    undone: undone.get(endpointId) ?? 0,
  })
}

function toEndpoint(found: NonNullable<Awaited<ReturnType<typeof readEndpoint>>>): Endpoint {
  return { ...found, isOrdered: found.ordering === 'key' }
}

interface ReadEvent extends Event {
  readonly source: string
  readonly subject: string | undefined
  readonly body: Buffer
  readonly parsed: Readonly<Record<string, unknown>>
}

async function readEvent(
  { link }: WhyDeps,
  ctx: Ctx,
  tenantId: string,
  eventId: string,
): Promise<ReadEvent | undefined> {
  const found = (await readBodies(link, ctx, [eventId])).get(eventId)
  if (found === undefined || found.tenantId !== tenantId) return undefined
  const parsed = JSON.parse(found.body.toString('utf8')) as Readonly<Record<string, unknown>>
  const source = String(parsed.source)
  const id = String(parsed.id)
  return {
    eventId,
    type: found.type,
    publishedWallMs: wallMsOf(eventId),
    name: id === eventId ? undefined : { source, id },
    source,
    subject: typeof parsed.subject === 'string' ? parsed.subject : undefined,
    body: found.body,
    parsed,
  }
}

/** Of the endpoints that something waits for, those that are not active; looks at PARKED_MAX of them. */
const PARKED_MAX = 50

async function findParked(
  { link }: WhyDeps,
  ctx: Ctx,
  tenantId: string,
  views: readonly View[],
): Promise<ReadonlySet<string>> {
  const waiting = [...new Set(views.filter(({ state }) => state === 'waiting').map(({ endpointId }) => endpointId))]
  const found = await Promise.all(waiting.slice(0, PARKED_MAX).map((id) => readEndpoint(link, ctx, tenantId, id)))
  return new Set(
    found.flatMap((endpoint) => (endpoint === undefined || endpoint.state === 'active' ? [] : [endpoint.endpointId])),
  )
}

/** A UUIDv7 says when it was made. */
function wallMsOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
