// What may be set, with its defaults.

import { OVERLAP_MS_DEFAULT } from './limits.ts'

const DAY_MS = 86_400_000

export interface WebhookSettings {
  /** Failing for so long, without a success, pauses an endpoint. */
  readonly pauseAfterFailingMs: number
  /** So many answers in a row that say that nobody lives there (404, no such name) make an endpoint `gone`. */
  readonly goneAfterMissing: number
  /** An endpoint that was gone for so long is deleted by itself; undefined: never. */
  readonly deleteGoneAfterMs: number | undefined
  /** Without a success for so long an endpoint is reported as an orphan. */
  readonly orphanAfterDays: number
  readonly secretMaxAgeMs: number
  /** A secret is warned of at this share of its greatest age. */
  readonly secretWarnAt: number
  /** How long an old secret signs beside the new one, if nothing else is asked for; at most OVERLAP_MS_MAX. */
  readonly secretOverlapMs: number
  /** v1a keys that are too old are replaced by themselves, unless their endpoint says no. */
  readonly rotatesKeys: boolean
  /** How often the health checker looks. */
  readonly checkEveryMs: number
}

export const WEBHOOK_DEFAULTS: WebhookSettings = {
  pauseAfterFailingMs: 5 * DAY_MS,
  goneAfterMissing: 20,
  deleteGoneAfterMs: undefined,
  orphanAfterDays: 30,
  secretMaxAgeMs: 90 * DAY_MS,
  secretWarnAt: 0.8,
  secretOverlapMs: OVERLAP_MS_DEFAULT,
  rotatesKeys: false,
  checkEveryMs: 15_000,
}
