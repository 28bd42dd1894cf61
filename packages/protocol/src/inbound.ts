// Inbound webhooks on the wire: the sources, and what a provider is answered.

import { z } from 'zod'
import { idSchema, timeSchema } from './envelope.ts'

export const INBOUND_SCHEMES = ['standard', 'stripe', 'github', 'shopify', 'slack'] as const

const secretsSchema = z
  .array(z.string().min(1).max(512))
  .min(1)
  .max(4)
  .describe('What the provider signs with; several while it is being changed. Sealed, and never shown again.')

export const inboundSourceSchema = z
  .object({
    source_id: idSchema,
    tenant_id: idSchema,
    name: z.string(),
    scheme: z.enum(INBOUND_SCHEMES),
    path: z.string().meta({
      description: 'Where the provider sends to, on this server.',
      examples: ['/v1/inbound/019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'],
    }),
    secrets: z.int().describe('How many there are.'),
    created_at: timeSchema,
    last_received_at: timeSchema.nullable().describe('Up to a minute late.'),
  })
  .meta({ id: 'InboundSource' })

export const createInboundSourceSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and -, beginning with a letter')
      .describe(
        'Unique in the tenant. Events have it in their type, <name>.<the type of the provider>, and in their source, inbound/<name>.',
      ),
    scheme: z.enum(INBOUND_SCHEMES).describe('How it signs.'),
    secrets: secretsSchema,
  })
  .meta({ id: 'CreateInboundSource' })

export const updateInboundSourceSchema = z.strictObject({ secrets: secretsSchema }).meta({ id: 'UpdateInboundSource' })

export const inboundAnswerSchema = z
  .object({
    data: z.object({
      outcome: z
        .enum(['published', 'duplicate', 'challenge'])
        .describe('duplicate: it came before. challenge: the provider asks whether this address is its own.'),
      event_id: idSchema.nullable(),
    }),
    challenge: z.string().optional().describe('What Slack wants to hear again.'),
  })
  .meta({ id: 'InboundAnswer' })

export type InboundSourceWire = z.output<typeof inboundSourceSchema>
