// A batch of events on its way into Postgres: consumers plan, one statement writes. If what a plan relied on has moved meanwhile, nothing
// was written and the plan is made anew. If Postgres refuses the statement for what is in it, the batch is halved until the one event that it is about
// stands alone: every other event gets through.
// Invariants:
//   EV7. An event that Postgres or a consumer can't take is refused alone; those that came with it are published.
//   EV8. An entry has an outcome if and only if its event is committed, was there before, or is refused for good.

import { type Ctx, hasCode, isRipstopError, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { AuditLine } from '#access'
import type { EventConsumer, NewEvent, Plan } from './consumer.ts'
import { findWritten, insertEvents, type Publication } from './store.ts'

/** Endpoints change seldom: that they move five times under one batch says that something is wrong. */
const ROUNDS_MAX = 10

export type Outcome =
  | { readonly outcome: 'published' | 'duplicate'; readonly eventId: string }
  | { readonly outcome: 'refused'; readonly error: RipstopError }

/** Who publishes, for the audit log. */
export interface Publisher {
  readonly tenantId: string
  readonly actor: string
  readonly traceId: string | undefined
}

export interface Entry {
  readonly event: NewEvent
  readonly publisher: Publisher
  /** Set once. */
  outcome: Outcome | undefined
}

export interface BatchDeps {
  readonly link: Link<PostgresPool>
  readonly consumers: readonly EventConsumer[]
}

/** Gives every entry its outcome. Throws what the link and the consumers throw; entries may have theirs even then. */
export async function writeBatch(deps: BatchDeps, ctx: Ctx, entries: readonly Entry[]): Promise<void> {
  await inHalves(
    entries,
    (part) => writeRounds(deps, ctx, part),
    (entry, error) => {
      entry.outcome ??= { outcome: 'refused', error }
    },
  )
}

async function writeRounds({ link, consumers }: BatchDeps, ctx: Ctx, entries: readonly Entry[]): Promise<void> {
  let open = entries
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const planned = await planEntries(consumers, ctx, open)
    open = planned.entries
    if (open.length === 0) return
    const written = await insertEvents(link, ctx, planned.publication)
    if (written === open.length) {
      for (const entry of open) entry.outcome = { outcome: 'published', eventId: entry.event.eventId }
      return
    }
    open = await settleWritten(link, ctx, open)
    if (open.length === 0) return
  }
  throw movedTooOften()
}

export function movedTooOften(): RipstopError {
  const message = `what consumers of events rely on moved ${ROUNDS_MAX} times meanwhile`
  return new RipstopError('OVERLOADED', message, { sent: 'no', retryAfterMs: 1_000 })
}

/** Gives an outcome to those that are there; the others. */
export async function settleWritten(
  link: Link<PostgresPool>,
  ctx: Ctx,
  entries: readonly Entry[],
): Promise<readonly Entry[]> {
  const found = await findWritten(
    link,
    ctx,
    entries.map(({ event }) => event),
  )
  return entries.filter((entry, place) => {
    const eventId = found[place]
    if (eventId === undefined) return true
    entry.outcome = { outcome: eventId === entry.event.eventId ? 'published' : 'duplicate', eventId }
    return false
  })
}

export interface PlannedEntries {
  /** Those that no consumer refused; the others have their outcome. */
  readonly entries: readonly Entry[]
  readonly publication: Publication
}

export async function planEntries(
  consumers: readonly EventConsumer[],
  ctx: Ctx,
  entries: readonly Entry[],
  mayRefuse = true,
): Promise<PlannedEntries> {
  const events = entries.map(({ event }) => event)
  const plans: Plan[] = []
  if (events.length > 0) for (const consumer of consumers) plans.push(await consumer.plan(ctx, events, mayRefuse))
  const kept: Entry[] = []
  const fanOut: number[] = []
  for (const [place, entry] of entries.entries()) {
    const error = plans.find(({ refused }) => refused.has(place))?.refused.get(place)
    if (error !== undefined) entry.outcome = { outcome: 'refused', error }
    else {
      kept.push(entry)
      fanOut.push(plans.reduce((sum, plan) => sum + (plan.fanOut[place] ?? 0), 0))
    }
  }
  const { lines, lineOf } = linesOf(kept)
  return { entries: kept, publication: { events: kept.map(({ event }) => event), fanOut, plans, lines, lineOf } }
}

/** A line for each tenant and actor; it names the first event, and the statement adds how many there were. */
function linesOf(entries: readonly Entry[]): Pick<Publication, 'lines' | 'lineOf'> {
  const lines: AuditLine[] = []
  const known = new Map<Publisher, number>()
  const places = new Map<string, number>()
  const lineOf = entries.map(({ publisher, event }) => {
    const { tenantId, actor, traceId } = publisher
    const key = `${tenantId} ${actor}`
    const place = known.get(publisher) ?? places.get(key) ?? lines.length
    known.set(publisher, place)
    places.set(key, place)
    if (place === lines.length)
      lines.push({
        tenantId,
        actor,
        action: 'event.publish',
        resource: `event:${event.eventId}`,
        outcome: 'done',
        traceId,
      })
    return place
  })
  return { lines, lineOf }
}

/**
 * Runs `work` on all of them; where it is refused for what is in them, on each half, down to one, which `refuse` gets. Halves go one after
 * the other, so that order is kept. Throws any other failure.
 */
export async function inHalves<T>(
  entries: readonly T[],
  work: (part: readonly T[]) => Promise<void>,
  refuse: (entry: T, error: RipstopError) => Promise<void> | void,
): Promise<void> {
  try {
    return await work(entries)
  } catch (error) {
    const refusal = refusalOf(error)
    if (refusal === undefined) throw error
    const [only] = entries
    if (entries.length === 1 && only !== undefined) return await refuse(only, refusal)
  }
  const middle = Math.ceil(entries.length / 2)
  await inHalves(entries.slice(0, middle), work, refuse)
  await inHalves(entries.slice(middle), work, refuse)
}

/** SQLSTATE classes that are about what is in the statement: data, constraints, limits of a program. */
const ABOUT_DATA = /^(?:22|23|54)/

/** The refusal that an error means for one of the events; undefined: it is about something else. */
export function refusalOf(error: unknown): RipstopError | undefined {
  if (isRipstopError(error)) return hasCode(error, 'EVENT_INVALID') ? error : undefined
  if (!(error instanceof Error)) return undefined
  if (!('severity' in error)) {
    // A consumer's defect about one event must not stop all others.
    return new RipstopError('INTERNAL', 'a consumer of events failed on it', { cause: error })
  }
  const state = 'code' in error ? String(error.code) : ''
  if (!ABOUT_DATA.test(state)) return undefined
  const problems = [{ field: '', problem: `can't be stored (${state})` }]
  return new RipstopError('EVENT_INVALID', `the event can't be stored (${state})`, {
    cause: error,
    details: { problems },
  })
}
