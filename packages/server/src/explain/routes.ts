// `why` and the orphan check at the edge.

import { RipstopError } from '@ripstop/kernel'
import {
  dataOf,
  deliveryCheckQuerySchema,
  deliveryCheckSchema,
  deliveryIdSchema,
  idSchema,
  type WhyWire,
  whySchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, route } from '#platform/http'
import { CHECK_DEFAULTS, checkDelivery } from './check-store.ts'
import type { Explanation } from './situation.ts'
import { type WhyDeps, whyDelivery, whyEvent } from './why.ts'

const HOUR_MS = 3_600_000

export interface ExplainRoutesDeps extends WhyDeps {
  /** How old a signing secret may be. */
  readonly secretAgeMs?: number
}

export function createExplainRoutes(deps: ExplainRoutesDeps): readonly Route[] {
  return [createWhyDeliveryRoute(deps), createWhyEventRoute(deps), createCheckRoute(deps)]
}

function createWhyDeliveryRoute(deps: ExplainRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/deliveries/{delivery_id}/why',
    summary: 'Why a delivery is where it is, in one paragraph with its evidence',
    scopes: ['webhooks:read'],
    params: z.strictObject({ delivery_id: deliveryIdSchema }),
    response: dataOf(whySchema),
    handle: async ({ ctx, principal, params }) => ({
      body: { data: toWhyWire(await whyDelivery(deps, ctx, principal.tenantId, params.delivery_id)) },
    }),
  })
}

function createWhyEventRoute(deps: ExplainRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/events/{event_id}/why',
    summary: 'What became of an event, or with endpoint_id why that endpoint got it or did not',
    scopes: ['webhooks:read'],
    params: z.strictObject({
      event_id: z
        .string()
        .min(1)
        .max(255)
        .describe(
          'Of the event; or the number that ripstop.publish gave; or with `source` what the publisher called it.',
        ),
    }),
    query: z.strictObject({ endpoint_id: idSchema.optional(), source: z.string().min(1).max(255).optional() }),
    response: dataOf(whySchema),
    handle: async ({ ctx, principal, params, query }) => {
      const question = { id: params.event_id, source: query.source, endpointId: query.endpoint_id }
      return { body: { data: toWhyWire(await whyEvent(deps, ctx, principal.tenantId, question)) } }
    },
  })
}

function createCheckRoute({ env, link, secretAgeMs = CHECK_DEFAULTS.secretAgeMs }: ExplainRoutesDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/delivery/check',
    summary: 'Prove that nothing is orphaned, over all tenants: every count must be 0',
    scopes: ['mesh:read'],
    query: deliveryCheckQuerySchema,
    response: dataOf(deliveryCheckSchema),
    handle: async ({ ctx, query: { since, until } }) => {
      const untilWallMs = until === undefined ? env.clock.wallMs() : Date.parse(until)
      const sinceWallMs = since === undefined ? untilWallMs - HOUR_MS : Date.parse(since)
      if (sinceWallMs >= untilWallMs) {
        const problems = [{ field: 'query.since', problem: 'must be before query.until' }]
        throw new RipstopError('BAD_REQUEST', 'query.since must be before query.until', { details: { problems } })
      }
      const found = await checkDelivery(link, ctx, { ...CHECK_DEFAULTS, secretAgeMs, sinceWallMs, untilWallMs })
      const { events, deliveries, counts } = found
      const data = {
        ok: counts.every(({ count }) => count === 0),
        since: new Date(found.sinceWallMs).toISOString(),
        until: new Date(found.untilWallMs).toISOString(),
        events,
        deliveries,
        counts: counts.map((count) => ({ ...count, ids: [...count.ids] })),
      }
      return { body: { data } }
    },
  })
}

function toWhyWire({ cause, explanation, facts }: Explanation): WhyWire {
  return {
    cause,
    explanation,
    facts: facts.map(({ wallMs, what, evidence }) => ({
      at: wallMs === undefined ? null : new Date(wallMs).toISOString(),
      what,
      evidence: { ...evidence },
    })),
  }
}
