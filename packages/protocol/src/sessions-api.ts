// Live sessions on the wire: the fields of SyncKairos 2.0 under their names, and ours beside them. Times are whole milliseconds, moments
// are UTC; ids are UUIDs, taken in any case and answered in lower case.

import { z } from 'zod'
import { timeSchema } from './envelope.ts'
import { eventTypeNameSchema } from './events.ts'
import { SESSION_STATUSES, SYNC_MODES, TIMEOUT_ACTIONS } from './sessions/session.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const PARTICIPANTS_MAX = 1_000
const METADATA_BYTES_MAX = 10_240
const METADATA_DEPTH_MAX = 16
const TOKEN_TTL_S_MAX = 86_400

const uuidSchema = z
  .uuid()
  .toLowerCase()
  .meta({ examples: ['019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'] })
const whole = (least: number, most: number, description: string) => z.int().min(least).max(most).describe(description)
const clockSchema = (description: string) => whole(1_000, DAY_MS, description)

const participantRulesSchema = z
  .strictObject({
    participant_id: uuidSchema,
    participant_index: whole(0, PARTICIPANTS_MAX - 1, 'The order of turns; all or none give one.').optional(),
    total_time_ms: clockSchema("On its clock; default the session's.").optional(),
    group_id: uuidSchema.optional().describe('In per_group mode those of a group share the clock of its first.'),
  })
  .meta({ id: 'SessionParticipantRules' })

const timeControlSchema = z.strictObject({
  increment: z
    .strictObject({
      type: z.enum(['fischer', 'bronstein', 'delay']),
      ms: whole(0, 60_000, 'A turn.'),
    })
    .optional()
    .describe('fischer is added after a turn, bronstein gives back what it took, delay is free at its beginning.'),
  overtime: z
    .discriminatedUnion('type', [
      z.strictObject({
        type: z.literal('periods'),
        periods: whole(1, 100, 'How many.'),
        period_ms: whole(1_000, HOUR_MS, 'Each.'),
      }),
      z.strictObject({
        type: z.literal('turns'),
        turns: whole(1, 1_000, 'Turns to make within a period.'),
        period_ms: whole(1_000, HOUR_MS, 'The period.'),
      }),
    ])
    .optional()
    .describe('What comes after the main time: Japanese (periods) or Canadian (turns) byo-yomi.'),
  stages: z
    .array(
      z.strictObject({
        turns: whole(1, 1_000, 'After so many turns of the stage before'),
        add_ms: whole(0, DAY_MS, 'so much is added.'),
      }),
    )
    .max(10)
    .optional(),
})

const timeoutActionSchema = z
  .union([
    z.enum(TIMEOUT_ACTIONS),
    z.strictObject({ type: z.enum(TIMEOUT_ACTIONS), event_type: eventTypeNameSchema.optional() }),
  ])
  .describe(
    'When a clock falls. Default: next (per_cycle: skip_cycle) with auto_advance; else the participant has expired and keeps the turn until it is switched, as in SyncKairos 2.0. event does the same and publishes event_type [session.timeout].',
  )

const metadataSchema = z
  .record(z.string(), z.unknown())
  .superRefine((metadata, context) => {
    const problem = metadataProblem(metadata)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  })
  .describe(`Kept with the session: at most ${METADATA_BYTES_MAX} bytes of JSON, ${METADATA_DEPTH_MAX} levels deep.`)

function metadataProblem(metadata: Readonly<Record<string, unknown>>): string | undefined {
  if (isDeeper(metadata, METADATA_DEPTH_MAX)) return `must not be nested deeper than ${METADATA_DEPTH_MAX} levels`
  const text = JSON.stringify(metadata)
  const isLong = text.length > METADATA_BYTES_MAX || new TextEncoder().encode(text).length > METADATA_BYTES_MAX
  return isLong ? `must be at most ${METADATA_BYTES_MAX} bytes of JSON` : undefined
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1))
}

