// Endpoints, their secrets and REST Hooks on the wire.

import { z } from 'zod'
import { idSchema, pageQuerySchema, timeSchema } from './envelope.ts'

export const ENDPOINT_STATES = ['active', 'paused', 'gone'] as const

const DAY_MS = 86_400_000

const plainText = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}]*$/u, 'must not hold control characters')

const urlSchema = z
  .string()
  .min(1)
  .max(2_048)
  .meta({ description: 'http or https, public, without credentials.', examples: ['https://example.com/hooks'] })

const patternSchema = z
  .string()
  .regex(
    /^(?:\*|[A-Za-z0-9_][A-Za-z0-9._:/-]{0,126}\*?|[A-Za-z0-9_][A-Za-z0-9._:/-]{127})$/,
    'must be an event type, or the beginning of one and a *',
  )

const retryScheduleSchema = z
  .array(z.int().min(5_000).max(DAY_MS))
  .min(0)
  .max(20)
  .describe(
    'The pause before the second attempt, the third …, 20 % more or less; after the last one it is a dead letter.',
  )

const headersSchema = z
  .record(z.string().max(100), z.string().max(4_096))
  .describe('Go with every delivery; sealed, and never shown again. None that are hop-by-hop or begin with webhook-.')

const settings = {
  url: urlSchema,
  description: plainText(500),
  owner: plainText(200)
    .nullable()
    .describe('Whose it is: key:<id>, or words for people. Default: the key that makes it.'),
  event_types: z
    .array(patternSchema)
    .min(1)
    .max(100)
    .meta({ examples: [['order.*']] }),
  filter: z
    .string()
    .min(1)
    .max(2_000)
    .nullable()
    .meta({ description: 'CEL over `event` that must be true.', examples: ['event.data.amount > 100'] }),
  ordering: z.enum(['none', 'key']).describe('key: of one partitionkey only the oldest is under way.'),
  lanes: z.int().min(1).max(64),
  concurrency: z.int().min(1).max(1_024).describe('Deliveries under way at once.'),
  rate_per_second: z.number().positive().max(100_000).nullable().describe('Null: as fast as it answers.'),
  deadline_ms: z.int().min(100).max(60_000),
  retry_schedule_ms: retryScheduleSchema,
  backlog_max: z.int().min(1).max(100_000_000).describe('Undone deliveries beyond which publishers are refused.'),
  rotates_itself: z
    .boolean()
    .nullable()
    .describe('A secret that is too old is replaced by itself. Null: as the mesh is set, v1a keys only.'),
}

export const endpointSchema = z
  .object({
    endpoint_id: idSchema,
    ...settings,
    url: z.string(),
    header_names: z.array(z.string()).describe('Of the headers that go with every delivery.'),
    state: z.enum(ENDPOINT_STATES).describe('paused or gone: what is meant for it is kept until it is resumed.'),
    state_reason: z.string().nullable(),
    state_actor: z.string().nullable().describe('health: the mesh itself.'),
    state_at: timeSchema,
    next_probe_at: timeSchema.nullable().describe('Parked by the mesh itself: when one delivery is tried again.'),
    is_probing: z.boolean(),
    is_hook: z.boolean().describe('Made by POST /v1/hooks: a 410 deletes it.'),
    backlog_full: z.boolean(),
    health: z
      .object({
        last_attempt_at: timeSchema.nullable(),
        last_success_at: timeSchema.nullable(),
        failing_since: timeSchema.nullable(),
        missing_in_a_row: z.int().describe('Answers 404, or of a name that does not exist, in a row.'),
      })
      .describe('A few seconds old.'),
    filter_errors: z
      .object({ count: z.int(), last: z.string().nullable() })
      .describe(
        'Events that the filter could not judge, and so were not sent; counted by this process since it started.',
      ),
    created_at: timeSchema,
  })
  .meta({ id: 'Endpoint' })

const secretTextSchema = z
  .string()
  .max(200)
  .describe(
    'One that you bring along: whsec_ and 24 to 64 bytes in base64, or a whsk_ Ed25519 key. Default: a new one.',
  )
const algorithmSchema = z.enum(['v1', 'v1a']).describe('v1: HMAC-SHA256 with a shared secret. v1a: Ed25519.')

export const createdEndpointSchema = endpointSchema
  .extend({
    secret: z
      .string()
      .nullable()
      .describe(
        'Shown once, here: the shared secret (v1) or the public key (v1a); null where the creation is replayed.',
      ),
  })
  .meta({ id: 'CreatedEndpoint' })

const { url, event_types: eventTypes, ...optional } = settings

export const createEndpointSchema = z
  .strictObject({
    url,
    event_types: eventTypes,
    ...z.object(optional).partial().shape,
    headers: headersSchema.optional(),
    algorithm: algorithmSchema.optional(),
    secret: secretTextSchema.optional(),
  })
  .meta({ id: 'CreateEndpoint' })

