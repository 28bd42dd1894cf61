// The graph and its events on the wire.

import { z } from 'zod'
import { timeSchema } from './envelope.ts'

const ms = (description: string) => z.number().describe(`${description}, ms.`)
const count = (description: string) => z.number().describe(description)

export const LINK_STATES = ['idle', 'connecting', 'up', 'degraded', 'down', 'draining', 'closed'] as const

export const guaranteesSchema = z
  .object({
    deadline_ms: ms('Longest call, queueing and retries included'),
    recover_within_ms: ms('Proved up again this long after the peer is back'),
    critical: z.boolean().describe('Readiness needs it.'),
    when_down: z.enum(['fast', 'wait']).describe('Calls fail at once, or wait within their deadline.'),
    fallback: z.string().nullable().describe('What is done instead.'),
    retry: z.object({ attempts: z.int(), base_ms: z.number(), cap_ms: z.number() }),
    budget: z.object({ share: z.number(), per_second: z.number() }).describe('What retries may spend.'),
    breaker: z
      .object({
        failure_rate: z.number(),
        minimum_calls: z.int(),
        window_ms: z.number(),
        open_ms: z.number(),
        open_ms_max: z.number(),
      })
      .nullable(),
    bulkhead: z.object({ concurrent: z.int(), queue: z.int() }),
    rate: z.object({ per_second: z.number(), burst: z.number() }).nullable(),
    open_deadline_ms: ms('Longest connect'),
    probe_deadline_ms: ms('Longest probe'),
    heartbeat_ms: ms('Pause between probes'),
    max_age_ms: ms('Renewed after about this long').nullable(),
  })
  .meta({ id: 'Guarantees' })

export const transitionSchema = z
  .object({
    at: timeSchema,
    from: z.enum(LINK_STATES),
    to: z.enum(LINK_STATES),
    why: z.string(),
    generation: z.int(),
  })
  .meta({ id: 'Transition' })

export const linkLiveSchema = z
  .object({
    state: z.enum(LINK_STATES),
    why: z.string().nullable(),
    generation: z.int(),
    last_proof_at: timeSchema.nullable().describe('The last completed round trip.'),
    last_proof_age_ms: z.number().nullable(),
    in_flight: count('Calls at the peer.'),
    waiting: count('Calls waiting for a place or for the link.'),
    oldest_overdue_ms: ms('How long the most overdue call is past its deadline; 0: none is'),
    breaker: z.enum(['closed', 'open', 'half_open', 'none']),
    retry_budget: count('Retries that could be paid now.'),
    degradation: z.object({ name: z.string(), active: z.boolean(), uses: z.int() }).nullable(),
    pool: z.object({ size: z.int(), in_use: z.int(), waiting: z.int() }).nullable(),
    transitions: z.array(transitionSchema).describe('The last ones, oldest first.'),
  })
  .meta({ id: 'LinkLive' })

export const meshLinkSchema = z
  .object({
    process: z.string().describe('The process of the mesh that owns it.'),
    name: z.string(),
    to: z.string().describe('The component it leads to.'),
    kind: z.string(),
    target: z.string().describe('Where it leads, without credentials.'),
    guarantees: guaranteesSchema,
    live: linkLiveSchema,
    blast_radius: z
      .object({ hard: z.array(z.string()), soft: z.array(z.string()) })
      .describe('What stops with it, and what only degrades.'),
    last_drill: z
      .object({ fault: z.string(), recovered_ms: z.number(), at: timeSchema })
      .nullable()
      .describe('Evidence for recover_within_ms.'),
  })
  .meta({ id: 'MeshLink' })

export const meshGraphSchema = z
  .object({
    at: timeSchema,
    processes: z.array(z.string()),
    components: z.array(
      z.object({ name: z.string(), kind: z.enum(['role', 'service', 'database', 'cache', 'client']) }),
    ),
    uses: z.array(z.object({ component: z.string(), link: z.string(), need: z.enum(['hard', 'soft']) })),
    links: z.array(meshLinkSchema),
  })
  .meta({ id: 'MeshGraph' })

const noticeBase = { at: timeSchema, process: z.string(), link: z.string() }

/** The data of one server-sent event; its SSE `event` field repeats `type`. */
export const meshEventSchema = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('transition'),
      ...noticeBase,
      from: z.enum(LINK_STATES),
      to: z.enum(LINK_STATES),
      why: z.string(),
      generation: z.int(),
    }),
    z.object({ type: z.literal('breaker'), ...noticeBase, to: z.string() }),
    z.object({ type: z.literal('degradation'), ...noticeBase, name: z.string(), active: z.boolean() }),
    z.object({ type: z.literal('defect'), ...noticeBase, what: z.string(), why: z.string() }),
  ])
  .meta({ id: 'MeshEvent' })

export type MeshLinkWire = z.output<typeof meshLinkSchema>
export type MeshGraphWire = z.output<typeof meshGraphSchema>
export type MeshEventWire = z.output<typeof meshEventSchema>
