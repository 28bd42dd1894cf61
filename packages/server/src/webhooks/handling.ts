import type { RouteRequest } from '#platform/http'
import type { Asking } from './asking.ts'

/** What routes share. */
export function askingOf({ principal, idempotency, traceId }: RouteRequest<unknown, unknown, unknown>): Asking {
  return { principal, idempotency, traceId }
}

export function replayHeader(replayed: boolean): Record<string, string> {
  return replayed ? { 'Idempotency-Replayed': 'true' } : {}
}
