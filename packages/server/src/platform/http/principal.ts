// Principal. Who a request acts for, once that is proved: the tenant that owns what it may touch, and what it may do.

import type { IncomingHttpHeaders } from 'node:http'
import { type Ctx, RipstopError } from '@ripstop/kernel'

export interface Principal {
  readonly tenantId: string
  /** For the audit log: `key:<id>`, `cli`, or `open` for a call without a key in open mode. */
  readonly actor: string
  /** Undefined without a key. */
  readonly keyId: string | undefined
  readonly scopes: readonly string[]
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
