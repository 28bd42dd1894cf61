// Health on the wire. These answers are read by probes and load balancers, so they have no envelope.

import { z } from 'zod'
import { timeSchema } from './envelope.ts'

export const statusSchema = z.object({ status: z.literal('ok') })

export const readinessSchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    missing: z
      .array(z.object({ what: z.string(), why: z.string(), since: timeSchema.nullable() }))
      .describe('What has to come back first: critical links and migrations, each with the reason.'),
    degraded: z
      .array(z.object({ what: z.string(), why: z.string() }))
      .describe('What works, but worse than it should.'),
  })
  .meta({ id: 'Readiness' })

export const migrationStatusSchema = z
  .object({
    state: z.enum(['current', 'pending', 'drifted', 'too_new', 'unknown']),
    version: z.int().nullable().describe('Of the database.'),
    newest: z.int().describe('That this binary brings.'),
    problems: z.array(z.string()).describe('Drift, each piece by name; or why nothing is known.'),
    checked_at: timeSchema.nullable(),
  })
  .meta({ id: 'MigrationStatus' })

export type ReadinessWire = z.output<typeof readinessSchema>
export type MigrationStatusWire = z.output<typeof migrationStatusSchema>
