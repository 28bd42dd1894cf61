import { RipstopError } from '@ripstop/kernel'
import type { AuditLine } from '#access'
import type { IdempotencyKey, Principal } from '#platform/http'

/** Who asks, and how the request is known. */
export interface Asking {
  readonly principal: Principal
  readonly idempotency?: IdempotencyKey | undefined
  readonly traceId?: string
}

/** The mesh itself, in the audit log and as who put an endpoint where it is. */
export const HEALTH_ACTOR = 'health'

export function lineOf(
  { principal, traceId }: Asking,
  action: string,
  resource: string,
  details: Readonly<Record<string, unknown>> = {},
): AuditLine {
  const { tenantId, actor } = principal
  return { tenantId, actor, action, resource, outcome: 'done', traceId, details }
}

/** A line of the mesh's own. */
export function ownLine(
  tenantId: string,
  action: string,
  resource: string,
  details: Readonly<Record<string, unknown>> = {},
): AuditLine {
  return { tenantId, actor: HEALTH_ACTOR, action, resource, outcome: 'done', traceId: undefined, details }
}

export function noEndpoint(): RipstopError {
  return new RipstopError('NOT_FOUND', 'there is no such endpoint')
}

export function badField(field: string, problem: string): RipstopError {
  return new RipstopError('BAD_REQUEST', `${field} ${problem}`, { details: { problems: [{ field, problem }] } })
}
