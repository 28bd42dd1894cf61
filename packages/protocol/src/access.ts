// Tenants, API keys and the audit log on the wire.

import { z } from 'zod'
import { idSchema, timeSchema } from './envelope.ts'

/** What keys of the control API may be allowed. Gateway routes add scopes of their own in ripstop.yaml. */
export const CONTROL_SCOPES = {
  admin: 'Everything.',
  'keys:read': 'List API keys.',
  'keys:write': 'Create and revoke API keys.',
  'tenants:read': 'List tenants.',
  'tenants:write': 'Create tenants, and keys for them (default tenant only).',
  'audit:read': 'Read the audit log.',
  'mesh:read': 'Read the graph, the events and the metrics.',
  'events:read': 'Read events, their types and what was rejected.',
  'events:write': 'Publish events, and register their types.',
  'webhooks:read': 'Read endpoints, deliveries and dead letters; never secrets.',
  'webhooks:write': 'Create and change endpoints and inbound sources, read new secrets once, redrive and replay.',
  'sessions:read': 'Read live sessions and their logs, and watch them.',
  'sessions:write': 'Create, drive and delete live sessions, and make tokens for their participants.',
} as const

export type ControlScope = keyof typeof CONTROL_SCOPES

const nameSchema = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .regex(/^[^\p{Cc}]*$/u, 'must not hold control characters')
  .describe('For people.')

export const apiKeySchema = z
  .object({
    key_id: idSchema,
    tenant_id: idSchema,
    name: nameSchema,
    prefix: z.string().meta({ description: 'How the secret begins.', examples: ['rs_dev_Xq3f9Tza'] }),
    scopes: z.array(z.string()),
    created_at: timeSchema,
    expires_at: timeSchema.nullable(),
    revoked_at: timeSchema.nullable(),
    last_used_at: timeSchema.nullable().describe('Up to a minute late.'),
  })
  .meta({ id: 'ApiKey' })

export const createdApiKeySchema = apiKeySchema
  .extend({
    secret: z.string().nullable().describe('Shown once, here; null where the creation is replayed.'),
    secret_note: z.string().describe('What to do about the secret.'),
  })
  .meta({ id: 'CreatedApiKey' })

export const createApiKeySchema = z
  .strictObject({
    name: nameSchema,
    scopes: z
      .array(z.string().max(64))
      .min(1)
      .max(64)
      .meta({
        description: 'No more than the creating key has.',
        examples: [['mesh:read']],
      }),
    expires_at: timeSchema.optional().describe('Never, if left out.'),
    tenant_id: idSchema.optional().describe('Another tenant: for operators only (default tenant, tenants:write).'),
  })
  .meta({ id: 'CreateApiKey' })

export const tenantSchema = z
  .object({
    tenant_id: idSchema,
    name: z.string(),
    created_at: timeSchema,
  })
  .meta({ id: 'Tenant' })

export const createTenantSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and -, beginning with a letter')
      .describe('Unique.'),
  })
  .meta({ id: 'CreateTenant' })

export const auditEntrySchema = z
  .object({
    audit_id: z.string().describe('Rises with time.'),
    at: timeSchema,
    actor: z.string().describe('key:<id>, cli, or open for a call without a key in open mode.'),
    action: z.string().meta({ examples: ['key.create'] }),
    resource: z.string().meta({ examples: ['key:019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'] }),
    outcome: z.enum(['done', 'refused']),
    trace_id: z.string().nullable(),
    details: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'AuditEntry' })

export type ApiKeyWire = z.output<typeof apiKeySchema>
export type CreatedApiKeyWire = z.output<typeof createdApiKeySchema>
export type TenantWire = z.output<typeof tenantSchema>
export type AuditEntryWire = z.output<typeof auditEntrySchema>
