// A replay: what is to be sent again, and how far that has come. Pure decisions; the store keeps it, the worker moves it.

export interface EventSelector {
  readonly sinceWallMs: number
  readonly untilWallMs: number
  /** Exact, or with a * at the end; undefined: all. */
  readonly types: readonly string[] | undefined
  readonly only: 'all' | 'failed'
}

export type DeadReason = 'exhausted' | 'refused' | 'unknown' | 'deleted' | 'overflow' | 'expired'

export interface DeadLetterSelector {
  readonly reason: DeadReason | undefined
  readonly sinceWallMs: number | undefined
  readonly untilWallMs: number | undefined
}

interface JobBase {
  readonly replayId: string
  readonly tenantId: string
  readonly state: 'running' | 'done' | 'cancelled'
  /** Where it stands, as `EventCursor` or `LetterCursor` reads it; undefined: at the beginning. */
  readonly cursor: string | undefined
  readonly done: number
  readonly createdWallMs: number
  readonly updatedWallMs: number
}

export interface EventReplay extends JobBase {
  readonly what: 'events'
  readonly endpointId: string
  readonly selector: EventSelector
}

export interface LetterReplay extends JobBase {
  readonly what: 'dead_letters'
  /** Undefined: every endpoint of the tenant. */
  readonly endpointId: string | undefined
  readonly selector: DeadLetterSelector
}

export type ReplayJob = EventReplay | LetterReplay

/** `order.*` is what begins with `order.`. */
export function isOfTypes(type: string, types: readonly string[] | undefined): boolean {
  if (types === undefined) return true
  return types.some((wanted) => (wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted))
}

/** Dead letters are gone through in order; those of endpoints that have enough to do are left for another pass. */
export interface LetterCursor {
  readonly after: string | undefined
  /** Something was left in this pass. */
  readonly hasLeft: boolean
}

export function parseLetterCursor(text: string | undefined): LetterCursor {
  if (text === undefined) return { after: undefined, hasLeft: false }
  const hasLeft = text.endsWith('+')
  const after = hasLeft ? text.slice(0, -1) : text
  return { after: after === '' ? undefined : after, hasLeft }
}

export function writeLetterCursor({ after, hasLeft }: LetterCursor): string {
  return `${after ?? ''}${hasLeft ? '+' : ''}`
}

/** How far a replay of events has come, in the time of publishing: its cursor is the last event that it looked at. */
export function cursorWallMs({ what, cursor }: ReplayJob): number | undefined {
  if (what !== 'events' || cursor === undefined) return undefined
  return Number.parseInt(cursor.slice(0, 8) + cursor.slice(9, 13), 16)
}
