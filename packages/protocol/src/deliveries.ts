// Deliveries on the wire: what is under way, what was tried, what is given up, what is sent again, and why.
// Ids of deliveries are bigint in the database and strings here.

import { z } from 'zod'
import { idSchema, pageQuerySchema, timeSchema } from './envelope.ts'

export const deliveryIdSchema = z
  .string()
  .regex(/^[1-9][0-9]{0,17}$/, 'must be the id of a delivery: a number as text')
  .meta({ examples: ['48213'] })

/** How a delivery stands. */
export const DELIVERY_STATES = ['waiting', 'parked', 'delivered', 'dead', 'discarded'] as const
export const DEAD_REASONS = ['exhausted', 'refused', 'unknown', 'deleted', 'overflow', 'expired'] as const
const ATTEMPT_OUTCOMES = ['delivered', 'failed', 'unknown', 'parked'] as const

export const deliveryAttemptSchema = z
  .object({
    attempt_id: idSchema.nullable().describe('Null while it is waiting: nothing was tried.'),
    delivery_id: deliveryIdSchema,
    event_id: idSchema,
    endpoint_id: idSchema,
    attempt: z.int().min(0).describe('1 for the first; 0 for what was decided without sending (a discard).'),
    at: timeSchema.nullable(),
    outcome: z.enum(['waiting', ...ATTEMPT_OUTCOMES]).describe('unknown: the request went out and no answer came.'),
    status: z.int().nullable().describe('HTTP status of the answer, if there was one.'),
    code: z
      .string()
      .nullable()
      .meta({ examples: ['DEADLINE_EXCEEDED'] }),
    reason: z.string().nullable().describe('For people.'),
    duration_ms: z.int().nullable(),
    response: z.string().nullable().describe('The beginning of the answer, at most 4 KB.'),
    receipt: z.enum(['applied', 'duplicate']).nullable().describe("What the receiver's signed receipt says."),
    may_repeat: z.boolean().describe('Another process may have sent it already, with the same webhook-id.'),
    replay_id: idSchema.nullable(),
    due_at: timeSchema.nullable().describe('When it is tried next; null: this was the last.'),
  })
  .meta({ id: 'DeliveryAttempt' })

export const deliverySchema = z
  .object({
    delivery_id: deliveryIdSchema,
    event_id: idSchema,
    endpoint_id: idSchema,
    state: z
      .enum(DELIVERY_STATES)
      .describe('parked: kept until its endpoint is active again. discarded: a person gave it up.'),
    attempts_made: z.int().min(0).describe('Since it was published or last redriven.'),
    due_at: timeSchema.nullable().describe('When it is tried next.'),
    dead: z
      .object({
        reason: z.enum(DEAD_REASONS),
        code: z.string().nullable(),
        status: z.int().nullable(),
        at: timeSchema,
      })
      .nullable()
      .describe('POST /v1/dead-letters/{delivery_id}/redrive sends it again.'),
    replay_id: idSchema.nullable(),
    last_attempt: deliveryAttemptSchema.nullable(),
  })
  .meta({ id: 'Delivery' })

export const deliveryDetailSchema = deliverySchema
  .extend({ attempts: z.array(deliveryAttemptSchema).describe('Newest first, at most 20.') })
  .meta({ id: 'DeliveryDetail' })

export const deliveriesQuerySchema = pageQuerySchema.extend({
  endpoint_id: idSchema.optional(),
  event_id: idSchema.optional(),
  outcome: z
    .enum(['waiting', ...ATTEMPT_OUTCOMES])
    .optional()
    .describe('waiting: what is not done, in the order in which it is due; it needs endpoint_id or event_id.'),
  since: timeSchema.optional().describe('Attempts at or after it.'),
})

export const deadLetterSchema = z
  .object({
    delivery_id: deliveryIdSchema,
    event_id: idSchema,
    endpoint_id: idSchema,
    reason: z.enum(DEAD_REASONS),
    code: z.string().nullable(),
    status: z.int().nullable(),
    attempts_made: z.int().min(0),
    dead_at: timeSchema,
    replay_id: idSchema.nullable(),
  })
  .meta({ id: 'DeadLetter' })

