// Events and their types on the wire.

import { z } from 'zod'
import { errorSchema, idSchema, pageQuerySchema, timeSchema } from './envelope.ts'

export const EVENTS_IN_BATCH_MAX = 1_000

export const eventTypeNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._:/-]{0,127}$/, 'must be 1 to 128 letters, digits and . _ : / -')
  .meta({ examples: ['order.paid'] })

/**
 * An event as publishers write it: CloudEvents 1.0, structured JSON. Items of a batch are checked one by one, each with an answer of its own, and
 * so not by this schema: it is for documents.
 */
const publishEventSchema = z.object({
  type: eventTypeNameSchema,
  source: z
    .string()
    .max(255)
    .optional()
    .meta({ description: 'Where it happened; default: default.', examples: ['/shop'] }),
  id: z
    .string()
    .max(255)
    .optional()
    .describe('Of the publisher: source and id name the fact, and a repetition is found by them.'),
  subject: z.string().max(512).optional(),
  partitionkey: z
    .string()
    .max(255)
    .optional()
    .describe('What is to be kept in order, where an endpoint asks for order.'),
  time: timeSchema.optional().describe('When it happened; default: now.'),
  data: z.unknown().optional().describe('Checked against the schema of the type, if that is registered.'),
  dataschema: z.string().max(512).optional(),
  datacontenttype: z.literal('application/json').optional(),
  specversion: z.literal('1.0').optional(),
})

const { $schema: _, ...publishEventDocument } = z.toJSONSchema(publishEventSchema, { io: 'input' })

const eventInputSchema = z.unknown().meta({
  ...publishEventDocument,
  id: 'PublishEvent',
  additionalProperties: { type: ['string', 'integer', 'boolean'] },
  description: 'A CloudEvent; other attributes (a-z and 0-9) are extensions.',
})

export const publishEventsSchema = z
  .object({ events: z.array(eventInputSchema).min(1).max(EVENTS_IN_BATCH_MAX) })
  .meta({ id: 'PublishEvents' })

/** One event, or a batch of them. */
export const publishSchema = z.union([publishEventsSchema.strict(), eventInputSchema])

export const publishResultSchema = z
  .object({
    outcome: z.enum(['published', 'duplicate', 'refused']),
    event_id: idSchema.nullable().describe('Of a duplicate that of the first; null if refused.'),
    error: errorSchema.nullable().describe('Why it was refused; null otherwise.'),
  })
  .meta({ id: 'PublishResult' })

export const publishResultsSchema = z
  .object({
    published: z.int(),
    duplicates: z.int(),
    refused: z.int(),
    results: z.array(publishResultSchema).describe('In the order of the events.'),
  })
  .meta({ id: 'PublishResults' })

export const eventSchema = z
  .object({
    event_id: idSchema,
    type: z.string(),
    type_version: z.int().nullable().describe('The version it was checked by; null: its type was not registered.'),
    published_at: timeSchema,
    fan_out: z.int().describe('How many deliveries were made with it.'),
    event: z.record(z.string(), z.unknown()).describe('As receivers get it: CloudEvents 1.0.'),
  })
  .meta({ id: 'Event' })

export const eventsQuerySchema = pageQuerySchema.extend({
  type: z.string().min(1).max(128).optional().describe('A type, or its beginning and a *.'),
})

export const createEventTypeSchema = z
  .strictObject({
    name: eventTypeNameSchema,
    schema: z.record(z.string(), z.unknown()).describe('JSON Schema 2020-12 of the data, at most 64 KB.'),
    description: z.string().max(2_000).default(''),
  })
  .meta({ id: 'CreateEventType' })

export const schemaChangeSchema = z
  .object({
    pointer: z.string().describe('A JSON pointer into the schema, its references written out.'),
    change: z.string(),
    breaks: z.array(z.enum(['publishers', 'consumers'])).describe('Empty: it is compatible.'),
  })
  .meta({ id: 'SchemaChange' })

export const eventTypeSchema = z
  .object({
    name: z.string(),
    version: z.int(),
    schema: z.record(z.string(), z.unknown()),
    description: z.string(),
    changes: z.array(schemaChangeSchema).describe('Against the version before.'),
    created_at: timeSchema,
    deprecated_at: timeSchema.nullable(),
  })
  .meta({ id: 'EventType' })

export const changelogEntrySchema = z
  .object({
    version: z.int(),
    at: timeSchema,
    description: z.string(),
    changes: z.array(schemaChangeSchema),
  })
  .meta({ id: 'ChangelogEntry' })

export const contractTestSchema = z
  .strictObject({
    schema: z.record(z.string(), z.unknown()).optional().describe('JSON Schema of what the consumer needs.'),
    fields: z
      .array(z.string().min(1).max(256))
      .min(1)
      .max(256)
      .optional()
      .meta({ description: 'Or the paths of fields that it needs.', examples: [['order.id', 'order.lines[].sku']] }),
  })
  .refine(
    ({ schema, fields }) => (schema === undefined) !== (fields === undefined),
    'must have schema or fields, not both',
  )
  .meta({ id: 'ContractTest' })

export const contractVerdictSchema = z
  .object({
    guaranteed: z.boolean().describe('By every version.'),
    versions: z.array(
      z.object({
        version: z.int(),
        guaranteed: z.boolean(),
        missing: z.array(z.object({ pointer: z.string(), problem: z.string() })),
      }),
    ),
  })
  .meta({ id: 'ContractVerdict' })

export const rejectedEventSchema = z
  .object({
    rejected_id: z.string(),
    tenant: z.string().nullable().describe('As the publisher called it; null: the default tenant.'),
    reason: z.enum(['schema', 'type', 'size', 'tenant', 'other']),
    code: z.string(),
    problems: z.array(z.object({ field: z.string(), problem: z.string() })),
    event: z.unknown(),
    created_at: timeSchema,
    rejected_at: timeSchema,
  })
  .meta({ id: 'RejectedEvent' })

export const redrivenSchema = z
  .object({ rejected_id: z.string(), state: z.literal('waiting') })
  .meta({ id: 'RedrivenEvent' })

export type PublishResultWire = z.output<typeof publishResultSchema>
export type PublishResultsWire = z.output<typeof publishResultsSchema>
export type EventWire = z.output<typeof eventSchema>
export type EventTypeWire = z.output<typeof eventTypeSchema>
export type ContractVerdictWire = z.output<typeof contractVerdictSchema>
export type RejectedEventWire = z.output<typeof rejectedEventSchema>
