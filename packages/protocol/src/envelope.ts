// The envelope of every answer. Success is `{ data }`, a list adds `next_cursor`, a failure is `{ error }` and nothing else.

import { z } from 'zod'

export const errorSchema = z
  .object({
    code: z.string().meta({ description: 'Names what happened; never renamed.', examples: ['NOT_FOUND'] }),
    message: z.string().describe('For people; may change.'),
    details: z.record(z.string(), z.unknown()).optional().describe('What the code needs to be acted on.'),
    retry_after_ms: z.int().min(0).optional().describe('When the same request stands a chance again.'),
  })
  .meta({ id: 'Error', description: 'Every failure has this shape.' })

export const errorEnvelopeSchema = z.object({ error: errorSchema }).meta({ id: 'ErrorEnvelope' })

export type ErrorEnvelope = z.output<typeof errorEnvelopeSchema>

/** One field of a request and what is wrong with it; listed in `details.problems`. */
export interface FieldProblem {
  /** As the client wrote it: `body.scopes[1]`, `query.limit`. */
  readonly field: string
  readonly problem: string
}

export function dataOf<S extends z.ZodType>(schema: S) {
  return z.object({ data: schema })
}

export function listOf<S extends z.ZodType>(schema: S) {
  return z.object({
    data: z.array(schema),
    next_cursor: z.string().nullable().describe('Give it as `cursor` for the next page; null on the last.'),
  })
}

export const PAGE_LIMIT_MAX = 200
export const PAGE_LIMIT_DEFAULT = 50

/** Query of every list. */
export const pageQuerySchema = z.strictObject({
  cursor: z.string().min(1).max(200).optional().describe('`next_cursor` of the page before.'),
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT_MAX).default(PAGE_LIMIT_DEFAULT).describe('Entries on a page.'),
})

export type PageQuery = z.output<typeof pageQuerySchema>

/** Ids are UUIDs (version 7: they sort by time). */
export const idSchema = z.uuid().meta({ examples: ['019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'] })
export const timeSchema = z.iso.datetime().meta({ description: 'UTC.', examples: ['2026-11-21T12:00:00.000Z'] })
