// What the edge and other modules see of deliveries, as one thing to hold.

import type { Ctx, Env, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Route } from '#platform/http'
import { startAttemptFeed } from './attempt-feed.ts'
import { type DeadLetter, type DeadLetterFilter, readDeadLetters, redriveParts } from './dead-letter-store.ts'
import type { DeliveryKind } from './kind.ts'
import {
  type AttemptFilter,
  type AttemptLine,
  countUndoneOf,
  type DeliveryView,
  type Found,
  findUndelivered,
  listAttempts,
  listDeliveriesOfEvent,
  type PageBounds,
  readDelivery,
} from './reading-store.ts'
import { createDeliveryRoutes } from './routes.ts'

/** For modules that stand on this one. Everything is of one tenant; throws what the link throws. */
export interface DeliveryReader {
  /** Undefined: the tenant has no such delivery, or nothing is left of it. */
  readonly readDelivery: (ctx: Ctx, tenantId: string, deliveryId: string) => Promise<DeliveryView | undefined>
  /** Newest first, at most 1,000. */
  readonly listDeliveriesOfEvent: (ctx: Ctx, tenantId: string, eventId: string) => Promise<readonly DeliveryView[]>
  /** Newest first. */
  readonly listAttempts: (
    ctx: Ctx,
    tenantId: string,
    filter: AttemptFilter,
    bounds: PageBounds,
  ) => Promise<Found<AttemptLine>>
  /** Oldest deliveries first. */
  readonly readDeadLetters: (
    ctx: Ctx,
    tenantId: string,
    filter: DeadLetterFilter,
    bounds: PageBounds,
  ) => Promise<Found<DeadLetter>>
  /** How much is undone for each of `endpointIds`; of one no more than `most` are counted. */
  readonly countUndone: (ctx: Ctx, endpointIds: readonly string[], most: number) => Promise<ReadonlyMap<string, number>>
  /** Of these events those that were tried or given up for the endpoint, never arrived there, and are not waiting. */
  readonly findUndelivered: (
    ctx: Ctx,
    tenantId: string,
    endpointId: string,
    eventIds: readonly string[],
  ) => Promise<ReadonlySet<string>>
  /** Parts that redrive letters if the part `gate` has a row; the part `redriven` has a row for each that was there. */
  readonly redriveParts: typeof redriveParts
}

export function createDeliveryReader(link: Link<PostgresPool>): DeliveryReader {
  return {
    readDelivery: (ctx, tenantId, deliveryId) => readDelivery(link, ctx, tenantId, deliveryId),
    listDeliveriesOfEvent: (ctx, tenantId, eventId) => listDeliveriesOfEvent(link, ctx, tenantId, eventId),
    listAttempts: (ctx, tenantId, filter, bounds) => listAttempts(link, ctx, tenantId, filter, bounds),
    readDeadLetters: (ctx, tenantId, filter, bounds) => readDeadLetters(link, ctx, tenantId, filter, bounds),
    countUndone: (ctx, endpointIds, most) => countUndoneOf(link, ctx, endpointIds, most),
    findUndelivered: (ctx, tenantId, endpointId, ids) => findUndelivered(link, ctx, tenantId, endpointId, ids),
    redriveParts,
  }
}

export interface DeliveryReadingDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  /** Of webhooks: whether an endpoint is active is not the engine's to know. */
  readonly targets: DeliveryKind['targets']
}

export interface DeliveryReading extends AsyncDisposable {
  readonly routes: readonly Route[]
}

/** The routes, and the loop behind their stream. */
export function startDeliveryReading({ env, link, targets }: DeliveryReadingDeps): DeliveryReading {
  const feed = startAttemptFeed({ env, link })
  return {
    routes: createDeliveryRoutes({ env, link, feed, targets }),
    [Symbol.asyncDispose]: () => feed[Symbol.asyncDispose](),
  }
}