const deadLetterFilter = {
  endpoint_id: idSchema.optional(),
  reason: z.enum(DEAD_REASONS).optional(),
  since: timeSchema.optional().describe('Dead at or after it.'),
  until: timeSchema.optional().describe('Dead before it.'),
}

export const deadLettersQuerySchema = pageQuerySchema.extend(deadLetterFilter)

export const deadLetterDoneSchema = z
  .object({ delivery_id: deliveryIdSchema, state: z.enum(['waiting', 'discarded']) })
  .meta({ id: 'DeadLetterDone' })

// Replays

export const createReplaySchema = z
  .strictObject({
    endpoint_id: idSchema,
    since: timeSchema,
    until: timeSchema.optional().describe('Now, if left out; never later than now.'),
    types: z
      .array(z.string().min(1).max(128))
      .min(1)
      .max(100)
      .optional()
      .describe('Exact, or with a * at the end. Beside that the endpoint gets only what it subscribes to.'),
    only: z
      .enum(['all', 'failed'])
      .default('all')
      .describe('failed: what was tried or given up for this endpoint, was never delivered, and waits no more.'),
  })
  .meta({ id: 'CreateReplay' })

export const redriveManySchema = z.strictObject(deadLetterFilter).meta({ id: 'RedriveDeadLetters' })

export const replaySchema = z
  .object({
    replay_id: idSchema,
    what: z.enum(['events', 'dead_letters']),
    endpoint_id: idSchema.nullable().describe('Null: every endpoint of the tenant.'),
    selector: z.record(z.string(), z.unknown()).describe('As it was asked for.'),
    state: z.enum(['running', 'done', 'cancelled']),
    done: z.int().min(0).describe('Deliveries made, or dead letters sent again, so far.'),
    cursor_at: timeSchema.nullable().describe('How far it has come in time; null at the beginning.'),
    created_at: timeSchema,
    updated_at: timeSchema,
  })
  .meta({ id: 'Replay' })

// Why

export const whyFactSchema = z
  .object({
    at: timeSchema.nullable().describe('Null: it holds now.'),
    what: z.string().describe('For people.'),
    evidence: z.record(z.string(), z.string()).describe('Ids and values that it was read from.'),
  })
  .meta({ id: 'WhyFact' })

export const whySchema = z
  .object({
    cause: z.string().meta({ description: 'Names what decided; never renamed.', examples: ['endpoint_paused'] }),
    explanation: z.string().describe('One paragraph.'),
    facts: z.array(whyFactSchema),
  })
  .meta({ id: 'Why' })

// Check

export const checkCountSchema = z
  .object({
    name: z.string().meta({ examples: ['events_with_missing_deliveries'] }),
    what: z.string().describe('What is counted.'),
    count: z.int().min(0).describe('Must be 0.'),
    ids: z.array(z.string()).describe('The first few.'),
  })
  .meta({ id: 'CheckCount' })

export const deliveryCheckSchema = z
  .object({
    ok: z.boolean().describe('Every count is 0.'),
    since: timeSchema.describe('Events from here on were looked at.'),
    until: timeSchema,
    events: z.int().min(0).describe('How many were looked at.'),
    deliveries: z.int().min(0).describe('How many deliveries were found for them.'),
    counts: z.array(checkCountSchema),
  })
  .meta({ id: 'DeliveryCheck' })

export const deliveryCheckQuerySchema = z.strictObject({
  since: timeSchema.optional().describe('Default: an hour ago.'),
  until: timeSchema.optional().describe('Default: a few seconds ago.'),
})

export type DeliveryAttemptWire = z.output<typeof deliveryAttemptSchema>
export type DeliveryWire = z.output<typeof deliverySchema>
export type DeliveryDetailWire = z.output<typeof deliveryDetailSchema>
export type DeadLetterWire = z.output<typeof deadLetterSchema>
export type ReplayWire = z.output<typeof replaySchema>
export type WhyWire = z.output<typeof whySchema>
export type DeliveryCheckWire = z.output<typeof deliveryCheckSchema>
