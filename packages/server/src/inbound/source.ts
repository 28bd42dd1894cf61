// A source: whose webhooks a tenant takes. Its secrets are sealed, and never shown.

import type { Scheme } from './scheme.ts'

export interface Source {
  readonly sourceId: string
  readonly tenantId: string
  readonly name: string
  readonly scheme: Scheme
  readonly secrets: number
  readonly createdWallMs: number
  readonly lastReceivedWallMs: number | undefined
}

export interface SealedSource extends Source {
  /** The present one first. */
  readonly sealedSecrets: readonly Buffer[]
}

/** What its secrets are sealed for. */
export function purposeOf(sourceId: string): string {
  return `inbound-secret:${sourceId}`
}