export const createSessionSchema = z
  .strictObject({
    session_id: uuidSchema.optional().describe('Default: one is made.'),
    sync_mode: z.enum(SYNC_MODES),
    participants: z.array(participantRulesSchema).min(1).max(PARTICIPANTS_MAX),
    total_time_ms: clockSchema('The clock of all in global mode; else of participants that bring none.').optional(),
    time_per_cycle_ms: clockSchema('The clock of each cycle in per_cycle mode.').optional(),
    increment_ms: whole(0, 60_000, 'Added after every turn (Fischer).').optional(),
    time_control: timeControlSchema.optional(),
    max_time_ms: clockSchema('The whole session, pauses left out.').optional(),
    action_on_timeout: timeoutActionSchema.optional(),
    auto_advance: z.boolean().optional().describe('When a clock falls the turn goes on to the next.'),
    lag_compensation: z
      .boolean()
      .optional()
      .describe('Gives back, by a quota, the way that commands over WebSocket took, as the server measured it.'),
    metadata: metadataSchema.optional(),
  })
  .superRefine((body, context) => {
    for (const { path, message } of findProblems(body)) context.addIssue({ code: 'custom', path: [...path], message })
  })
  .meta({ id: 'CreateSession' })

interface Problem {
  readonly path: readonly (string | number)[]
  readonly message: string
}

type CreationShape = Omit<z.output<typeof createSessionSchema>, 'metadata'>

/** What no field shows alone. */
function findProblems(body: CreationShape): readonly Problem[] {
  const { participants, time_control: control, action_on_timeout: action } = body
  const problems: Problem[] = [...findDoubles(participants)]
  const indexed = participants.filter(({ participant_index: index }) => index !== undefined).length
  if (indexed !== 0 && indexed !== participants.length) {
    problems.push({ path: ['participants'], message: 'must give a participant_index for all or for none' })
  }
  if (body.increment_ms !== undefined && control?.increment !== undefined) {
    problems.push({ path: ['increment_ms'], message: 'is said by time_control.increment, too' })
  }
  if (typeof action === 'object' && action.type !== 'event' && action.event_type !== undefined) {
    problems.push({ path: ['action_on_timeout', 'event_type'], message: 'is only for the type event' })
  }
  return [...problems, ...findClockless(body)]
}

function findDoubles(participants: CreationShape['participants']): readonly Problem[] {
  const problems: Problem[] = []
  const ids = new Set<string>()
  const indices = new Set<number>()
  for (const [place, { participant_id: id, participant_index: index }] of participants.entries()) {
    const path = ['participants', place]
    if (ids.has(id)) problems.push({ path: [...path, 'participant_id'], message: 'is there already' })
    if (index !== undefined && indices.has(index))
      problems.push({ path: [...path, 'participant_index'], message: 'is there already' })
    ids.add(id)
    if (index !== undefined) indices.add(index)
  }
  return problems
}

function findClockless(body: CreationShape): readonly Problem[] {
  const { sync_mode: mode, participants, total_time_ms: totalMs, time_per_cycle_ms: cycleMs } = body
  if (mode === 'count_up' || totalMs !== undefined || (mode === 'per_cycle' && cycleMs !== undefined)) return []
  const place = participants.findIndex((participant) => participant.total_time_ms === undefined)
  return place === -1
    ? []
    : [{ path: ['participants', place, 'total_time_ms'], message: 'is required, or total_time_ms of the session' }]
}

export const versionSchema = z.int().min(1)

const expectingSchema = z.strictObject({
  expected_version: versionSchema
    .optional()
    .describe('Only if the session still has it, else CONFLICT; If-Match with an ETag says the same, and the epoch.'),
})

export const sessionCommandSchema = expectingSchema.optional()
export const startSessionSchema = expectingSchema
  .extend({ first_participant_id: uuidSchema.optional().describe('Who begins; default the first.') })
  .optional()
export const switchSessionSchema = expectingSchema
  .extend({
    next_participant_id: uuidSchema.optional().describe('Whose turn it becomes; default the next one with time left.'),
  })
  .optional()
export const adjustSessionSchema = expectingSchema.extend({
  participant_id: uuidSchema,
  by_ms: whole(-DAY_MS, DAY_MS, 'Given, or with a minus taken; a clock never gets below 0.'),
  reason: z.string().trim().min(1).max(500).describe('For the log.'),
})

export const spanSchema = z.int().min(0)

