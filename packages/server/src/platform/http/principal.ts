// Principal. Who a request acts for, once that is proved: the tenant that owns what it may touch, and what it may do.

import type { IncomingHttpHeaders } from 'node:http'
import { type Ctx, RipstopError } from '@ripstop/kernel'

/** What a session token is good for: one session, and the part that its bearer has in it. */
export interface SessionGrant {
  readonly sessionId: string
  readonly role: 'owner' | 'participant' | 'spectator'
  /** Of a participant. */
  readonly participantId: string | undefined
  /** Its place among the participants. */
  readonly place: number | undefined
  /** Its end, server time. */
  readonly expiresMs: number
}

export interface Principal {
  readonly tenantId: string
  /** For logs: `key:<id>`, `cli`, or `open` for a call without a key in open mode; with a session token its part. */
  readonly actor: string
  /** Undefined without a key. */
  readonly keyId: string | undefined
  readonly scopes: readonly string[]
  /** Undefined: good for whatever the scopes allow. */
  readonly session?: SessionGrant | undefined
}

/**
 * Proves who calls. Answers at once where it can: a promise costs the gateway's hot path more than the lookup.
 * Throws UNAUTHENTICATED, or LINK_DOWN where nobody can tell.
 */
export type Authenticate = (headers: IncomingHttpHeaders, ctx: Ctx) => Principal | Promise<Principal>

export function mayUse(principal: Principal, scope: string): boolean {
  return principal.scopes.includes(scope) || principal.scopes.includes('admin')
}

/** Throws FORBIDDEN that names the scopes it lacks. */
export function requireScopes(principal: Principal, scopes: readonly string[]): void {
  const missing = scopes.filter((scope) => !mayUse(principal, scope))
  if (missing.length === 0) return
  throw new RipstopError('FORBIDDEN', `this needs ${missing.join(' and ')}`, { details: { missing_scopes: missing } })
}
