// Commands, as programs say them: participants by their ids. Pure.

import { RipstopError } from '@ripstop/kernel'
import {
  type Command,
  decide,
  type SessionState,
  type SocketCommand,
  type SocketRole,
} from '@ripstop/protocol/sessions'
import type { Place } from './replica.ts'

export type SessionCommand =
  | { readonly kind: 'start'; readonly first?: string }
  /** `next`: whose turn it becomes, for the owner to say; else whoever follows. */
  | { readonly kind: 'switch'; readonly next?: string }
  | { readonly kind: 'pause' | 'resume' | 'complete' | 'cancel' }
  | { readonly kind: 'adjust'; readonly participantId: string; readonly byMs: number; readonly reason: string }

/** A command that is not known to have happened, or to have not. */
export interface PendingCommand {
  readonly operationId: string
  readonly command: SessionCommand
  /** Server time at which it was asked, as far as known then. */
  readonly askedMs: number
  readonly ifAt: Place | undefined
}

/** Throws BAD_REQUEST for somebody who takes no part. */
export function toSocketCommand({ rules }: SessionState, command: SessionCommand): SocketCommand {
  const placeOf = (participantId: string): number => {
    const place = rules.participants.findIndex((participant) => participant.participantId === participantId)
    if (place >= 0) return place
    throw new RipstopError('BAD_REQUEST', `no participant is ${participantId}`, { sent: 'no' })
  }
  switch (command.kind) {
    case 'start':
      return command.first === undefined ? { kind: 'start' } : { kind: 'start', first: placeOf(command.first) }
    case 'switch':
      return command.next === undefined ? { kind: 'switch' } : { kind: 'switch', next: placeOf(command.next) }
    case 'adjust': {
      const { participantId, byMs, reason } = command
      return { kind: 'adjust', place: placeOf(participantId), byMs, reason }
    }
    case 'pause':
    case 'resume':
    case 'complete':
    case 'cancel':
      return { kind: command.kind }
    default:
      return command satisfies never
  }
}

/** Who asks: the session's owner, a participant, by place, or a spectator. */
export interface Asker {
  readonly role: SocketRole | undefined
  readonly by: number | undefined
}

/**
 * The session as it will probably be: what is pending has happened, where the rules allow it. Nothing is foreseen of a command that
 * comes near a fall of the clock: only the server knows which was first, and nobody is to be shown a loss that was none.
 */
export function foresee(state: SessionState, pending: readonly PendingCommand[], asker: Asker): SessionState {
  return pending.reduce((now, { command, askedMs }) => {
    const said = toReducerCommand(now, command, asker)
    if (said === undefined) return now
    const { events, state: next, refused } = decide(now, said, Math.round(askedMs))
    return refused !== undefined || events.some(({ kind }) => kind === 'expired') ? now : next
  }, state)
}

/** Undefined: the server will refuse it. */
function toReducerCommand(state: SessionState, command: SessionCommand, { role, by }: Asker): Command | undefined {
  const isOwnTurnsEnd = command.kind === 'switch' && command.next === undefined
  if (role === 'spectator' || (role === 'participant' && !isOwnTurnsEnd)) return undefined
  try {
    const said = toSocketCommand(state, command)
    return said.kind === 'switch' && by !== undefined ? { ...said, by } : said
  } catch {
    return undefined // of somebody who takes no part
  }
}
