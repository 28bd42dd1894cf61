// Sessions. What a live session is: its rules, which never change, and its state, which only events change. All times are the
// server's, in whole milliseconds since the epoch; nothing here knows what time it is.

import { type Clock, createClock, type TimeControl } from './time-control.ts'

export const SYNC_MODES = ['per_participant', 'per_cycle', 'per_group', 'global', 'count_up'] as const
export type SyncMode = (typeof SYNC_MODES)[number]

export const SESSION_STATUSES = ['pending', 'running', 'paused', 'expired', 'completed', 'cancelled'] as const
export type SessionStatus = (typeof SESSION_STATUSES)[number]

/** What happens when a clock falls. */
export const TIMEOUT_ACTIONS = ['end', 'skip_cycle', 'next', 'restart', 'event'] as const
export type TimeoutAction = (typeof TIMEOUT_ACTIONS)[number]

export interface ParticipantRules {
  readonly participantId: string
  readonly groupId: string | undefined
  readonly control: TimeControl
}

export interface SessionRules {
  readonly mode: SyncMode
  /** In the order of their turns. */
  readonly participants: readonly ParticipantRules[]
  readonly onTimeout: TimeoutAction
  /** The whole session, pauses left out; undefined: as long as its clocks. */
  readonly maxTimeMs: number | undefined
  /** Undefined: lag is not compensated. */
  readonly lag: LagRules | undefined
}

/** As on lichess: a quota that fills with every turn, and that measured lag draws from. */
export interface LagRules {
  readonly startMs: number
  readonly gainMs: number
  readonly capMs: number
}

export interface ParticipantState {
  readonly turns: number
  /** Its own time, whoever's clock it was taken from. */
  readonly usedMs: number
  readonly hasExpired: boolean
  readonly lagQuotaMs: number
}

export interface SessionState {
  readonly rules: SessionRules
  readonly status: SessionStatus
  /** Of the last event; 1: it was created. */
  readonly version: number
  /** By place; in modes that share a clock several participants have the same (see `clockOf`). */
  readonly clocks: readonly Clock[]
  readonly participants: readonly ParticipantState[]
  /** Whose turn it is, by place. */
  readonly active: number | undefined
  /** What the present turn took before it was paused last. */
  readonly turnBeforeMs: number
  /** Since when the present turn goes on; undefined: it does not. */
  readonly turnSinceMs: number | undefined
  /** Of all turns that ended, and of the present one before it was paused. */
  readonly playedMs: number
  readonly startedMs: number | undefined
  readonly endedMs: number | undefined
  /** The latest moment that an event told of: time never goes backwards. */
  readonly atMs: number
}

export function createSession(rules: SessionRules, createdMs: number): SessionState {
  return {
    rules,
    status: 'pending',
    version: 1,
    clocks: clockPlaces(rules).map((place) => createClock(controlAt(rules, place))),
    participants: rules.participants.map(() => ({
      turns: 0,
      usedMs: 0,
      hasExpired: false,
      lagQuotaMs: rules.lag?.startMs ?? 0,
    })),
    active: undefined,
    turnBeforeMs: 0,
    turnSinceMs: undefined,
    playedMs: 0,
    startedMs: undefined,
    endedMs: undefined,
    atMs: createdMs,
  }
}

/** Which of `clocks` a participant's turns are charged to. */
export function clockOf({ mode, participants }: SessionRules, place: number): number {
  switch (mode) {
    case 'global':
      return 0
    case 'per_group': {
      const groupId = participants[place]?.groupId
      return groupId === undefined ? place : participants.findIndex((other) => other.groupId === groupId)
    }
    case 'per_participant':
    case 'per_cycle':
    case 'count_up':
      return place
    default:
      return mode satisfies never
  }
}

/** A clock at every place, so that places need no translation; those of later members of a group are never used. */
function clockPlaces({ mode, participants }: SessionRules): readonly number[] {
  return mode === 'global' ? [0] : participants.map((_, place) => place)
}

export function controlAt({ participants }: SessionRules, place: number): TimeControl {
  const participant = participants[place]
  if (participant === undefined) throw new RangeError(`there is no participant at ${place}`)
  return participant.control
}