export const sessionParticipantSchema = z
  .object({
    participant_id: z.uuid(),
    participant_index: z.int().min(0),
    total_time_ms: spanSchema
      .nullable()
      .describe(
        'Left on its clock at cycle_started_at, or now if it has not the turn; null: it counts up without an end.',
      ),
    time_used_ms: spanSchema.describe('Of its own, until cycle_started_at.'),
    time_remaining_ms: spanSchema.nullable().describe('At server_time_ms.'),
    cycle_count: z.int().min(0).describe('Turns that it ended.'),
    is_active: z.boolean(),
    has_expired: z.boolean(),
    group_id: z.uuid().optional(),
  })
  .meta({ id: 'SessionParticipant' })

const placeFields = {
  version: versionSchema.describe('Of its last event; goes up by one with each.'),
  epoch: versionSchema.describe('The period of authority that it was last written in.'),
  ack: z
    .enum(['accepted', 'durable'])
    .describe('What its last change rests on: accepted is in Redis (fsync every second), durable is in Postgres.'),
  server_time_ms: z.int().describe('When this was answered.'),
}

export const sessionSchema = z
  .object({
    session_id: z.uuid(),
    sync_mode: z.enum(SYNC_MODES),
    status: z.enum(SESSION_STATUSES),
    ...placeFields,
    participants: z.array(sessionParticipantSchema),
    active_participant_id: z.uuid().nullable(),
    total_time_ms: spanSchema.nullable().describe('All clocks at the beginning; null: it counts up without an end.'),
    time_per_cycle_ms: spanSchema.nullable(),
    increment_ms: spanSchema.describe('Fischer; 0: none, or another kind (time_control).'),
    max_time_ms: spanSchema.optional().describe('Left out without one.'),
    cycle_started_at: timeSchema.nullable().describe('Since when the clock of the turn runs; null: none does.'),
    session_started_at: timeSchema.nullable(),
    session_completed_at: timeSchema.nullable(),
    created_at: timeSchema,
    updated_at: timeSchema,
    time_control: timeControlSchema,
    action_on_timeout: z.object({ type: z.enum(TIMEOUT_ACTIONS) }),
    lag_compensation: z.boolean(),
    metadata: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Session' })

export const switchedSessionSchema = sessionSchema
  .pick({
    session_id: true,
    active_participant_id: true,
    cycle_started_at: true,
    participants: true,
    status: true,
    version: true,
    epoch: true,
    ack: true,
    server_time_ms: true,
  })
  .extend({
    expired_participant_id: z.uuid().optional().describe('Whose clock had fallen in the turn that ended.'),
  })
  .meta({ id: 'SwitchedSession' })

const SESSION_ROLES = ['owner', 'participant', 'spectator'] as const

export const createSessionTokenSchema = z
  .strictObject({
    role: z
      .enum(SESSION_ROLES)
      .describe('owner drives the session, participant ends its own turn, spectator watches; all read.'),
    participant_id: uuidSchema.optional().describe('Of the role participant, and only there.'),
    ttl_s: whole(1, TOKEN_TTL_S_MAX, 'How long it is good for, seconds.').default(3_600),
  })
  .refine(({ role, participant_id: id }) => (role === 'participant') === (id !== undefined), {
    path: ['participant_id'],
    message: 'is required with the role participant, and with no other',
  })
  .meta({ id: 'CreateSessionToken' })

export const sessionTokenSchema = z
  .object({
    token: z
      .string()
      .describe(
        'For `Authorization: Bearer`, or for a WebSocket. Kept nowhere; ends with its time or with the session.',
      ),
    session_id: z.uuid(),
    role: z.enum(SESSION_ROLES),
    participant_id: z.uuid().nullable(),
    expires_at: timeSchema,
  })
  .meta({ id: 'SessionToken' })

/** At the top level, as SyncKairos 2.0 has it. */
export const serverTimeSchema = z
  .object({
    timestamp_ms: z.int(),
    server_version: z.literal('2.0.0').describe('Of the API that clients of SyncKairos know.'),
    drift_tolerance_ms: z.int().min(0),
  })
  .meta({ id: 'ServerTime' })

export type CreateSessionWire = z.output<typeof createSessionSchema>
export type SessionWire = z.output<typeof sessionSchema>
export type SessionParticipantWire = z.output<typeof sessionParticipantSchema>
export type SwitchedSessionWire = z.output<typeof switchedSessionSchema>
export type SessionTokenWire = z.output<typeof sessionTokenSchema>
