// Requests that are answered later (Prefer: respond-async, RFC 7240) on the wire.

import { z } from 'zod'
import { idSchema, timeSchema } from './envelope.ts'

const attemptSchema = z
  .object({
    at: timeSchema.describe('When it was over.'),
    outcome: z.enum(['delivered', 'failed', 'unknown']).describe('unknown: it was sent, and no answer came.'),
    status: z.int().nullable(),
    code: z.string().nullable(),
    duration_ms: z.int(),
  })
  .meta({ id: 'DeferredAttempt' })

const responseSchema = z
  .object({
    status: z.int(),
    headers: z
      .record(z.string(), z.string())
      .describe('In lower case; without cookies and what belongs to a connection.'),
    body: z.string(),
    body_encoding: z.enum(['utf8', 'base64']).describe('base64 where the bytes are no UTF-8.'),
    is_cut: z.boolean().describe('The answer was longer than what is kept of one.'),
  })
  .meta({ id: 'DeferredResponse' })

export const deferredRequestSchema = z
  .object({
    id: idSchema,
    state: z
      .enum(['waiting', 'done', 'failed', 'unknown'])
      .describe('done: answered, whatever the status; unknown: sent, never answered, and not to be repeated.'),
    upstream: z.string(),
    method: z.string(),
    created_at: timeSchema,
    done_at: timeSchema.nullable(),
    code: z.string().nullable().describe('Why it is not done.'),
    attempts: z.array(attemptSchema).describe('Oldest first.'),
    response: responseSchema.nullable().describe('The last answer, if there was one.'),
  })
  .meta({ id: 'DeferredRequest' })

export type DeferredRequestWire = z.output<typeof deferredRequestSchema>
