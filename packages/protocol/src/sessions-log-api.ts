// Logs of live sessions on the wire: as they were written, as they are told to people, and what proves them.

import { z } from 'zod'
import { timeSchema } from './envelope.ts'
import { SESSION_STATUSES } from './sessions/session.ts'
import { spanSchema, versionSchema } from './sessions-api.ts'

export const sessionLogQuerySchema = z.strictObject({
  cursor: z.coerce.number().int().min(0).max(2_147_483_647).default(0).describe('The version after which to begin.'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('Entries on a page.'),
})

export const sessionLogEntrySchema = z
  .object({
    epoch: versionSchema,
    version: versionSchema,
    kind: z.string().meta({ examples: ['created', 'switched'] }),
    at: timeSchema.describe('As clocks are charged.'),
    actor: z
      .string()
      .describe('key:<id>, participant:<id>, owner, open, or clock where a deadline or an outage caused it.'),
    hash: z.string().describe('SHA-256 of the hash before (64 zeros before the first), a newline and text.'),
    text: z.string().describe('The entry itself: JSON, byte by byte as it was hashed.'),
  })
  .meta({ id: 'SessionLogEntry' })

export const sessionReplayQuerySchema = sessionLogQuerySchema.extend({
  at_version: z.coerce.number().int().min(1).max(2_147_483_647).optional().describe('Where it ends; default: now.'),
})

const sessionChargeSchema = z
  .object({
    participant_id: z.uuid(),
    elapsed_ms: spanSchema.describe('What the turn took; the following are its parts.'),
    lag_ms: spanSchema.describe('Given back for the way of its command.'),
    free_ms: spanSchema.describe('Of a delay.'),
    main_ms: spanSchema.describe('Taken from the main time; counting up, put on the clock.'),
    overtime_ms: spanSchema.describe('Spent in overtime.'),
    uncounted_ms: spanSchema.describe('After the clock had fallen.'),
    added_ms: spanSchema.describe('What the clock was given for it.'),
  })
  .meta({ id: 'SessionCharge' })

const sessionStepSchema = sessionLogEntrySchema
  .pick({ epoch: true, version: true, kind: true, at: true, actor: true })
  .extend({
    participant_id: z.uuid().nullable().describe('Whose turn or clock it was about.'),
    next_participant_id: z.uuid().nullable().describe('Whose turn it was then.'),
    reason: z.string().nullable().describe('Of an adjustment.'),
    adjusted_ms: z.int().nullable(),
    is_suspicious: z.boolean().describe('Two switches within 10 ms: for a person to look at.'),
    received_at: timeSchema.nullable().describe('When its command was; null where nobody asked.'),
    decided_at: timeSchema,
    waited_ms: spanSchema.describe('From the one to the other; of a deadline, how late it was noticed.'),
    since_ms: spanSchema.describe('Since the step before.'),
    outage_ms: spanSchema.describe('Of that, what nobody was charged for, because nobody could be served.'),
    charge: sessionChargeSchema.nullable().describe('Of the turn that it ended.'),
    clocks_ms: z.array(spanSchema).describe('What the clocks showed then, in the order of participants.'),
  })
  .meta({ id: 'SessionStep' })

const sessionShareSchema = z
  .object({
    participant_id: z.uuid(),
    wall_ms: spanSchema.describe(
      'Since the session began; the sum of all of the following, but added_ms and adjusted_ms.',
    ),
    own_main_ms: spanSchema,
    own_overtime_ms: spanSchema,
    own_free_ms: spanSchema,
    own_lag_ms: spanSchema,
    own_uncounted_ms: spanSchema,
    own_open_ms: spanSchema.describe('Of a turn that has not ended.'),
    others_ms: spanSchema.describe('Turns of other participants.'),
    paused_ms: spanSchema,
    outage_ms: spanSchema,
    added_ms: spanSchema,
    adjusted_ms: z.int(),
    turns: z.int().min(0),
    falls: z.int().min(0),
  })
  .meta({ id: 'SessionShare', description: 'Where the time of one participant went.' })

export const sessionReplaySchema = z
  .object({
    session_id: z.uuid(),
    status: z.enum(SESSION_STATUSES),
    version: versionSchema.describe('As of which all is told.'),
    is_whole: z.boolean().describe('False: the log is longer than what one request reads.'),
    shares: z.array(sessionShareSchema),
    steps: z.array(sessionStepSchema),
    next_cursor: z.string().nullable().describe('Give it as `cursor` for more steps; null on the last page.'),
  })
  .meta({ id: 'SessionReplay' })

export const sessionVerdictSchema = z
  .object({
    session_id: z.uuid(),
    is_valid: z.boolean(),
    entries: z.int().min(0).describe('That were looked at and found good.'),
    epochs: z.array(versionSchema),
    head: z.string().describe('The hash of the last good one.'),
    broken: z
      .object({
        epoch: versionSchema,
        version: versionSchema,
        fault: z
          .enum(['gap', 'epoch', 'hash', 'text', 'state'])
          .describe('state: the session as it is stored is not what its log makes of it.'),
      })
      .nullable()
      .describe('The first that is not good.'),
  })
  .meta({ id: 'SessionVerdict' })

export type SessionLogEntryWire = z.output<typeof sessionLogEntrySchema>
export type SessionReplayWire = z.output<typeof sessionReplaySchema>
export type SessionVerdictWire = z.output<typeof sessionVerdictSchema>