export const updateEndpointSchema = z
  .strictObject({
    ...z.object(settings).partial().shape,
    headers: headersSchema.nullable().optional().describe('Replaces all of them; null takes them away.'),
  })
  .meta({ id: 'UpdateEndpoint' })

export const endpointsQuerySchema = pageQuerySchema.extend({ state: z.enum(ENDPOINT_STATES).optional() })

export const pauseEndpointSchema = z
  .strictObject({ reason: plainText(200).min(1).optional() })
  .meta({ id: 'PauseEndpoint' })

export const testedEndpointSchema = z
  .object({
    event_id: idSchema.describe('GET /v1/events/{event_id}/deliveries tells what became of it.'),
  })
  .meta({ id: 'TestedEndpoint' })

// Secrets

export const secretSchema = z
  .object({
    secret_id: idSchema,
    endpoint_id: idSchema,
    algorithm: algorithmSchema,
    public_key: z.string().nullable().describe('Of v1a: whpk_….'),
    is_present: z.boolean().describe('False: it signs beside the present one until signs_until.'),
    signs_until: timeSchema.nullable(),
    is_unread: z.boolean().describe('It was made by itself, and nobody has read it: POST …/reveal shows it once.'),
    created_at: timeSchema,
    too_old_at: timeSchema,
  })
  .meta({ id: 'WebhookSecret' })

export const rotateSecretSchema = z
  .strictObject({
    algorithm: algorithmSchema.optional().describe('Default: as the present one.'),
    secret: secretTextSchema.optional(),
    overlap_ms: z
      .int()
      .min(0)
      .max(7 * DAY_MS)
      .optional()
      .describe('How long the present secret signs beside the new one. Default: a day.'),
  })
  .meta({ id: 'RotateSecret' })

export const rotatedSecretSchema = z
  .object({
    secret_id: idSchema,
    secret: z.string().nullable().describe('Shown once, here; null where the rotation is replayed.'),
  })
  .meta({ id: 'RotatedSecret' })

export const staleSecretSchema = secretSchema
  .extend({
    url: z.string(),
    is_too_old: z.boolean(),
    rotates_itself: z.boolean(),
    what_to_do: z.string(),
  })
  .meta({ id: 'StaleSecret' })

// Orphans

export const ORPHAN_REASONS = ['gone', 'no_success', 'owner_missing', 'owner_deleted', 'never_matched'] as const

export const orphanSchema = z
  .object({
    endpoint_id: idSchema,
    url: z.string(),
    owner: z.string().nullable(),
    reasons: z.array(
      z.object({
        reason: z.enum(ORPHAN_REASONS),
        explanation: z.string().describe('For people.'),
        since: timeSchema.nullable(),
      }),
    ),
    what_to_do: z.string(),
    deleted_at: timeSchema.nullable().describe('When it will be deleted by itself; null: it will not.'),
  })
  .meta({ id: 'OrphanEndpoint' })

export const orphansQuerySchema = pageQuerySchema.extend({
  days: z.coerce
    .number()
    .int()
    .min(1)
    .max(365)
    .optional()
    .describe('No success in so many days. Default: as the mesh is set.'),
})

// REST Hooks

export const createHookSchema = z
  .strictObject({
    target_url: urlSchema.optional(),
    hookUrl: urlSchema.optional().describe('As target_url: some builders call it so.'),
    event: patternSchema,
    filter: settings.filter.optional(),
  })
  .refine((hook) => (hook.target_url === undefined) !== (hook.hookUrl === undefined), 'needs target_url or hookUrl')
  .meta({ id: 'CreateHook' })

export const hookSchema = z
  .object({
    id: idSchema,
    target_url: z.string(),
    event: z.string(),
    created_at: timeSchema,
    secret: z.string().nullable().describe('Signs what is sent; shown once, here.'),
  })
  .meta({ id: 'Hook' })

export const hookSamplesQuerySchema = z.strictObject({ event: patternSchema })

export const hookPollQuerySchema = z.strictObject({
  event: patternSchema,
  since: timeSchema.optional().describe('Published at or after it. Default: an hour ago.'),
  limit: z.coerce.number().int().min(1).max(200).default(100),
})

/** CloudEvents 1.0 as they are delivered; `id` is what to dedupe on. */
export const hookEventsSchema = z
  .array(z.looseObject({ id: z.string(), type: z.string() }))
  .meta({ id: 'HookEvents', description: 'Newest first, in the form in which they are delivered; dedupe on id.' })

export type EndpointWire = z.output<typeof endpointSchema>
export type CreatedEndpointWire = z.output<typeof createdEndpointSchema>
export type CreateEndpointWire = z.output<typeof createEndpointSchema>
export type UpdateEndpointWire = z.output<typeof updateEndpointSchema>
export type WebhookSecretWire = z.output<typeof secretSchema>
export type StaleSecretWire = z.output<typeof staleSecretSchema>
export type OrphanWire = z.output<typeof orphanSchema>
export type HookWire = z.output<typeof hookSchema>
