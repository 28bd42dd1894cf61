// Who may do what with a session. Scopes let somebody in; what a session token is good for is looked at here (ST3).

import { RipstopError } from '@ripstop/kernel'
import type { Command } from '@ripstop/protocol/sessions'
import type { Principal } from '#platform/http'
import type { SessionRef } from '#session-stores'
import { notFound } from './commanding.ts'

/** The session, for whoever may look at it. To the bearer of another session's token it does not exist: throws SESSION_NOT_FOUND. */
export function permitReading({ tenantId, session }: Principal, sessionId: string): SessionRef {
  if (session !== undefined && session.sessionId !== sessionId) throw notFound()
  return { tenantId, sessionId }
}

/** For whoever may do with it as he likes: its owner, or an API key. Throws SESSION_NOT_FOUND and FORBIDDEN. */
export function permitDriving(principal: Principal, sessionId: string): SessionRef {
  const ref = permitReading(principal, sessionId)
  const role = principal.session?.role
  if (role !== undefined && role !== 'owner') throw notAllowed(role)
  return ref
}

/** For API keys alone. Throws FORBIDDEN. */
export function refuseTokens({ session }: Principal): void {
  if (session !== undefined) throw notAllowed(session.role)
}

/**
 * The command as its sender may give it: a participant ends his own turn, and no more; whose turn it becomes is not his to choose, or two of
 * three could pass it to each other for ever. Throws FORBIDDEN.
 */
export function permitCommand({ session }: Principal, command: Command): Command {
  if (session === undefined || session.role === 'owner') return command
  const { role, place } = session
  const isOwnTurn = role === 'participant' && command.kind === 'switch' && command.next === undefined
  if (!isOwnTurn || place === undefined) throw notAllowed(role)
  return { ...command, by: place }
}

function notAllowed(role: string): RipstopError {
  return new RipstopError('FORBIDDEN', `the token of ${role === 'owner' ? 'an' : 'a'} ${role} is not good for this`, {
    details: { role },
  })
}
